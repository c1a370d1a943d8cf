"""The page of one service: its requests in every respect, what it asks of others, what takes its time."""

from __future__ import annotations

from alerting.rules import ON_LATENCY, SHARES, Signal
from dash_app.service.answer import answer_of
from dash_app.service.breakdowns import BREAKDOWNS, DEFAULT_BREAKDOWN
from dash_app.service.layout import layout
from dash_app.service.snapshot import ServiceView, take_snapshot
from dash_app.shared.comparing import compare_control, comparison_in
from dash_app.shared.joint_tasks import JointTasks
from dash_app.shell.filters import EVERY_FILTER
from dash_app.shell.page import Answer, Control, Page, Question, order_of
from query import Query, ResourceQuery

CONTROLS = (
    Control("name", "service-name"),
    Control("by", "service-by", default=DEFAULT_BREAKDOWN, choices=tuple(BREAKDOWNS)),
    compare_control("service-compare"),
    order_of("service-breakdown"),
    order_of("service-instances", "resources_order"),
)


def page(query: Query, resources: ResourceQuery) -> Page:
    """Return the page."""

    async def take(asked: ServiceView) -> Answer:
        return answer_of(await take_snapshot(query, resources, asked))

    answers: JointTasks[ServiceView, Answer] = JointTasks(take)

    async def answer(question: Question) -> Answer:
        return await answers.of(_asked(question))

    return Page(
        name="service",
        path="/service",
        title="Service",
        layout=layout(),
        answer=answer,
        controls=CONTROLS,
        is_kept=True,
        charts=(
            "service-throughput",
            "service-latency",
            "service-errors",
            "service-heatmap",
            "service-efficiency",
            "service-cpu",
            "service-throttling",
            "service-memory",
        ),
        watched={
            "service-throughput": frozenset({Signal.REQUEST_RATE, Signal.ABSENCE}),
            "service-latency": ON_LATENCY,
            "service-heatmap": ON_LATENCY,
            "service-errors": SHARES,
            "service-cpu": frozenset({Signal.CPU}),
            "service-throttling": frozenset({Signal.THROTTLING}),
            "service-memory": frozenset({Signal.MEMORY}),
        },
        filters=EVERY_FILTER - {"service"},
        stand_ins={"service": "name"},
        subject=_name,
    )


def _name(question: Question) -> str | None:
    """Return the service that is shown: the page's own choice, else the one that the other pages are filtered by."""
    return question.fields.get("name") or question.fields.get("service") or None


def _asked(question: Question) -> ServiceView:
    """Take from the address what is known."""
    by = question.fields.get("by", "")
    return ServiceView(
        question.view,
        _name(question),
        by if by in BREAKDOWNS else DEFAULT_BREAKDOWN,
        comparison_in(question.fields.get("compare", "")),
    )
