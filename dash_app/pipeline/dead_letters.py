"""Dead letters on the page: looked at when somebody asks for it, sent again by editors.

Looking takes them from RabbitMQ and puts them back, so that it is done at a press and not with every update.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import structlog
from dash import Dash, Input, Output, html
from dash.development.base_component import Component

from access.identity import LOCAL_NAME, name_of_writer, require_editor
from dash_app.shared import formatting
from dash_app.shared.components import ActionButton, CsvButton, Lasting, Moment, attributes, csv_row
from dash_app.shared.editing import editors_only
from dash_app.shared.names import visible
from telemetry import ModelWatchError

log = structlog.get_logger(__name__)

MOST_LISTED: Final = 50
_STORE: Final = "pipeline-dead-action"
_COLUMNS: Final = ("id", "time", "signal", "items", "body_bytes", "reason")
_TITLES: Final = ("Came", "Signal", "Items", "Size", "Why", "")

Filled = tuple[list[Component], str, str]
"""The list, what to say, and the class that tells whether it went well."""


@dataclass(frozen=True, slots=True)
class ListedLetter:
    """A message that no processor could store; what cannot be told of it is `None`."""

    letter_id: str
    signal: str
    item_count: int | None
    body_bytes: int
    received_s: int | None
    reason: str


class DeadLetterDesk(Protocol):
    """Everything raises `RetryableError` while RabbitMQ does not answer."""

    async def letters(self, most: int) -> tuple[int, Sequence[ListedLetter]]:
        """Return how many there are, and the oldest of them."""

    async def replay(self, letter_id: str | None) -> int:
        """Send one, or all that one press may send, to the processors again; return how many that were."""


def card() -> Component:
    """Return the skeleton of the card."""
    look = ActionButton(_STORE, {"do": "look"}, "Look", "act", label="Look at the dead letters")
    everything = ActionButton(
        _STORE, {"do": "replay"}, "Send all again", "act", label="Send all dead letters again", confirm="Sure?"
    )
    head = html.Div(
        [
            html.H2(["Dead letters", html.Small("what no processor could store")]),
            CsvButton("pipeline-dead-list", _COLUMNS),
            look,
            editors_only(everything),
        ],
        className="card-head table-head dead-head",
    )
    scrolling = html.Div(
        editors_only(Lasting("pipeline-dead-list", "")),
        className="pipeline-scroll",
        tabIndex="0",
        role="region",
        **attributes(aria_label="Dead letters"),
    )
    outcome = html.Div(id="pipeline-dead-outcome", className="alerts-outcome", role="status")
    return html.Section([head, outcome, scrolling], className="card")


def register(dash: Dash, desk: DeadLetterDesk) -> None:
    """Give the card its callback."""

    async def act(action: dict[str, Any] | None) -> Filled:
        try:
            said = await _act(desk, action or {})
            count, letters = await desk.letters(MOST_LISTED)
            return rows(count, letters), said, "alerts-outcome is-good"
        except ModelWatchError as error:
            text = str(error)
            return [], f"{text[:1].upper()}{text[1:]}", "alerts-outcome is-bad"
        except Exception:
            log.exception("nothing came of what was asked for on the page of the pipeline")
            return [], "ModelWatch made a mistake; its log says more.", "alerts-outcome is-bad"

    outputs = [
        Output("pipeline-dead-list", "content"),
        Output("pipeline-dead-outcome", "children"),
        Output("pipeline-dead-outcome", "className"),
    ]
    dash.callback(*outputs, Input(_STORE, "data"), prevent_initial_call=True)(act)


async def _act(desk: DeadLetterDesk, action: Mapping[str, Any]) -> str:
    """Do what a button says; what it says comes from a browser and may be anything."""
    if action.get("do") != "replay":
        return ""
    require_editor()
    wanted = action.get("id")
    done = await desk.replay(None if wanted is None else str(wanted))
    log.info("dead letters were sent again", user=name_of_writer(LOCAL_NAME), letters=done)
    return f"{formatting.plural(done, 'letter')} sent again; what cannot be stored comes back."


def rows(count: int, letters: Sequence[ListedLetter]) -> list[Component]:
    """Return the table of the oldest letters, or that there is none."""
    if not letters:
        return [html.Div("There are no dead letters.", className="alerts-none")]
    head = html.Thead(html.Tr([html.Th(title, scope="col") for title in _TITLES]))
    table = html.Table([head, html.Tbody(list(map(_row, letters)))], className="pipeline-table")
    left = count - len(letters)
    more = [html.Div(f"and {formatting.count(left)} more, which came later", className="alerts-none")]
    return [table, *(more if left > 0 else [])]


def _row(one: ListedLetter) -> Component:
    items = formatting.NOTHING if one.item_count is None else formatting.count(one.item_count)
    label = f"Send letter {one.letter_id[:12]} again"
    again = ActionButton(_STORE, {"do": "replay", "id": one.letter_id}, "Send again", "act is-quiet", label=label)
    return html.Tr(
        [
            html.Td(formatting.NOTHING if one.received_s is None else Moment(one.received_s)),
            html.Th(visible(one.signal), scope="row", title=one.letter_id),
            html.Td(items, className="mono"),
            html.Td(formatting.size(one.body_bytes).text, className="mono"),
            html.Td(visible(one.reason), className="dead-reason"),
            html.Td(again),
        ],
        key=one.letter_id,
        **csv_row(
            *(one.letter_id, None if one.received_s is None else 1_000 * one.received_s),
            *(one.signal, one.item_count, one.body_bytes, one.reason),
        ),
    )
