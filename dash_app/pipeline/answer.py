"""The answer that fills the page of the pipeline: one answer of `query/pipeline/`, drawn.

Asked for by the shell once a beat.
"""

from __future__ import annotations

from typing import Final

from dash_app.pipeline import cards, figures, tables
from dash_app.shared import formatting
from dash_app.shell.page import Answer
from dash_app.shell.view import View, search_of
from query.pipeline import PipelineAnswer

_PACE_S: Final = 2.0


def answer_of(answer: PipelineAnswer, view: View) -> Answer:
    """Return everything on the page."""
    revision = search_of(view)
    counted = f"counted over {formatting.age(max(answer.end_s - answer.since_s, 0))}" if answer.flows else ""
    living = sum(one.state != "ended" for one in answer.processes)
    return Answer(
        filling={
            "pipeline-notices": {"content": cards.notices(answer)},
            "pipeline-summary": {"content": cards.summary(answer)},
            "pipeline-flows": {"content": tables.flows(answer)},
            "pipeline-since": {"children": counted},
            "pipeline-storage": {"content": tables.storage(answer)},
            "pipeline-processes": {"content": tables.processes(answer)},
            "pipeline-count": {"children": formatting.count(living)},
            "pipeline-overflows": {"content": tables.overflows(answer)},
            "pipeline-overflow-count": {"children": formatting.count(len(answer.overflows))},
        },
        figures={
            "pipeline-rate": figures.rate(answer, revision),
            "pipeline-freshness": figures.freshness(answer, revision),
            "pipeline-lag": figures.lag(answer, revision),
        },
        end_s=answer.end_s,
        pace_s=_PACE_S if view.range.end_s is None else None,
    )
