"""The page of containers and processes: what runs, what it uses, whose it is."""

from __future__ import annotations

from alerting.rules import Signal
from dash_app.containers.answer import answer_of
from dash_app.containers.choice import Choice, choice_of
from dash_app.containers.layout import layout
from dash_app.containers.snapshot import take_snapshot
from dash_app.shared.joint_tasks import JointTasks
from dash_app.shell.page import Answer, Control, Page, Question, order_of
from query import ResourceQuery

CONTROLS = (
    Control(
        "by", "containers-by", default="resource", choices=("resource", "service", "image", "compose_project", "host")
    ),
    Control("q", "containers-filter", default=""),
    Control("resource"),
    Control("of", choices=("service", "image", "compose_project", "host")),
    Control("only"),
    order_of("containers-table"),
)


def page(resources: ResourceQuery) -> Page:
    """Return the page."""
    answers: JointTasks[Choice, Answer] = JointTasks(lambda choice: _answer(resources, choice))

    async def answer(question: Question) -> Answer:
        return await answers.of(choice_of(question))

    return Page(
        name="containers",
        path="/containers",
        title="Containers",
        layout=layout(),
        answer=answer,
        controls=CONTROLS,
        filters=("env", "service"),
        note="Cards and tables: as measured last; sparklines and charts: over the range",
        is_kept=True,
        charts=("containers-cpu", "containers-memory", "containers-throttling"),
        watched={
            "containers-cpu": frozenset({Signal.CPU}),
            "containers-memory": frozenset({Signal.MEMORY}),
            "containers-throttling": frozenset({Signal.THROTTLING}),
        },
    )


async def _answer(resources: ResourceQuery, choice: Choice) -> Answer:
    return answer_of(await take_snapshot(resources, choice))
