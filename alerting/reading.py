"""Asking: every question of a round once, whoever and however many want to know.

Between the pure parts of the room and `query`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Final, NamedTuple, cast

from alerting.observing import Answer
from alerting.questions import LagQuestion, Question, RedQuestion, ResourceQuestion
from alerting.settings import AlertingSettings
from alerting.trust import Pipeline
from query import GroupBy, MetricQuery, Query, QuestionError, ResourceQuery
from storage.ports import SeriesFilter
from telemetry import NowNs, PermanentError

_NS_PER_S: Final = 1_000_000_000
_AT_ONCE: Final = 3
"""Reads of the database that may run beside each other; pages and API want theirs too."""


_STEP_S: Final = 10
"""Steps of resources, which nobody looks at here: their start is moved down to one, so it should be short."""


class Asking(NamedTuple):
    """Whom questions are asked."""

    query: Query
    metrics: MetricQuery
    resources: ResourceQuery


class Reader:
    """Asks `query` for answers, which it does not keep."""

    def __init__(self, settings: AlertingSettings, asking: Asking, pipeline: Pipeline | None, now_ns: NowNs) -> None:
        """Without a pipeline its lag is not answered."""
        self._settings = settings
        self._query, self._metrics, self._resources = asking
        self._pipeline = pipeline
        self._now_ns = now_ns

    async def answers(
        self, questions: Collection[Question], at_s: int | None = None
    ) -> tuple[dict[Question, Answer], dict[Question, str]]:
        """Return the answers as of `at_s` or now, and why others have none: they may not be asked like that.

        Raises `StorageUnavailableError`.
        """
        room = asyncio.Semaphore(_AT_ONCE)
        refused: dict[Question, str] = {}
        answers: dict[Question, Answer] = {}

        async def ask(question: Question) -> None:
            async with room:
                try:
                    answers[question] = await self._answer(
                        question, self._now_ns() // _NS_PER_S if at_s is None else at_s
                    )
                except PermanentError as error:  # nobody may ask that, or the database cannot be asked it
                    refused[question] = str(error)

        ended = await asyncio.gather(*map(ask, questions), return_exceptions=True)
        for error in ended:
            if error is not None:
                raise error
        return answers, refused

    async def _answer(self, question: Question, now_s: int) -> Answer:
        if isinstance(question, LagQuestion):
            if self._pipeline is None:
                raise QuestionError("signal", "the lag of the pipeline is known to the evaluator only")
            return self._pipeline.lag_s
        if isinstance(question, RedQuestion):
            fields = cast(tuple[GroupBy, ...], question.fields)
            end_s = now_s - question.settle_s + 1
            return await self._query.totals(
                question.window_s,
                fields,
                end_s,
                self._settings.max_groups,
                SeriesFilter(span_kinds=question.kinds),
            )
        if isinstance(question, ResourceQuestion):
            return await self._resources.resources(now_s + 1 - question.window_s, now_s + 1, _STEP_S)
        return await self._metrics.window(
            question.window_s, question.where, question.group_by, question.aggregation, now_s + 1
        )
