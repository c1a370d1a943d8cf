"""The skeleton around every page: what is there before the first answer and never changes.

Made by `component.py` for each document that is opened. `assets/pages.js` puts the skeleton of the open page into
it. Which of loading, empty and filled is visible is a matter of one class on `#page` (see `assets/layout.css`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import dash_mantine_components as dmc
from dash import dcc, html
from dash.development.base_component import Component

from dash_app.settings import DashSettings
from dash_app.shared.components import attributes
from dash_app.shell.base_path import below
from dash_app.shell.empty_state import never_any_data, nothing_in_view
from dash_app.shell.page import Page, place_of
from dash_app.shell.reader import NAMED, for_viewers, is_named, is_viewer
from dash_app.shell.top_bar import top_bar

_DARK_GREYS: Final = (
    "#e6e9ef",
    "#c3c9d5",
    "#98a1b3",
    "#6b7385",
    "#2a3040",
    "#222733",
    "#171b24",
    "#12151c",
    "#0b0d12",
    "#07090d",
)


class Layout:
    """The shell for whoever opens a page: called for each document, with the skeletons made once for each role."""

    def __init__(
        self,
        pages: Sequence[Page],
        settings: DashSettings,
        base_path: str,
        refresh_interval_s: Callable[[], float],
    ) -> None:
        self._pages = pages
        self._settings = settings
        self._base_path = base_path
        self._refresh_interval_s = refresh_interval_s
        self._skeletons = {page.name: below(base_path, html.Div(page.layout, id=f"page-{page.name}")) for page in pages}
        self._viewers_skeletons = {name: for_viewers(skeleton) for name, skeleton in self._skeletons.items()}

    def __call__(self) -> Component:
        """Return the shell."""
        skeletons = self._viewers_skeletons if is_viewer() else self._skeletons
        settings = self._settings.model_copy(update={"refresh_interval_s": self._refresh_interval_s()})
        return below(self._base_path, layout(self._pages, settings, skeletons))


def layout(pages: Sequence[Page], settings: DashSettings, skeletons: Mapping[str, Component]) -> Component:
    """Return the shell; the skeletons of all pages are in it as data, so that a change of page asks for nothing."""
    provider: Component = dmc.MantineProvider(
        id="theme",
        defaultColorScheme="auto",
        theme={
            "fontFamily": "Inter, system-ui, sans-serif",
            "primaryColor": "indigo",
            "defaultRadius": "md",
            "colors": {"dark": _DARK_GREYS},
        },
        children=html.Div(
            [*_machinery(settings, skeletons), top_bar(pages), _page(pages, settings)],
            className=NAMED if is_named() else None,
        ),
    )
    return provider


def _machinery(settings: DashSettings, skeletons: Mapping[str, Component]) -> list[Component]:
    """The parts that nobody sees: the pulse, the address, the question, and what came back."""
    return [
        dcc.Interval(id="pulse", interval=round(1000 * settings.refresh_interval_s)),
        dcc.Store(id="skeletons", data=dict(skeletons)),
        dcc.Store(id="address"),
        dcc.Store(id="question"),
        dcc.Store(id="answer"),
        dcc.Store(id="receipt"),
        dcc.Store(id="nudge"),
    ]


def _page(pages: Sequence[Page], settings: DashSettings) -> Component:
    places = [html.Div(id=place_of(page), className="place") for page in pages]
    return html.Main(
        [
            html.Div(id="notice", className="notice", role="status"),
            never_any_data(settings),
            nothing_in_view(),
            html.Div(places, id="content", className="content"),
            html.Footer([_zone(), html.Span(id="figures-note")]),
        ],
        id="page",
        className="page is-loading",
    )


def _zone() -> Component:
    """In which zone times are, and the choice of it."""
    choice = dmc.SegmentedControl(
        id="zone",
        data=[{"label": "Local", "value": "local"}, {"label": "UTC", "value": "utc"}],
        value="local",
        size="xs",
        **attributes(aria_label="Time zone"),
    )
    return html.Div([choice, html.Span(id="time-zone")], className="zone")
