"""The bar at the top: brand, pages, state of the page, choice of range and theme, who is there, and the filters.

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
from dash_app.shell.filters import FILTERS, Filter
from dash_app.shell.page import Control, Page
from dash_app.shell.reader import account
from dash_app.shell.view import DEFAULT_RANGE, RANGES

CONTROLS: Final = (
    Control("range", "range", default=DEFAULT_RANGE, choices=tuple(RANGES)),
    Control("from"),
    Control("to"),
    *(Control(one.field, one.id) for one in FILTERS),
    Control("tz", "zone", default="local", is_asked=False, choices=("local", "utc")),
)
"""What is chosen for all pages, and kept from one page to the next."""


_SHOWN_CHOICES: Final = 100
"""More are found by typing."""


def top_bar(pages: Sequence[Page]) -> Component:
    """Return the bar."""
    first = [_brand(), _menu(), _navigation(pages), html.Div(className="space"), _live()]
    return html.Header([*first, *_controls(), *account(), _filters()], className="top")


def _brand() -> Component:
    return PageLink(
        "/", [html.Img(src="/assets/logo.svg", alt="", width=22, height=22), html.Span("ModelWatch")], "brand"
    )


def _menu() -> Component:
    """What opens the navigation where there is no room for it; `assets/menu.js` does."""
    return html.Button(
        [html.Span("Pages", id="menu-label"), html.I(className="menu-badge", **attributes(aria_hidden="true"))],
        id="menu",
        className="menu",
        type="button",
        title="All pages",
        **attributes(aria_expanded="false", aria_controls="navigation"),
    )


def _navigation(pages: Sequence[Page]) -> Component:
    links = [
        PageLink(page.path, [html.Span(page.title), badge()] if page.name == "alerts" else page.title, "page-link")
        for page in pages
    ]
    return html.Nav(links, id="navigation", className="navigation", **attributes(aria_label="Pages"))


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


def _filters() -> Component:
    """The filters. Those without anything to choose are not there; what does not apply to the open page is said."""
    note = html.Span(id="filter-note", className="filter-note", role="status")
    return html.Div([*(_filter(one) for one in FILTERS), note], className="filters", role="group", **_LABEL)


_LABEL: Final = attributes(aria_label="Filters")


def _filter(one: Filter) -> Component:
    choice = dmc.Select(
        id=one.id,
        data=[],
        placeholder=one.every,
        searchable=True,
        clearable=True,
        limit=_SHOWN_CHOICES,
        nothingFoundMessage="None of this name in this time",
        size="xs",
        w=170,
        **attributes(aria_label=one.title),
    )
    return html.Div(choice, id=f"{one.id}-box", hidden=True)
