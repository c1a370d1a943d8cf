"""The questions people ask: all services at a glance, RED over time by any grouping.

Pages, API and alerts ask here; the answers come from the live window or the history, whichever holds all that is asked.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final

from query import blocks as time_blocks
from query.answers import BreakdownAnswer, GroupBy, LatencyAnswer, RedAnswer, ServicesAnswer
from query.assembly import SUMMARY_FIELDS, breakdown_answer, red_answer, services_answer
from query.blocks import Block, ceil_to, floor_to
from query.cells import Cells
from query.choice import SourceChoice
from query.derivation import Derivation
from query.latency import latency_answer
from query.overflow import folded
from query.question import check_group_by, check_range, check_step, check_window
from query.settings import QuerySettings
from query.shared_answers import Kept, SharedAnswers
from query.sources import LiveSource, Source
from query.totals import SlidingTotals, WindowTotals
from storage.ports import History, LiveFeed, SeriesFilter
from telemetry import NowNs

_NS_PER_S: Final = 1_000_000_000
_EVERY_SERIES: Final = SeriesFilter()
_INLINE_CELLS: Final = 1_000
_LONGEST_KEPT_S: Final = 1.0


class Query:
    """Answers questions from a history and a live feed, which it neither starts nor stops.

    `now_ns` is the clock by which "now" and the age of kept figures are told.
    """

    def __init__(self, settings: QuerySettings, history: History, live: LiveFeed, now_ns: NowNs = time.time_ns) -> None:
        self._settings = settings
        self._history = history
        self._live = live
        self._now_ns = now_ns
        self._choice = SourceChoice(settings, history, live, now_ns)
        self._derivation = Derivation(settings)
        self._services: SharedAnswers[ServicesAnswer] = SharedAnswers()
        self._red: SharedAnswers[RedAnswer] = SharedAnswers()
        self._breakdowns: SharedAnswers[BreakdownAnswer] = SharedAnswers()
        self._latency: SharedAnswers[LatencyAnswer] = SharedAnswers()

    def use(self, settings: QuerySettings) -> None:
        """Judge by these thresholds and keep to these limits from now on; caches stay as large as they are."""
        self._settings = settings
        self._derivation.use(settings)

    async def services(
        self, window_s: int, where: SeriesFilter = _EVERY_SERIES, end_s: int | None = None
    ) -> ServicesAnswer:
        """Return every service seen in the `window_s` seconds before `end_s`, with its totals and its health.

        Without `end_s` the window ends with the second that is running, so that nothing known is left out; the
        latest `settle_s` seconds may then still grow. In the history the start is moved down to a bucket, which may be
        as wide as one part in 24 of the window: to a minute from 24 minutes on, to an hour from a day on.
        Raises `QuestionError`, or `StorageUnavailableError` when the history is needed and does not answer.
        """
        check_window(window_s, self._settings)
        end_s = self._now_s() + 1 if end_s is None else end_s
        check_range(end_s - window_s, end_s, self._settings)
        question = (window_s, where, end_s)
        return await self._services.get(question, lambda: self._answer_services(end_s - window_s, end_s, where))

    async def red(
        self,
        start_s: int,
        end_s: int,
        step_s: int,
        group_by: Sequence[GroupBy] = ("service",),
        where: SeriesFilter = _EVERY_SERIES,
    ) -> RedAnswer:
        """Return RED from `start_s` to before `end_s` in steps of `step_s` seconds, one item per group with calls.

        The start is moved down to a multiple of the step, so that the steps of a chart that moves keep their place.
        The history widens the step to a multiple of its own and, unless the range reaches the present, moves the end up
        to a bucket; the answer says what was done. Raises as `services` does.
        """
        check_group_by(group_by)
        check_range(start_s, end_s, self._settings)
        check_step(start_s, end_s, step_s, self._settings)
        question = (start_s, end_s, step_s, tuple(group_by), where)
        return await self._red.get(question, lambda: self._answer_red(*question))

    async def breakdown(
        self, window_s: int, end_s: int, group_by: Sequence[GroupBy], where: SeriesFilter = _EVERY_SERIES
    ) -> BreakdownAnswer:
        """Return RED by any grouping over the `window_s` seconds before `end_s`, one item per group with calls.

        The same stretch of time that `services` tells of, so that the groups add up to its total; raises as it does.
        """
        check_group_by(group_by)
        check_window(window_s, self._settings)
        check_range(end_s - window_s, end_s, self._settings)
        question = (window_s, end_s, tuple(group_by), where)
        return await self._breakdowns.get(question, lambda: self._answer_breakdown(*question))

    async def latency(
        self, start_s: int, end_s: int, step_s: int, where: SeriesFilter = _EVERY_SERIES
    ) -> LatencyAnswer:
        """Return how durations were spread from `start_s` to before `end_s`, in steps of `step_s` seconds.

        Start, end and step become what `red` makes of them, and raises as it does. Cheap beside a question of `red`
        without groups: both are made from the same figures.
        """
        check_range(start_s, end_s, self._settings)
        check_step(start_s, end_s, step_s, self._settings)
        question = (start_s, end_s, step_s, where)
        return await self._latency.get(question, lambda: self._answer_latency(*question))

    async def totals(
        self,
        window_s: int,
        group_by: Sequence[GroupBy],
        end_s: int | None = None,
        max_groups: int | None = None,
        where: SeriesFilter = _EVERY_SERIES,
    ) -> WindowTotals:
        """Return RED of the `window_s` seconds before `end_s` as one, by the finest grouping that is wanted of it.

        For whoever asks many things of one window. Without `end_s` it ends with the second that is running; its start
        is moved down to a bucket of the source. The smallest groups beyond `max_groups` are one. Raises as `services`.
        """
        check_window(window_s, self._settings)
        check_group_by(group_by)
        end_s = self._now_s() + 1 if end_s is None else end_s
        source = await self._choice.source_for(max(end_s - window_s, 0))
        start_s = floor_to(max(end_s - window_s, 0), source.grain_s(window_s))
        blocks = time_blocks.covering((start_s, self._end_in(source, end_s)), source.bucket_s)
        fields = tuple(group_by)
        found = await self._derivation.cells(source, blocks, fields, where)
        columns = folded(found, max_groups or self._settings.max_groups)
        made_of = Block(start_s, blocks[-1].end_s)
        return await self._derivation.worker.off_loop_if(
            _is_large(columns), lambda: WindowTotals(fields, *made_of, columns, self._settings.apdex_target_of)
        )

    async def sliding_totals(
        self,
        start_s: int,
        end_s: int,
        step_s: int,
        window_s: int,
        group_by: Sequence[GroupBy],
        where: SeriesFilter = _EVERY_SERIES,
    ) -> SlidingTotals:
        """Return RED of the windows that end at each step from `start_s` to `end_s`, as if asked at that time.

        The step is widened to a multiple of what the history keeps of that time, and so is the window. Raises as
        `services` does.
        """
        check_group_by(group_by)
        check_range(max(start_s - window_s, 0), end_s, self._settings)
        check_step(start_s, end_s, step_s, self._settings)
        source = await self._choice.source_for(floor_to(max(start_s - window_s, 0), step_s))
        step_s = time_blocks.widened(max(start_s - window_s, 0), step_s, source.bucket_s_at)
        window_s = ceil_to(window_s, step_s)
        blocks = time_blocks.steps(floor_to(max(start_s - window_s, 0), step_s), ceil_to(end_s, step_s), step_s)
        fields = tuple(group_by)
        columns = await self._derivation.cells(source, blocks, fields, where)
        kept = folded(columns, self._settings.max_groups)
        return SlidingTotals(fields, blocks, kept, window_s, self._settings.apdex_target_of)

    def settled_end_s(self) -> int:
        """Return the Unix second up to which, exclusive, live figures are expected to be complete."""
        return self._now_s() - self._settings.settle_s

    async def check(self) -> None:
        """Return when the history answers, raise `StorageUnavailableError` when it does not."""
        await self._history.check()

    async def _answer_services(self, start_s: int, end_s: int, where: SeriesFilter) -> Kept[ServicesAnswer]:
        recent_s = max(end_s - self._settings.health_window_s, 0)
        source = await self._choice.source_for(min(start_s, recent_s))
        start_s = floor_to(start_s, source.grain_s(end_s - start_s))
        recent_s = floor_to(recent_s, source.bucket_s_at(recent_s))
        end_s = self._end_in(source, end_s)
        cuts = sorted({start_s, recent_s, end_s})
        blocks = time_blocks.covering(cuts, source.bucket_s)
        still_holds = self._holds(source, Block(cuts[0], end_s))
        columns = await self._derivation.cells(source, blocks, SUMMARY_FIELDS, where)
        answer = await self._derivation.worker.off_loop_if(
            _is_large(columns),
            lambda: services_answer(Block(start_s, end_s), Block(recent_s, end_s), blocks, columns, self._settings),
        )
        return answer, still_holds

    async def _answer_breakdown(
        self, window_s: int, end_s: int, group_by: tuple[GroupBy, ...], where: SeriesFilter
    ) -> Kept[BreakdownAnswer]:
        start_s = end_s - window_s
        # Chosen as for `services`, which looks at health too.
        source = await self._choice.source_for(min(start_s, max(end_s - self._settings.health_window_s, 0)))
        asked = Block(floor_to(start_s, source.grain_s(window_s)), self._end_in(source, end_s))
        blocks = time_blocks.covering(asked, source.bucket_s)
        still_holds = self._holds(source, asked)
        columns = await self._derivation.cells(source, blocks, group_by, where)
        answer = await self._derivation.worker.off_loop_if(
            _is_large(columns), lambda: breakdown_answer(asked, columns, group_by, self._settings, where.service_name)
        )
        return answer, still_holds

    async def _answer_red(
        self, start_s: int, end_s: int, step_s: int, group_by: tuple[GroupBy, ...], where: SeriesFilter
    ) -> Kept[RedAnswer]:
        source, step_s, blocks, columns, still_holds = await self._steps(start_s, end_s, step_s, group_by, where)
        answer = await self._derivation.worker.off_loop_if(
            _is_large(columns),
            lambda: red_answer(blocks, columns, step_s, source.name, group_by, self._settings),
        )
        return answer, still_holds

    async def _answer_latency(self, start_s: int, end_s: int, step_s: int, where: SeriesFilter) -> Kept[LatencyAnswer]:
        source, step_s, blocks, columns, still_holds = await self._steps(start_s, end_s, step_s, (), where)
        return latency_answer(blocks, columns, step_s, source.name), still_holds

    async def _steps(
        self, start_s: int, end_s: int, step_s: int, group_by: tuple[GroupBy, ...], where: SeriesFilter
    ) -> tuple[Source, int, list[Block], list[Cells], Callable[[], bool]]:
        """Return the source, the step that it allows, the steps and their cells, and whether they still hold."""
        source = await self._choice.source_for(floor_to(start_s, step_s))
        step_s = time_blocks.widened(start_s, step_s, source.bucket_s_at)
        start_s, end_s = floor_to(start_s, step_s), self._end_in(source, end_s)
        blocks = time_blocks.steps(start_s, end_s, step_s)
        still_holds = self._holds(source, Block(start_s, end_s))
        return source, step_s, blocks, await self._derivation.cells(source, blocks, group_by, where), still_holds

    def _end_in(self, source: Source, end_s: int) -> int:
        """Move the end up to a bucket of the source, as a bucket cannot be divided, but never beyond the present."""
        return max(end_s, min(ceil_to(end_s, source.bucket_s), self._now_s() + 1))

    def _holds(self, source: Source, asked: Block) -> Callable[[], bool]:
        """Return the function that tells whether an answer read from the source now is still the answer."""
        now_ns = self._now_ns()
        if not isinstance(source, LiveSource):
            return lambda: 0 <= self._now_ns() - now_ns < self._settings.history_cache_s * _NS_PER_S
        window, since_s, revision = source.identity, source.identity.complete_since_s, source.revision(asked)
        return lambda: (
            0 <= self._now_ns() - now_ns < _LONGEST_KEPT_S * _NS_PER_S
            and self._live.window is window
            and window.complete_since_s == since_s
            and LiveSource(window).revision(asked) == revision
        )

    def _now_s(self) -> int:
        return self._now_ns() // _NS_PER_S


def _is_large(columns: Sequence[Cells]) -> bool:
    return sum(map(len, columns)) > _INLINE_CELLS
