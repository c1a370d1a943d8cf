"""What is chosen on the page of traces: filters, an order, or one trace; from the address.

Pure; takes nothing unknown from the address.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
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


def choice_of(question: Question) -> Choice:
    """Read the choice from the fields of the address."""
    fields = {name: text[:_LONGEST] for name, text in question.fields.items()}
    kind = fields.get("kind", "") if fields.get("kind", "") in KINDS else "request"
    order: Literal["time", "duration"] = "duration" if fields.get("sort") == "duration" else "time"
    after, trace = fields.get("after", ""), fields.get("trace", "").strip().lower()
    status = fields.get("status", "")
    everywhere = question.view.where
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
        min_duration_s=_seconds(fields.get("min", "")),
        max_duration_s=_seconds(fields.get("max", "")),
        span_kinds=KINDS[kind][1],
    )
    is_cursor = _CURSOR.fullmatch(after) and after[0] == order[0]
    return Choice(question.view, where, order, kind, after if is_cursor else "", _trace_id(trace))


def _trace_id(text: str) -> str:
    """Return an id as it is written; what is none is looked for as one that is nowhere."""
    return text if _TRACE_ID.fullmatch(text) or not text else "0" * 32


def _seconds(text: str) -> float | None:
    """Read `0.5`, `0.5s` or `500ms`; `None` for what is no duration."""
    text = text.strip().lower()
    scale = 1e-3 if text.endswith("ms") else 1.0
    try:
        seconds = float(text.removesuffix("s").removesuffix("m")) * scale
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) and 0 <= seconds <= 1e9 else None
