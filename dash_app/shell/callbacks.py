"""What happens when: the one question of the open page, and the browser's own reactions.

Thin: `assets/pulse.js` decides when to ask, the page answers, `assets/pages.js` puts what came into its place.
Registered on the app itself, since callbacks registered by module are lost to pages that are still open when the server
restarts.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import structlog
from dash import ClientsideFunction, Dash, Input, Output, State

from dash_app.settings import DashSettings
from dash_app.shell.page import Answer, Control, Filling, Page, Question
from dash_app.shell.receipt import Receipt, receipt_of, receipt_of_failure
from dash_app.shell.top_bar import CONTROLS
from dash_app.shell.view import fields_of, view_of
from telemetry import ModelWatchError, NowNs

_Answer = dict[str, Any]


def register(
    app: Dash,
    pages: Sequence[Page],
    settings: DashSettings,
    now_ns: NowNs,
    bar: Callable[[], Awaitable[Filling]] | None = None,
) -> None:
    """Give the app its callbacks. `bar` is what the bar shows on every page, whatever comes of the page itself."""
    log = structlog.get_logger(__name__)
    by_name = {page.name: page for page in pages}

    async def answer(asked: dict[str, Any] | None) -> _Answer | None:
        """Answer `{"number": n, "page": "overview", "search": "?range=1h", "width": 500}` with all that is shown."""
        page = by_name.get(str((asked or {}).get("page")))
        if asked is None or page is None:
            return None
        number, search = int(asked.get("number", 0)), str(asked.get("search", ""))
        view = view_of(search, int(asked.get("width", 0)))
        try:
            found = await page.answer(Question(view, fields_of(search)))
            return _document(page, receipt_of(number, found, view, now_ns() / 1e9, settings.refresh_interval_s), found)
        except Exception as error:
            is_known = isinstance(error, ModelWatchError)
            log.warning("page not answered", page=page.name, view=search, error=repr(error), exc_info=not is_known)
            failure = receipt_of_failure(number, _words(error), now_ns() / 1e9, settings.refresh_interval_s)
            return {"page": page.name, "receipt": failure}

    async def answer_with_bar(asked: dict[str, Any] | None) -> _Answer | None:
        found = await answer(asked)
        return found if found is None or bar is None else {**found, "bar": await bar()}

    app.callback(Output("answer", "data"), Input("question", "data"), prevent_initial_call=True)(answer_with_bar)
    opening: list[Output | Input | State] = [
        Output("content", "children"),
        Input("address", "data"),
        State("skeletons", "data"),
    ]
    _react(app, "open", opening, at_once=True)
    for arguments in (*_reactions(), *_bindings(CONTROLS)):
        _react(app, *arguments)
    for page in pages:
        for arguments in _bindings(page.controls):
            _react(app, *arguments)
        if page.charts:
            _react(app, "zoom", [Input(chart, "relayoutData") for chart in page.charts])
        page.register(app)


def _document(page: Page, receipt: Receipt, answer: Answer) -> _Answer:
    document: _Answer = {"page": page.name, "receipt": receipt, "environments": sorted(answer.environments)}
    if receipt["state"] == "filled":
        note = {"figures-note": {"children": page.note}}
        document |= {"filling": {**answer.filling, **note}, "figures": answer.figures}
    return document


def _words(error: Exception) -> str:
    """Return what a reader may see: our own errors are written for people, others go to the log only."""
    if not isinstance(error, ModelWatchError):
        return "ModelWatch made a mistake; its log says more."
    message = str(error)
    return f"{message[:1].upper()}{message[1:]}{'' if message.endswith(('.', '?', '!')) else '.'}"


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
                Input("is-reachable", "data"),
            ],
        ),
        # Without an output: Dash lets a callback wait for all that may still change its inputs, and the pulse must not
        # wait for an answer.
        ("receive", [Input("answer", "data")]),
        ("copy", [Output("copy", "children"), Input("copy", "n_clicks"), State("variables", "children")]),
    ]
