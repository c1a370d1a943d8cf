"""The page of the pipeline: the promises made visible, and how every process of ModelWatch is."""

from __future__ import annotations

from alerting.rules import Signal
from dash_app.pipeline import dead_letters
from dash_app.pipeline.answer import answer_of
from dash_app.pipeline.dead_letters import DeadLetterDesk
from dash_app.pipeline.layout import CHARTS, layout
from dash_app.shared.joint_tasks import JointTasks
from dash_app.shell.page import Answer, Page, Question
from dash_app.shell.view import View
from query.pipeline import PipelineQuery


def page(pipeline: PipelineQuery, letters: DeadLetterDesk | None = None) -> Page:
    """Return the page; without `letters` none can be set aside."""

    async def take(view: View) -> Answer:
        shown = view.range
        found = await pipeline.pipeline(shown.length_s, shown.end_s, shown.step_s)
        shown.bounds(found.end_s)  # what has not begun is said as on other pages
        return answer_of(found, view)

    answers: JointTasks[View, Answer] = JointTasks(take)

    async def answer(question: Question) -> Answer:
        return await answers.of(question.view)

    return Page(
        name="pipeline",
        path="/pipeline",
        title="Pipeline",
        layout=layout(has_letters=letters is not None),
        answer=answer,
        charts=CHARTS,
        watched={"pipeline-lag": frozenset({Signal.PIPELINE_LAG})},
        filters=(),
        note="Flows and charts: over the range, of which 31 days are kept; all else: as of now",
        register=lambda dash: dead_letters.register(dash, letters) if letters is not None else None,
    )
