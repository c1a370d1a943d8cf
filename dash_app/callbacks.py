"""What happens when: the one question that fills the page, and the browser's own reactions.

Thin: `assets/pulse.js` decides when to ask, `snapshot.py` asks, the pure modules draw. Registered on the app itself,
since callbacks registered by module are lost to pages that are still open when the server restarts.
"""

from __future__ import annotations

from typing import Any, Final

import structlog
from dash import ClientsideFunction, Dash, Input, Output, State, no_update

from dash_app import cards, figures
from dash_app.kpis import kpis_of
from dash_app.ranking import ranked_by
from dash_app.receipt import Receipt, receipt_of, receipt_of_failure
from dash_app.rows import rows_of
from dash_app.settings import DashSettings
from dash_app.snapshot import SharedSnapshots, Snapshot
from dash_app.view import search_of, view_of
from telemetry import ModelWatchError, NowNs

_OUTPUTS: Final = {
    "receipt": Output("receipt", "data"),
    "kpis": Output("kpis", "children"),
    "figures": Output("figures", "data"),
    "throughput_legend": Output("throughput-legend", "children"),
    "rows": Output("services", "rowData"),
    "problems": Output("problems", "children"),
    "problem_count": Output("problem-count", "children"),
    "chosen_note": Output("chosen-note", "children"),
    "environments": Output("environment", "data"),
    "has_no_environments": Output("environment-box", "hidden"),
}


def register(app: Dash, snapshots: SharedSnapshots, settings: DashSettings, now_ns: NowNs) -> None:
    """Give the app its callbacks."""
    log = structlog.get_logger(__name__)

    async def answer(question: dict[str, Any] | None) -> dict[str, Any]:
        """Answer `{"number": n, "search": "?range=1h"}` with everything on the page, or only with what went wrong."""
        asked = question or {}
        number, view = int(asked.get("number", 0)), view_of(str(asked.get("search", "")))
        try:
            snapshot = await snapshots.of(view)
            receipt = receipt_of(number, snapshot, now_ns() / 1e9, settings.refresh_interval_s)
            return _only_receipt(receipt, snapshot) if snapshot.is_empty else _everything(receipt, snapshot)
        except Exception as error:
            is_known = isinstance(error, ModelWatchError)
            log.warning("page could not be answered", view=search_of(view), error=repr(error), exc_info=not is_known)
            receipt = receipt_of_failure(number, _words(error), now_ns() / 1e9, settings.refresh_interval_s)
            return dict.fromkeys(_OUTPUTS, no_update) | {"receipt": receipt}

    app.callback(_OUTPUTS, Input("question", "data"), prevent_initial_call=True)(answer)
    for function, arguments in _reactions():
        app.clientside_callback(ClientsideFunction("modelwatch", function), *arguments)  # type: ignore[no-untyped-call]


def _everything(receipt: Receipt, snapshot: Snapshot) -> dict[str, Any]:
    if snapshot.by_route is not None:
        charted, ranked = snapshot.by_route, ranked_by(snapshot.by_route, "route")
    else:
        charted, ranked = snapshot.by_service, ranked_by(snapshot.by_service, "service")
    revision = search_of(snapshot.view) or "default"
    return {
        "receipt": receipt,
        "kpis": cards.kpi_cards(kpis_of(snapshot)),
        "figures": {
            "throughput": figures.throughput(charted, ranked, revision),
            "latency": figures.latency(snapshot.overall, revision),
            "errors": figures.errors(snapshot.overall, revision),
        },
        "throughput_legend": cards.throughput_legend(ranked),
        "rows": rows_of(snapshot),
        "problems": cards.problem_list(snapshot.services),
        "problem_count": cards.problem_count(snapshot.services),
        "chosen_note": cards.missing_service(snapshot.services, snapshot.view),
        **_environments(snapshot),
    }


def _only_receipt(receipt: Receipt, snapshot: Snapshot) -> dict[str, Any]:
    return dict.fromkeys(_OUTPUTS, no_update) | {"receipt": receipt} | _environments(snapshot)


def _environments(snapshot: Snapshot) -> dict[str, Any]:
    names = {*snapshot.environments, *([snapshot.view.environment] if snapshot.view.environment else [])}
    return {"environments": sorted(names), "has_no_environments": not names}


def _words(error: Exception) -> str:
    """Return what a reader may see: our own errors are written for people, others go to the log only."""
    if not isinstance(error, ModelWatchError):
        return "ModelWatch made a mistake; its log says more."
    message = str(error)
    return f"{message[:1].upper()}{message[1:]}{'' if message.endswith(('.', '?', '!')) else '.'}"


def _reactions() -> list[tuple[str, list[Output | Input | State]]]:
    """The browser's own callbacks: function of `window.dash_clientside.modelwatch`, and what goes in and out."""
    return [
        (
            "restore",
            [
                Output("range", "value"),
                Output("environment", "value"),
                Output("environment", "data", allow_duplicate=True),
                Output("chosen-service", "data"),
                Output("service-filter", "value"),
                Output("health-filter", "value"),
                Input("location", "search"),
                State("constants", "data"),
            ],
        ),
        (
            "choose",
            [
                Output("view", "data"),
                Output("chosen-name", "children"),
                Output("chosen-name", "className"),
                Output("chosen", "hidden"),
                Output("latency-subtitle", "children"),
                Input("range", "value"),
                Input("environment", "value"),
                Input("chosen-service", "data"),
                Input("service-filter", "value"),
                Input("health-filter", "value"),
                State("constants", "data"),
            ],
        ),
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
                Input("view", "data"),
                Input("receipt", "data"),
                Input("live", "n_clicks"),
                Input("is-reachable", "data"),
                State("constants", "data"),
            ],
        ),
        (
            "draw",
            [
                Output("throughput", "figure"),
                Output("latency", "figure"),
                Output("errors", "figure"),
                Output("time-zone", "children"),
                Input("figures", "data"),
                *(Input(chart, "relayoutData") for chart in ("throughput", "latency", "errors")),
            ],
        ),
        ("showAll", [Output("chosen-service", "data", allow_duplicate=True), Input("show-all", "n_clicks")]),
        ("copy", [Output("copy", "children"), Input("copy", "n_clicks"), State("variables", "children")]),
    ]
