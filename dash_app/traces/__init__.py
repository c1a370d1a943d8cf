"""The page of traces: requests that were kept, and what happened in one of them."""

from __future__ import annotations

from dash_app.shared.joint_tasks import JointTasks
from dash_app.shell.page import Answer, Control, Page, Question
from dash_app.traces.answer import answer_of
from dash_app.traces.choice import KINDS, Choice, choice_of
from dash_app.traces.layout import layout
from dash_app.traces.snapshot import take_snapshot
from query import Query, TraceQuery

CONTROLS = (
    Control("name", "traces-service", default=""),
    Control("route", "traces-route", default=""),
    Control("min", "traces-min", default=""),
    Control("max", "traces-max", default=""),
    Control("show", "traces-show", default="all", choices=("all", "errors")),
    Control("sort", "traces-sort", default="time", choices=("time", "duration")),
    Control("kind", "traces-kind", default="request", choices=tuple(KINDS)),
    *map(Control, ("instance", "operation", "status", "after", "trace")),
    Control("span", is_asked=False),
)


def page(traces: TraceQuery, query: Query) -> Page:
    """Return the page."""

    async def take(choice: Choice) -> Answer:
        return answer_of(await take_snapshot(traces, query, choice))

    answers: JointTasks[Choice, Answer] = JointTasks(take)

    async def answer(question: Question) -> Answer:
        return await answers.of(choice_of(question))

    return Page(
        name="traces",
        path="/traces",
        title="Traces",
        layout=layout(),
        answer=answer,
        controls=CONTROLS,
        is_kept=True,
        charts=("traces-spread",),
        note="Requests by when they ended; figures elsewhere count all, here are those that were kept",
    )
