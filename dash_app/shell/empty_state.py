"""What the page says when it has nothing to show: how to point a model API at it, or where to look instead.

Part of the layout; `#page.is-unused` shows the first, `#page.is-empty` the second.
"""

from __future__ import annotations

from typing import Final

from dash import html
from dash.development.base_component import Component

from dash_app.settings import DashSettings

_INSTALL_AND_START: Final = """\
# from a clone of ModelWatch
pip install ./instrumentation
# where your model API is
opentelemetry-instrument uvicorn app:app"""


def variables(otlp_endpoint: str) -> str:
    """Return the three environment variables, ready for a shell."""
    return "\n".join(
        (
            "export OTEL_SERVICE_NAME=my-model",
            f"export OTEL_EXPORTER_OTLP_ENDPOINT={otlp_endpoint}",
            "export OTEL_RESOURCE_ATTRIBUTES=service.version=1.0,deployment.environment.name=production",
        )
    )


def nothing_in_view() -> Component:
    """Return what is shown when there is data, but not in this view; the reason comes with the answer."""
    return html.Section(html.H1(id="empty-reason"), className="empty", id="none-in-view")


def never_any_data(settings: DashSettings) -> Component:
    """Return what is shown before the first data: the way to send some."""
    return html.Section(
        [
            html.Img(src="/assets/logo.svg", alt="", width=44, height=44),
            html.H1(["No data yet: point your exporter at ", html.Code(settings.otlp_endpoint)]),
            html.P("Set three environment variables where your model API starts:"),
            html.Div(
                [
                    html.Pre(variables(settings.otlp_endpoint), id="variables"),
                    html.Button("Copy", id="copy", className="button", n_clicks=0),
                ],
                className="snippet",
            ),
            html.P("and start it under OpenTelemetry's auto-instrumentation, without a change to its code:"),
            html.Pre(_INSTALL_AND_START),
            html.P("Its requests appear here within seconds; this page looks every second.", className="hint"),
        ],
        id="no-data-yet",
        className="empty",
    )
