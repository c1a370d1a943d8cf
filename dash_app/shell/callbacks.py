"""What happens when: the one question of the open page, and the browser's own reactions.

Thin: `assets/pulse.js` decides when to ask, the page answers, `assets/pages.js` puts what came into its place.
Registered on the app itself, since callbacks registered by module are lost to pages that are still open when the server
restarts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dash import ClientsideFunction, Dash, Input, Output, State

from dash_app.shell.answering import Answering, Document
from dash_app.shell.page import Control, Page, place_of
from dash_app.shell.top_bar import CONTROLS


def register(app: Dash, pages: Sequence[Page], answering: Answering) -> None:
    """Give the app its callbacks."""

    async def answer(asked: dict[str, Any] | None) -> Document | None:
        """Answer `{"number": n, "page": "overview", "search": "?range=1h", "width": 500}` with all that is shown."""
        given = asked or {}
        question = answering.asked(str(given.get("page")), str(given.get("search", "")), int(given.get("width", 0)))
        return None if question is None else await answering.answer(question, int(given.get("number", 0)))

    app.callback(Output("answer", "data"), Input("question", "data"), prevent_initial_call=True)(answer)
    opening: list[Output | Input | State] = [
        *(Output(place_of(page), "children") for page in pages),
        Input("address", "data"),
        State("skeletons", "data"),
    ]
    _react(app, "open", opening, at_once=True)
    for arguments in (*_reactions(), *_bindings(CONTROLS)):
        _react(app, *arguments)
    for page in pages:
        for arguments in _bindings(page.controls):
            _react(app, *arguments)
        page.register(app)


def _react(app: Dash, function: str, arguments: Sequence[Output | Input | State], *, at_once: bool = False) -> None:
    source = ClientsideFunction("modelwatch", function)
    app.clientside_callback(source, *arguments, prevent_initial_call=not at_once)  # type: ignore[no-untyped-call]


def _bindings(controls: Sequence[Control]) -> list[tuple[str, list[Output | Input | State]]]:
    """What writes the values of controls into the address."""
    inputs = [Input(control.id, control.property) for control in controls if control.id is not None]
    return [("change", list(inputs))] if inputs else []


def _reactions() -> list[tuple[str, list[Output | Input | State]]]:
    """The browser's own callbacks: function of `window.dash_clientside.modelwatch`, and what goes in and out."""
    return [
        (
            "beat",
            [
                Output("question", "data"),
                Output("page", "className"),
                Output("notice", "children"),
                Output("live", "className"),
                Output("live-state", "children"),
                Output("clock", "children"),
                Output("empty-reason", "children"),
                Input("pulse", "n_intervals"),
                Input("address", "data"),
                Input("receipt", "data"),
                Input("live", "n_clicks"),
                Input("nudge", "data"),
            ],
        ),
        # Without an output: Dash lets a callback wait for all that may still change its inputs, and the pulse must not
        # wait for an answer.
        ("receive", [Input("answer", "data")]),
        ("copy", [Output("copy", "children"), Input("copy", "n_clicks"), State("variables", "children")]),
    ]
