"""The bar at the top: brand, state of the page, choice of environment, range and theme.

Part of the layout; `assets/pulse.js` keeps the state current.
"""

from __future__ import annotations

import dash_mantine_components as dmc
from dash import html
from dash.development.base_component import Component

from dash_app.components import Icon, attributes
from dash_app.view import DEFAULT_RANGE, RANGES


def top_bar() -> Component:
    """Return the bar."""
    return html.Header([_brand(), _navigation(), html.Div(className="space"), _live(), *_controls()], className="top")


def _brand() -> Component:
    return html.A(
        [html.Img(src="/assets/logo.svg", alt="", width=22, height=22), html.Span("ModelWatch")],
        href="/",
        className="brand",
    )


def _navigation() -> Component:
    here = html.A("Overview", href="/", **attributes(aria_current="page"))
    return html.Nav([here], className="navigation", **attributes(aria_label="Pages"))


def _live() -> Component:
    """The state of the page, which is also the button that pauses it."""
    return html.Button(
        [
            html.I(className="live-mark"),
            html.Span("Loading", id="live-state"),
            html.Span(id="clock", className="mono"),
        ],
        id="live",
        className="live is-loading",
        title="Pause or go on",
        n_clicks=0,
    )


def _controls() -> list[Component]:
    return [
        html.Div(
            dmc.Select(
                id="environment",
                data=[],
                placeholder="All environments",
                clearable=True,
                size="xs",
                w=150,
                **attributes(aria_label="Environment"),
            ),
            id="environment-box",
            hidden=True,
        ),
        dmc.SegmentedControl(id="range", data=list(RANGES), value=DEFAULT_RANGE, size="xs"),
        dmc.ColorSchemeToggle(
            id="scheme",
            variant="default",
            size=30,
            lightIcon=Icon("sun"),
            darkIcon=Icon("moon"),
            **attributes(aria_label="Switch between dark and light"),
        ),
    ]
