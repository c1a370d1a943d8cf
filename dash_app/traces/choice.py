"""What is chosen on the page of traces: filters, an order, or one trace; from the address.

Pure; takes nothing unknown from the address.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final, Literal

from dash_app.shell.page import Question
from dash_app.shell.view import View
from query import TraceFilter

KINDS: Final = {
    "request": ("Requests", frozenset({"SERVER", "CONSUMER"})),
    "dependency": ("Dependencies", frozenset({"CLIENT", "PRODUCER"})),
    "step": ("Steps", frozenset({"INTERNAL"})),
}
LINKED: Final = {
    "version": "Version",
    "instance": "Instance",
    "model": "Model",
    "operation": "Operation",
    "status": "Status",
}
"""Fields that links set; version and model are also chosen in the bar."""
_LONGEST: Final = 1_024
_CURSOR: Final = re.compile(r"[td][0-9a-f.]{1,120}")
_TRACE_ID: Final = re.compile(r"[0-9a-f]{32}")
_DURATION: Final = re.compile(r"(?P<number>(\d+\.?\d*|\.\d+)(e[+-]?\d+)?)\s*(?P<unit>[a-z\u00b5\u03bc]*)", re.ASCII)
_SECONDS: Final = {"": 1.0, "us": 1e-6, "\u00b5s": 1e-6, "\u03bcs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0}
"""By unit; both letters that look like mu are typed."""
_LONGEST_S: Final = 1e9
_STATUS: Final = re.compile(r"[1-5]xx")


@dataclass(frozen=True, slots=True)
class Choice:
    """`trace` is the id of the one that is shown, empty for the list; `after` is where the list goes on."""

    view: View
    where: TraceFilter
    order: Literal["time", "duration"] = "time"
    kind: str = "request"
    after: str = ""
    trace: str = ""
    min_trouble: str = ""
    """Why the least duration is not used, or cannot be met together with the other bound; for people."""
    max_trouble: str = ""

    @property
    def is_contradiction(self) -> bool:
        """Tell whether no duration is within the bounds."""
        least, below = self.where.min_duration_s, self.where.max_duration_s
        return below is not None and (least or 0.0) >= below


def choice_of(question: Question) -> Choice:
    """Read the choice from the fields of the address."""
    fields = {name: text[:_LONGEST] for name, text in question.fields.items()}
    kind = fields.get("kind", "") if fields.get("kind", "") in KINDS else "request"
    order: Literal["time", "duration"] = "duration" if fields.get("sort") == "duration" else "time"
    after, trace = fields.get("after", ""), fields.get("trace", "").strip().lower()
    status = fields.get("status", "")
    everywhere = question.view.where
    least, min_trouble = _bound(fields.get("min", ""))
    below, max_trouble = _bound(fields.get("max", ""))
    where = TraceFilter(
        service=fields.get("name") or everywhere.service_name,
        environment=everywhere.deployment_environment,
        version=everywhere.service_version,
        instance=fields.get("instance") or None,
        model=everywhere.model_name,
        route=fields.get("route") or None,
        operation=fields.get("operation") or None,
        status_class=status if _STATUS.fullmatch(status) else None,
        is_error=True if fields.get("show") == "errors" else None,
        min_duration_s=least,
        max_duration_s=below,
        span_kinds=KINDS[kind][1],
    )
    is_cursor = _CURSOR.fullmatch(after) and after[0] == order[0]
    after = after if is_cursor else ""
    choice = Choice(question.view, where, order, kind, after, _trace_id(trace), min_trouble, max_trouble)
    return replace(choice, max_trouble="nothing is within the bounds") if choice.is_contradiction else choice


def _trace_id(text: str) -> str:
    """Return an id as it is written; what is none is looked for as one that is nowhere."""
    return text if _TRACE_ID.fullmatch(text) or not text else "0" * 32


def _bound(text: str) -> tuple[float | None, str]:
    """Read `0.5`, `0.5s`, `500ms` or `2min` as seconds; what is none is no bound, and the words say so."""
    if not (text := text.strip().lower()):
        return None, ""
    found = _DURATION.fullmatch(text)
    seconds = float(found["number"]) * _SECONDS.get(found["unit"], -1.0) if found else -1.0
    return (seconds, "") if 0 <= seconds <= _LONGEST_S else (None, "not used: write 0.5, 250ms or 2min")
