"""The first page: all services at a glance."""

from __future__ import annotations

from alerting.rules import ON_LATENCY, SHARES, Signal
from dash_app.overview.answer import answer_of
from dash_app.overview.layout import layout
from dash_app.overview.snapshot import take_snapshot
from dash_app.shared.comparing import compare_control, comparison_in
from dash_app.shared.joint_tasks import JointTasks
from dash_app.shell.page import Answer, Control, Page, Question, order_of
from dash_app.shell.view import View
from query import Query, ResourceQuery

CONTROLS = (
    Control("q", "service-filter", default="", is_asked=False),
    compare_control("overview-compare"),
    Control("show", "health-filter", default="all", is_asked=False, choices=("all", "unhealthy")),
    order_of("services"),
)


def page(query: Query, resources: ResourceQuery) -> Page:
    """Return the page."""

    async def take(asked: tuple[View, str]) -> Answer:
        return answer_of(await take_snapshot(query, resources, *asked))

    answers: JointTasks[tuple[View, str], Answer] = JointTasks(take)

    async def answer(question: Question) -> Answer:
        return await answers.of((question.view, comparison_in(question.fields.get("compare", ""))))

    return Page(
        name="overview",
        path="/",
        title="Overview",
        layout=layout(),
        answer=answer,
        controls=CONTROLS,
        is_kept=True,
        charts=("throughput", "latency", "errors"),
        watched={
            "throughput": frozenset({Signal.REQUEST_RATE, Signal.ABSENCE}),
            "latency": ON_LATENCY,
            "errors": SHARES,
        },
    )
