"""The questions about metrics: which there are, and one of them over time by any label.

Beside `query/component.py`, which asks about RED; the answers come from the history, as fine as it keeps.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Final, NamedTuple

from query.blocks import ceil_to, floor_to, widened
from query.metric_answers import Aggregation, MetricAnswer, MetricInfo, MetricsAnswer
from query.metric_groups import SeriesSamples, aggregations_of, values_of
from query.metric_samples import Sample, samples_of
from query.question import QuestionError, check_range, check_step
from query.settings import QuerySettings
from query.shared_answers import Kept, SharedAnswers
from query.tiers import finest_width_s, fitting_width_s, look_back
from storage.metric_ports import MetricFilter, MetricHistory, label_of
from storage.ports import KeptTier, TooManyPointsError
from telemetry import NowNs
from telemetry.metric_points import MetricColumns
from telemetry.metric_series import MetricSeriesKey, labels_of

_NS_PER_S: Final = 1_000_000_000
_MAX_LABELS: Final = 8
_EVERYTHING: Final = MetricFilter()
_LISTED_FOR_S: Final = 5.0

_Question = tuple[int, int, int, MetricFilter, tuple[str, ...], Aggregation | None]


class _Steps(NamedTuple):
    """The steps of an answer, and from when on points are read for them, in buckets up to how wide."""

    start_s: int
    end_s: int
    step_s: int
    since_s: int
    width_s: int


class MetricQuery:
    """Answers questions about metrics from a history, which it neither starts nor stops."""

    def __init__(self, settings: QuerySettings, history: MetricHistory, now_ns: NowNs = time.time_ns) -> None:
        self._settings = settings
        self._history = history
        self._now_ns = now_ns
        self._lists: SharedAnswers[MetricsAnswer] = SharedAnswers()
        self._values: SharedAnswers[MetricAnswer] = SharedAnswers()

    async def metrics(self, start_s: int, end_s: int, where: MetricFilter = _EVERYTHING) -> MetricsAnswer:
        """Return the metrics that were sent from `start_s` to `end_s`, give or take ten minutes.

        Raises `QuestionError`, or `StorageUnavailableError` when the history does not answer.
        """
        check_range(start_s, end_s, self._settings)
        _check_labels([name for name, _ in where.labels], "where")
        return await self._lists.get((start_s, end_s, where), lambda: self._answer_list(start_s, end_s, where))

    async def metric(
        self,
        start_s: int,
        end_s: int,
        step_s: int,
        where: MetricFilter,
        group_by: Sequence[str] = (),
        aggregation: Aggregation | None = None,
    ) -> MetricAnswer:
        """Return the metric that `where` names from `start_s` to before `end_s`, in steps, one item per group.

        The start is moved down to a multiple of the step, which is widened to a multiple of what the history keeps of
        that time; the end is moved up to its finest bucket. Without an `aggregation` it is the first of those that the
        metric's type has. Raises as `metrics` does.
        """
        check_range(start_s, end_s, self._settings)
        check_step(start_s, end_s, step_s, self._settings)
        _check_labels(group_by, "group_by")
        _check_labels([name for name, _ in where.labels], "where")
        question: _Question = (start_s, end_s, step_s, where, tuple(group_by), aggregation)
        return await self._values.get(question, lambda: self._answer(*question))

    async def window(
        self,
        window_s: int,
        where: MetricFilter,
        group_by: Sequence[str] = (),
        aggregation: Aggregation | None = None,
        end_s: int | None = None,
    ) -> MetricAnswer:
        """Return the metric over the `window_s` seconds before `end_s` as one step, which slides with the time.

        Its start is moved down to a bucket of what the history keeps; without `end_s` it ends with the second that is
        running. Otherwise as `metric`.
        """
        end_s = self._now_ns() // _NS_PER_S + 1 if end_s is None else end_s
        check_range(max(end_s - window_s, 0), end_s, self._settings)
        _check_labels(group_by, "group_by")
        tiers = await self._history.kept()
        start_s = max(end_s - window_s, 0)
        start_s = floor_to(start_s, finest_width_s(tiers, start_s))
        width_s = tiers[0].width_s
        steps = _Steps(start_s, end_s, end_s - start_s, look_back(tiers, start_s, width_s), width_s)
        return (await self._answer_in(steps, where, tuple(group_by), aggregation))[0]

    async def _answer_list(self, start_s: int, end_s: int, where: MetricFilter) -> Kept[MetricsAnswer]:
        still_holds = self._holds_for(_LISTED_FOR_S)
        try:
            series = await self._history.metric_series(start_s, end_s, where)
        except TooManyPointsError as error:
            raise QuestionError("start_s", str(error)) from error
        items = await asyncio.to_thread(_infos, series)
        limit = self._settings.max_groups
        return MetricsAnswer(start_s, end_s, tuple(items[:limit]), is_complete=len(items) <= limit), still_holds

    async def _answer(
        self,
        start_s: int,
        end_s: int,
        step_s: int,
        where: MetricFilter,
        group_by: tuple[str, ...],
        aggregation: Aggregation | None,
    ) -> Kept[MetricAnswer]:
        tiers = await self._history.kept()
        step_s = widened(start_s, step_s, partial(finest_width_s, tiers))
        start_s, end_s = floor_to(start_s, step_s), self._end_in(tiers, end_s)
        since_s = look_back(tiers, start_s, step_s)
        steps = _Steps(start_s, end_s, step_s, since_s, fitting_width_s(tiers, step_s))
        return await self._answer_in(steps, where, group_by, aggregation)

    async def _answer_in(
        self, steps: _Steps, where: MetricFilter, group_by: tuple[str, ...], aggregation: Aggregation | None
    ) -> Kept[MetricAnswer]:
        still_holds = self._holds_for(self._settings.history_cache_s)
        start_s, end_s, step_s, since_s, width_s = steps
        try:
            columns = await self._history.read_metrics(since_s, end_s, where, width_s)
        except TooManyPointsError as error:
            raise QuestionError("start_s", str(error)) from error
        series = _one_metric(columns)
        aggregation = _checked(aggregation, series)
        step_count = -(-(end_s - start_s) // step_s)

        def make() -> MetricAnswer:
            asked = _asked(columns, aggregation)
            found = _samples(asked, group_by, start_s, step_s, since_s)
            items = values_of(found, group_by, step_count, aggregation, self._settings.max_groups)
            self._check_size(len(items), step_count)
            unit, metric_type = (series.metric_unit, series.metric_type) if series else (None, None)
            name = where.metric_name or ""
            return MetricAnswer(start_s, end_s, step_s, name, unit, metric_type, aggregation, tuple(items))

        return await asyncio.to_thread(make), still_holds

    def _check_size(self, groups: int, step_count: int) -> None:
        if groups * step_count > self._settings.max_metric_values:
            least = -(-groups * step_count // self._settings.max_metric_values)
            raise QuestionError(
                "step_s",
                f"{groups} groups in {step_count} steps are more than {self._settings.max_metric_values} values: "
                f"ask for steps {least} times as wide, or group by less",
            )

    def _end_in(self, tiers: Sequence[KeptTier], end_s: int) -> int:
        return max(end_s, min(ceil_to(end_s, tiers[0].width_s), self._now_ns() // _NS_PER_S + 1))

    def _holds_for(self, seconds: float) -> Callable[[], bool]:
        now_ns = self._now_ns()
        return lambda: 0 <= self._now_ns() - now_ns < seconds * _NS_PER_S


def _one_metric(columns: MetricColumns) -> MetricSeriesKey | None:
    """Return a series of the one metric that was found, `None` if none was."""
    spoken_of = sorted({index for _, index, _ in columns.points}) or range(len(columns.series))
    kinds: dict[tuple[str, str], MetricSeriesKey] = {}
    for index in spoken_of:
        series = columns.series[index]
        kinds.setdefault((series.metric_type, series.metric_unit), series)
    if len({metric_type for metric_type, _ in kinds}) > 1:
        types = ", ".join(sorted({metric_type for metric_type, _ in kinds}))
        raise QuestionError("type", f"metrics of this name have the types {types}: name one of them")
    if len(kinds) > 1:
        units = ", ".join(repr(unit) for _, unit in sorted(kinds))
        raise QuestionError("unit", f"metrics of this name have the units {units}: name one of them")
    return next(iter(kinds.values()), None)


def _checked(aggregation: Aggregation | None, series: MetricSeriesKey | None) -> Aggregation:
    if series is None:
        return aggregation or "avg"
    allowed = aggregations_of(series)
    if aggregation is None:
        return allowed[0]
    if aggregation not in allowed:
        raise QuestionError(
            "aggregation", f"of {series.metric_name}, there is no {aggregation}: ask for any of {', '.join(allowed)}"
        )
    return aggregation


def _check_labels(names: Sequence[str], parameter: str) -> None:
    if len(set(names)) < len(names):
        raise QuestionError(parameter, "each label may be named once")
    if len(names) > _MAX_LABELS:
        raise QuestionError(parameter, f"at most {_MAX_LABELS} labels may be named")


def _asked(columns: MetricColumns, aggregation: Aggregation) -> MetricColumns:
    """Leave out series that have no such aggregation, where senders disagree on what a metric of this name is."""
    fitting = [aggregation in aggregations_of(series) for series in columns.series]
    if all(fitting):
        return columns
    return MetricColumns(columns.series, [point for point in columns.points if fitting[point[1]]])


def _samples(
    columns: MetricColumns, group_by: Sequence[str], start_s: int, step_s: int, since_s: int
) -> list[SeriesSamples]:
    by_series: defaultdict[int, list[tuple[int, bytes]]] = defaultdict(list)
    for bucket_s, index, state in columns.points:
        by_series[index].append((bucket_s, state))
    found = []
    for index, points in by_series.items():
        series = columns.series[index]
        samples: dict[int, Sample] = dict(samples_of(series, points, start_s, step_s, since_s))
        if samples:
            found.append(SeriesSamples(series, tuple([label_of(series, name) for name in group_by]), samples))
    return found


def _infos(series: Iterable[MetricSeriesKey]) -> list[MetricInfo]:
    by_metric: defaultdict[tuple[str, str, str], list[MetricSeriesKey]] = defaultdict(list)
    for one in series:
        by_metric[one.metric_name, one.metric_unit, one.metric_type].append(one)
    return [
        MetricInfo(
            *metric,
            series_count=len(of_metric),
            services=tuple(sorted({one.service_name for one in of_metric})),
            attribute_keys=_keys(one.attributes for one in of_metric),
            resource_keys=_keys(one.resource for one in of_metric),
            aggregations=aggregations_of(of_metric[0]),
        )
        for metric, of_metric in sorted(by_metric.items())
    ]


def _keys(labels: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted({key for text in set(labels) for key in labels_of(text)}))
