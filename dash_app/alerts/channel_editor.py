"""The editor of channels at work: it loads one without its secrets, and saves it.

Between the form and the book of channels, which the API uses as well.
"""

from __future__ import annotations

from typing import Any, Final

from dash import Dash, Input, Output, State, ctx

from access.identity import LOCAL_NAME, name_of_writer
from alerting.channels.desk import ChannelDesk
from alerting.channels.matching import filter_trouble
from alerting.desk import AlertDesk
from dash_app.alerts.actions import outcome_of, told_of
from dash_app.alerts.channel_form import EMPTY, FIELDS, field_id, given_of, kept_words, property_of, values_of
from dash_app.alerts.form import FormError
from query import QuestionError

OPEN: Final = "alerts-channel"
"""The store of what a button in the list opens."""
HELD: Final = "alerts-channel-held"
"""The store of which channel the form is about, and its revision."""
_NO_ERRORS: Final = ("",) * len(FIELDS)


def register(dash: Dash, channels: ChannelDesk, desk: AlertDesk) -> None:
    """Give the form its callbacks."""

    async def load(opened: dict[str, Any] | None, clicks: int | None) -> tuple[Any, ...]:
        name = str((opened or {}).get("name", "")) if ctx.triggered_id == OPEN else ""
        if not name:
            return (*_nothing(), "", "rule-note")
        found: list[tuple[Any, ...]] = []

        async def read() -> str:
            known = await channels.book.channel(name)
            held = {"name": name, "revision": known.revision}
            found.append((*values_of(known), *_NO_ERRORS, True, f"Change {name}", kept_words(known), held))
            return ""

        note, kind = await told_of(read)
        return (*(found[0] if found else _nothing()), note, _note(kind))

    async def save(clicks: int | None, held: dict[str, Any] | None, *values: Any) -> tuple[Any, ...]:
        problems: dict[str, str] = {}

        async def put() -> str:
            try:
                return await _put(channels, desk, held or {}, values)
            except FormError as error:
                problems.update(error.problems)
            except QuestionError as error:
                problems[error.parameter] = str(error)
            rest = [text for name, text in problems.items() if name not in FIELDS]
            raise FormError({"": "; ".join(rest) or "some fields are not right: see what is said below them"})

        note, kind = await outcome_of(put)
        if kind.endswith("is-good"):
            return (*_nothing(), "", "rule-note", note, kind)
        errors = [problems.get(name, "") for name in FIELDS]
        about = {"name": held["name"], "revision": held["revision"]} if held else None
        is_there = bool(about)
        title = f"Change {about['name']}" if about else "New channel"
        return (*values, *errors, is_there, title, "", about, note, _note(kind), "", "alerts-outcome")

    fields = [Output(field_id(name), property_of(name), allow_duplicate=True) for name in FIELDS]
    errors = [Output(field_id(name), "error", allow_duplicate=True) for name in FIELDS]
    about = [
        Output(field_id("name"), "disabled", allow_duplicate=True),
        Output("channel-title", "children", allow_duplicate=True),
        Output("channel-kept", "children", allow_duplicate=True),
        Output(HELD, "data", allow_duplicate=True),
        Output("channel-note", "children", allow_duplicate=True),
        Output("channel-note", "className", allow_duplicate=True),
    ]
    told = [Output("alerts-outcome", name, allow_duplicate=True) for name in ("children", "className")]
    dash.callback(
        *fields, *errors, *about, Input(OPEN, "data"), Input("channel-cancel", "n_clicks"), prevent_initial_call=True
    )(load)
    dash.callback(
        *fields,
        *errors,
        *about,
        *told,
        Input("channel-save", "n_clicks"),
        State(HELD, "data"),
        *(State(field_id(name), property_of(name)) for name in FIELDS),
        prevent_initial_call=True,
        running=[(Output("channel-save", "disabled"), True, False)],
    )(save)


async def _put(channels: ChannelDesk, desk: AlertDesk, held: dict[str, Any], values: tuple[Any, ...]) -> str:
    name, given = given_of(values)
    by = name_of_writer("") or LOCAL_NAME
    if held:
        revision = held.get("revision")
        expected = revision if isinstance(revision, int) else None
        known = await channels.book.change(str(held.get("name")), given, expected, by)
        done = f"{known.name} is changed and counts within two seconds."
    else:
        known = await channels.book.add(name, given, by)
        done = f"{name} is made and counts within two seconds. Test it."
    rules = [one.rule for one in await desk.rules.rules()]
    trouble = filter_trouble(known.settings, rules) if known.settings is not None else ""
    return f"{done} But {trouble}." if trouble else done


def _nothing() -> tuple[Any, ...]:
    return (*EMPTY, *_NO_ERRORS, False, "New channel", "", None)


def _note(kind: str) -> str:
    return kind.replace("alerts-outcome", "rule-note")
