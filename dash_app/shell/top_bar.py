"""The bar at the top: brand, pages, state of the page, choice of environment, range and theme, and who is there.

Part of the layout; `assets/pulse.js` keeps the state current, `assets/address.js` what is chosen.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import dash_mantine_components as dmc
from dash import html
from dash.development.base_component import Component

from dash_app.shared.components import Icon, PageLink, TimePicker, attributes
from dash_app.shell.badge import badge
from dash_app.shell.page import Control, Page
from dash_app.shell.reader import account
from dash_app.shell.view import DEFAULT_RANGE, RANGES

CONTROLS: Final = (
    Control("range", "range", default=DEFAULT_RANGE, choices=tuple(RANGES)),
    Control("from"),
    Control("to"),
    Control("env", "environment"),
    Control("tz", "zone", default="local", is_asked=False, choices=("local", "utc")),
)
"""What is chosen for all pages, and kept from one page to the next."""


def top_bar(pages: Sequence[Page]) -> Component:
    """Return the bar."""
    return html.Header(
        [_brand(), _navigation(pages), html.Div(className="space"), _live(), *_controls(), *account()], className="top"
    )


def _brand() -> Component:
    return PageLink(
        "/", [html.Img(src="/assets/logo.svg", alt="", width=22, height=22), html.Span("ModelWatch")], "brand"
    )


def _navigation(pages: Sequence[Page]) -> Component:
    links = [
        PageLink(page.path, [html.Span(page.title), badge()] if page.name == "alerts" else page.title, "page-link")
        for page in pages
    ]
    return html.Nav(links, className="navigation", **attributes(aria_label="Pages"))


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
        dmc.SegmentedControl(
            id="range", data=list(RANGES), value=DEFAULT_RANGE, size="xs", **attributes(aria_label="Time range")
        ),
        TimePicker(),
        dmc.ColorSchemeToggle(
            id="scheme",
            variant="default",
            size=30,
            lightIcon=Icon("sun"),
            darkIcon=Icon("moon"),
            **attributes(aria_label="Switch between dark and light"),
        ),
    ]
