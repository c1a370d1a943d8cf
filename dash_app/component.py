"""Mounts the pages onto the web app.

`api/` builds the FastAPI app with its own routes, this adds "/" and Dash's paths to it. The pages have no lifecycle of
their own: they live as long as the app is served.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

import fastapi
from dash import Dash

from dash_app import callbacks
from dash_app.layout import layout
from dash_app.page_headers import PageHeaders, content_security_policy
from dash_app.settings import DashSettings
from dash_app.snapshot import SharedSnapshots
from query import Query
from telemetry import NowNs

_ASSETS: Final = Path(__file__).parent / "assets"

_INDEX: Final = """<!DOCTYPE html>
<html lang="en" data-mantine-color-scheme="dark">
  <head>
    {%metas%}
    <title>{%title%}</title>
    <link rel="icon" type="image/svg+xml" href="/assets/logo.svg">
    <script src="/assets/color-scheme.js"></script>
    {%css%}
  </head>
  <body>
    {%app_entry%}
    <footer hidden>
      {%config%}
      {%scripts%}
      {%renderer%}
    </footer>
  </body>
</html>"""


def mount(app: fastapi.FastAPI, query: Query, settings: DashSettings, now_ns: NowNs = time.time_ns) -> Dash:
    """Add the pages at "/" to `app`, which has its own routes already and keeps answering all other paths."""
    dash = Dash(
        "dash_app",
        server=False,
        backend="fastapi",
        title="Overview · ModelWatch",
        update_title=None,  # type: ignore[arg-type]  # documented: leaves the title alone
        assets_folder=str(_ASSETS),
        assets_ignore=r"color-scheme\.js",
        index_string=_INDEX,
        meta_tags=[{"name": "viewport", "content": "width=device-width, initial-scale=1"}],
        add_log_handler=False,
        prevent_initial_callbacks=True,
    )
    _keep_to_the_pages(dash)
    dash.init_app(app)
    dash.layout = layout(settings)
    callbacks.register(dash, SharedSnapshots(query), settings, now_ns)
    app.add_middleware(PageHeaders, path="/", policy=content_security_policy(dash.csp_hashes()))
    return dash


def _keep_to_the_pages(dash: Dash) -> None:
    """Keep Dash 4.4 from what its FastAPI backend also does to the app that it is given.

    At startup it answers every unknown GET with the page, and it offers callbacks over a WebSocket, which ours do not
    use but every open page would connect to.
    """
    dash.backend.websocket_capability = False
    dash.backend._setup_catchall = lambda: None  # type: ignore[attr-defined]
