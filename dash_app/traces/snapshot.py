"""Everything that the page of traces shows at one moment, asked of `query/` together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from dash_app.traces.choice import Choice
from query import Query, QuestionError, TraceAnswer, TraceQuery, TracesAnswer

PAGE: Final = 100


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Either the list or the one trace that was asked for, if it is there."""

    choice: Choice
    end_s: int
    found: TracesAnswer | None
    trace: TraceAnswer | None


async def take_snapshot(traces: TraceQuery, query: Query, choice: Choice) -> Snapshot:
    """Ask; raises what `query` raises."""
    # What has just ended may be listed at once: nothing here is a count that would still grow.
    now_s = query.settled_end_s() + 2
    if choice.trace:
        return Snapshot(choice, choice.view.range.end_s or now_s, None, await traces.trace(choice.trace))
    asked = choice.view.range.bounds(now_s)
    return Snapshot(choice, asked.end_s, await _found(traces, choice, asked.start_s, asked.end_s), None)


async def _found(traces: TraceQuery, choice: Choice, start_s: int, end_s: int) -> TracesAnswer:
    try:
        return await traces.traces(start_s, end_s, choice.where, choice.order, PAGE, choice.after or None)
    except QuestionError as error:
        if error.parameter != "cursor":
            raise
        return await traces.traces(start_s, end_s, choice.where, choice.order, PAGE)
