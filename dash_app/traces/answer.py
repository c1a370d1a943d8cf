"""The answer that fills the page of traces: one snapshot, drawn.

Asked for by the shell once a beat.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from dash import html

from dash_app.shell.page import Answer, Filling
from dash_app.shell.view import search_of
from dash_app.traces import figures, lists, waterfall
from dash_app.traces.choice import Choice
from dash_app.traces.snapshot import Snapshot
from query import TraceAnswer, TracesAnswer

_LIST_PACE_S: Final = 5.0
_TRACE_PACE_S: Final = 30.0


def answer_of(snapshot: Snapshot) -> Answer:
    """Return everything on the page."""
    choice = snapshot.choice
    if snapshot.found is None:
        filling = _one(snapshot.trace)
        return Answer(filling, {}, snapshot.end_s, None, pace_s=_TRACE_PACE_S)
    shown = choice.view.range
    revision = f"{search_of(choice.view)} {choice.where} {choice.order} {choice.after}"
    return Answer(
        filling=_list(choice, snapshot.found),
        figures={"traces-spread": figures.spread(snapshot.found, revision)},
        end_s=snapshot.end_s,
        pace_s=max(_LIST_PACE_S, (shown if shown.is_over(snapshot.end_s) else replace(shown, end_s=None)).pace_s),
    )


def _list(choice: Choice, found: TracesAnswer) -> Filling:
    return {
        "traces-found": {"hidden": False},
        "traces-one": {"hidden": True},
        "traces-kept": {"children": lists.kept_words(choice, found)},
        "traces-filters": {"content": lists.filters(choice)},
        "traces-min": {"error": choice.min_trouble},
        "traces-max": {"error": choice.max_trouble},
        "traces-rows": {"content": lists.rows(choice, found)},
        "traces-more": {"content": lists.more(choice, found)},
    }


def _one(trace: TraceAnswer | None) -> Filling:
    if trace is None:
        words = "Nothing of this trace is kept: it was not chosen, is deleted by now, or never came here."
        parts = {"traces-head": html.H2("No such trace"), "traces-gaps": html.Div(words, className="alerts-none")}
        shown = {name: {"content": [part]} for name, part in parts.items()} | {"traces-spans": {"content": []}}
    else:
        shown = {
            "traces-head": {"content": waterfall.head(trace)},
            "traces-gaps": {"content": waterfall.gaps(trace)},
            "traces-spans": {"content": waterfall.spans(trace)},
        }
    return {"traces-found": {"hidden": True}, "traces-one": {"hidden": False}, **shown}
