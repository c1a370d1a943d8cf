"""The editor of rules at work: it loads a rule, replays it over the past day, and saves it.

Between the form and the desk. Nothing is saved that is not valid, and nothing over what somebody else changed.
"""

from __future__ import annotations

from typing import Any, Final

from dash import ClientsideFunction, Dash, Input, Output, State, html
from dash.development.base_component import Component

from alerting.backtest import Backtest
from alerting.desk import AlertDesk
from alerting.rules import Rule
from alerting.states import Phase
from alerting.wording import value_text
from dash_app.alerts.actions import Outcome, outcome_of, told_of
from dash_app.alerts.backtest_chart import backtest_figure, headline
from dash_app.alerts.form import FIELDS, NEW, FormError, rule_of, values_of
from dash_app.alerts.words import labels_line, length, moment, severity_pill
from dash_app.shared.charts import Figure
from telemetry import NowNs

NEW_RULE: Final = "_new"
"""What the address says for a rule that is not there yet; no rule can have this id."""
_DAY_S: Final = 86_400
_MOST_EPISODES: Final = 12
_NO_ERRORS: Final = ("",) * len(FIELDS)


def register(dash: Dash, desk: AlertDesk, now_ns: NowNs) -> None:
    """Give the editor its callbacks."""

    async def load(opened: dict[str, Any] | None) -> tuple[Any, ...]:
        """Put a rule into the form."""
        return await _load(desk, str((opened or {}).get("rule", "")))

    async def test(clicks: int | None, *values: Any) -> tuple[Any, ...]:
        """Replay what the form says."""
        found: list[tuple[Rule, Backtest]] = []

        async def replay() -> str:
            rule = rule_of(values)
            end_s = now_ns() // 1_000_000_000
            tested = await desk.backtester.backtest(rule, end_s - _DAY_S, end_s)
            found.append((rule, tested))
            return headline(tested, rule.grace_s) + _but(await desk.channel_trouble(rule))

        (note, kind), errors = await _checked(replay)
        figure: Figure | None = backtest_figure(*found[0]) if found else None
        parts = episodes(*found[0]) if found else []
        return note, "rule-note" if found else _note(kind), figure, parts, not found, *errors

    async def save(clicks: int | None, revision: dict[str, Any] | None, *values: Any) -> tuple[Any, ...]:
        """Save what the form says."""
        opened = revision or {}

        async def put() -> str:
            rule = rule_of(values)
            if opened.get("rule") == NEW_RULE:
                await desk.rules.create(rule)
            else:
                if rule.rule_id != opened.get("rule"):
                    raise FormError({"rule_id": "the id of a rule cannot be changed"})
                await desk.rules.replace(rule, opened.get("revision"))
            return f"{rule.name} is saved and counts within two seconds." + _but(await desk.channel_trouble(rule))

        (note, kind), errors = await _checked(put, outcome_of)
        is_saved = kind.endswith("is-good")
        bar = (note, kind) if is_saved else ("", "alerts-outcome")
        go = {"to": "/alerts", "fields": {"tab": "rules", "rule": None}} if is_saved else None
        return note if not is_saved else "", _note(kind), *bar, go, *errors

    values = [State(field.id, field.property) for field in FIELDS]
    errors = [Output(field.id, "error", allow_duplicate=True) for field in FIELDS]
    note = [Output("rule-note", prop, allow_duplicate=True) for prop in ("children", "className")]
    dash.callback(
        *(Output(field.id, field.property) for field in FIELDS),
        *errors,
        Output("rule-rule-id", "disabled"),
        Output("rule-title", "children"),
        Output("alerts-revision", "data"),
        Output("rule-tested", "hidden", allow_duplicate=True),
        *note,
        Input("alerts-opened", "data"),
        prevent_initial_call=True,
    )(load)
    dash.callback(
        *note,
        Output("alerts-tested", "data"),
        Output("rule-episodes", "children"),
        Output("rule-tested", "hidden", allow_duplicate=True),
        *errors,
        Input("rule-backtest", "n_clicks"),
        *values,
        prevent_initial_call=True,
        running=[(Output("rule-backtest", "disabled"), True, False)],
    )(test)
    dash.callback(
        *note,
        Output("alerts-outcome", "children", allow_duplicate=True),
        Output("alerts-outcome", "className", allow_duplicate=True),
        Output("alerts-go", "data"),
        *errors,
        Input("rule-save", "n_clicks"),
        State("alerts-revision", "data"),
        *values,
        prevent_initial_call=True,
        running=[(Output("rule-save", "disabled"), True, False)],
    )(save)
    _react(
        dash,
        "openRule",
        Output("alerts-opened", "data"),
        Input("alerts-wanted", "data"),
        State("alerts-opened", "data"),
    )
    _react(dash, "goTo", Input("alerts-go", "data"))
    _react(dash, "drawTest", Input("alerts-tested", "data"))


def _react(dash: Dash, function: str, *arguments: Output | Input | State) -> None:
    source = ClientsideFunction("modelwatch", function)
    dash.clientside_callback(source, *arguments, prevent_initial_call=True)  # type: ignore[no-untyped-call]


def _but(trouble: str) -> str:
    return f" But {trouble}." if trouble else ""


def _note(kind: str) -> str:
    return kind.replace("alerts-outcome", "rule-note")


async def _checked(work: Any, tell: Any = told_of) -> tuple[Outcome, list[str]]:
    """Do something with the form; return how that ended as `tell` says it, and what is wrong with each field."""
    problems: dict[str, str] = {}

    async def watched() -> str:
        try:
            return str(await work())
        except FormError as error:
            problems.update(error.problems)
            known = {field.name for field in FIELDS}
            rest = [text for name, text in error.problems.items() if name not in known]
            raise FormError({"": "; ".join(rest) or "some fields are not right: see what is said below them"}) from None

    outcome = await tell(watched)
    return outcome, [problems.get(field.name, "") for field in FIELDS]


async def _load(desk: AlertDesk, rule_id: str) -> tuple[Any, ...]:
    note, kind = "", "rule-note"
    document: dict[str, Any] = dict(NEW)
    revision: dict[str, Any] = {"rule": NEW_RULE, "revision": 0}
    title = "New rule"
    if rule_id and rule_id != NEW_RULE:

        async def read() -> str:
            nonlocal title
            known = await desk.rules.rule(rule_id)
            document.clear()
            document.update(known.rule.model_dump(mode="json"))
            revision.update(rule=rule_id, revision=known.revision)
            title = known.rule.name
            return ""

        note, kind = await told_of(read)
    is_there = revision["rule"] != NEW_RULE
    return (*values_of(document), *_NO_ERRORS, is_there, title, revision, True, note, _note(kind))


def episodes(rule: Rule, tested: Backtest) -> list[Component]:
    """Return when the rule would have fired, the first ones."""
    rows: list[Component] = [
        html.Div(
            [
                moment(one.started_s),
                severity_pill(one.severity, Phase.FIRING),
                html.Span(
                    "still firing" if one.ended_s is None else f"for {length(one.ended_s - one.started_s)}",
                    className="row-value",
                ),
                html.Span(f"up to {value_text(one.peak, rule.unit)}" if one.peak is not None else "", className="mono"),
                html.Span(labels_line(one.labels), className="alert-tags"),
            ],
            className="past-row",
        )
        for one in tested.episodes[:_MOST_EPISODES]
    ]
    if (left := tested.fired - len(rows)) > 0:
        rows.append(html.Div(f"and {left} more", className="alerts-none"))
    return [html.Div(rows, className="past-list")]
