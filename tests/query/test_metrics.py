"""Questions about metrics: increases through resets, rates, quantiles of merged histograms, groups and bounds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor.component import build_metric_decoder
from processor.settings import ProcessorSettings
from query import (
    OVERFLOW,
    Aggregation,
    MetricAnswer,
    MetricFilter,
    QuerySettings,
    QuestionError,
    StorageUnavailableError,
)
from query.metric_quantiles import intervals_of, quantile_of
from telemetry.metric_buckets import ExplicitBuckets, Side, added, exponential_buckets
from tests.support.otlp import resource
from tests.support.otlp_metrics import (
    exponential_histogram,
    exponential_point,
    gauge,
    histogram,
    histogram_point,
    metric_request,
    number_point,
    summary,
    summary_point,
    total,
)
from tests.support.query_world import NOW_S, World, make_world

START_S = NOW_S - NOW_S % 60 - 600
INFINITE = (-math.inf, math.inf)


class Metrics:
    """A world that takes OTLP metrics and is asked about them in steps of ten seconds from `START_S` on."""

    def __init__(self, settings: QuerySettings | None = None) -> None:
        self.world: World = make_world(settings=settings or QuerySettings(history_cache_s=0))
        self._decoder = build_metric_decoder(ProcessorSettings())

    async def send(self, *metrics: Any, service: str = "shop", **attributes: object) -> None:
        body = metric_request(metrics, resource(service, **attributes)).SerializeToString()
        decoded = self._decoder.decode(body, latest_ns=2**62)
        assert decoded.invalid_count == 0
        await self.world.history.commit([], [], decoded.points)

    async def ask(
        self,
        name: str,
        aggregation: Aggregation | None = None,
        *group_by: str,
        start_s: int = START_S,
        seconds: int = 60,
        step_s: int = 10,
        **fields: Any,
    ) -> MetricAnswer:
        where = MetricFilter(metric_name=name, **fields)
        return await self.world.metrics.metric(start_s, start_s + seconds, step_s, where, group_by, aggregation)

    async def values(self, name: str, aggregation: Aggregation, **question: Any) -> list[float | None]:
        """Return the values of the one group."""
        answer = await self.ask(name, aggregation, **question)
        (item,) = answer.items or [None]
        return [] if item is None else list(item.values)


def at(point: Any, second: float, start: float | None = None) -> Any:
    """Date a point, by seconds after `START_S`."""
    point.time_unix_nano = int((START_S + second) * 1e9)
    if start is not None:
        point.start_time_unix_nano = int((START_S + start) * 1e9)
    return point


def counter(*points: tuple[float, float], start: float | None = None, name: str = "calls", **labels: object) -> Any:
    return total(*(at(number_point(float(value), **labels), second, start) for second, value in points), name=name)


async def test_increases_are_differences_and_belong_to_the_step_of_the_later_point() -> None:
    """Steps without a point have no value, and the next one has all since the last."""
    metrics = Metrics()
    await metrics.send(counter((5, 10), (15, 14), (45, 20), start=0))
    assert await metrics.values("calls", "increase") == [10, 4, None, None, 6, None]
    assert await metrics.values("calls", "rate") == [2, 0.4, None, None, 0.2, None]
    assert await metrics.values("calls", "last") == [10, 14, None, None, 20, None]


async def test_another_start_counts_from_nothing_however_large_the_value() -> None:
    """A service that restarts and is busier than before loses no call."""
    metrics = Metrics()
    await metrics.send(counter((5, 10), start=0), counter((15, 100), (25, 130), start=7))
    assert await metrics.values("calls", "increase") == [10, 100, 30, None, None, None]


async def test_restarts_within_a_step_are_added_up() -> None:
    """Each start counts for itself, and the rate is by the time that they cover together."""
    metrics = Metrics()
    await metrics.send(counter((3, 30), start=0), counter((8, 50), start=3))
    assert await metrics.values("calls", "increase") == [80, None, None, None, None, None]
    assert await metrics.values("calls", "rate") == [10, None, None, None, None, None]


async def test_two_writers_of_one_series_do_not_reset_each_other() -> None:
    """Workers that share an identity alternate; each goes on from its own value."""
    metrics = Metrics()
    for second in (2, 12, 22, 32):
        await metrics.send(counter((second, 10 * second), start=0), counter((second + 5, 1_000 + second), start=1))
    assert await metrics.values("calls", "increase") == [20 + 1_002, 110, 110, 110, None, None]


async def test_without_a_start_only_a_decrease_is_a_reset() -> None:
    """The first point is then no increase, as nobody knows what was before it."""
    metrics = Metrics()
    await metrics.send(counter((5, 10), (15, 14), (25, 3), (35, 8)))
    assert await metrics.values("calls", "increase") == [None, 4, 3, 5, None, None]


async def test_a_decrease_within_a_bucket_is_seen_by_its_peak() -> None:
    """From first to peak, and from nothing to last."""
    metrics = Metrics()
    await metrics.send(counter((1, 10), (4, 18), (8, 5)))
    assert await metrics.values("calls", "increase") == [13, None, None, None, None, None]


async def test_a_start_before_what_is_looked_at_counts_from_its_first_point() -> None:
    """A service that has run for a year did not make all its calls in the first step."""
    metrics = Metrics()
    await metrics.send(counter((5, 1e9), (15, 1e9 + 4), start=-30_000_000))
    assert await metrics.values("calls", "increase") == [None, 4, None, None, None, None]


async def test_what_was_before_the_range_is_where_increases_go_on_from() -> None:
    """However the range is chosen, a step has the same increase."""
    metrics = Metrics()
    await metrics.send(counter(*((10 * number + 5, number**2) for number in range(-8, 6)), start=-1_000))
    whole = await metrics.values("calls", "increase", start_s=START_S - 60, seconds=120)
    assert await metrics.values("calls", "increase") == whole[6:]


async def test_reporters_that_tell_the_same_start_a_little_differently_are_one() -> None:
    """What claims to have begun before the other was last seen, and goes on from it, is the other."""
    metrics = Metrics()
    for number in range(4):
        await metrics.send(counter((10 * number + 5, 100 + 10 * number), start=-50 + number / 7))
    assert await metrics.values("calls", "increase") == [100, 10, 10, 10, None, None]


async def test_increases_of_wide_steps_are_those_of_the_narrow_ones_within() -> None:
    """Resets between buckets, and starts that are told a little differently, are not lost in a wider step."""
    for start in (-50, -3_000):
        jittering = Metrics()
        for number in range(6):
            await jittering.send(counter((10 * number + 5, 100 + 10 * number), start=start + number / 7))
        # A start before what is looked at says nothing of the first point.
        whole = 150 if start == -50 else 50
        assert [await jittering.values("calls", "increase", step_s=step_s) for step_s in (30, 60)] == [
            [whole - 30, 30],
            [whole],
        ]
    resetting = Metrics()
    await resetting.send(counter((5, 10), (15, 20), (25, 3), (35, 8), (45, 2), (55, 30)))
    assert await resetting.values("calls", "increase", step_s=20) == [10, 8, 30]
    assert await resetting.values("calls", "increase", step_s=60) == [48]


async def test_totals_of_containers_go_on_when_their_reporter_restarts() -> None:
    """A Collector dates them from its own start; a container that restarts has less than before."""
    metrics = Metrics()
    name = "container.cpu.time"
    await metrics.send(counter((5, 500), (15, 504), start=0, name=name))
    await metrics.send(counter((25, 510), start=20, name=name), counter((35, 2), start=30, name=name))
    assert await metrics.values(name, "increase") == [None, 4, 6, 2, None, None]


async def test_delta_sums_add_up() -> None:
    """The rate is by the time that the points speak of."""
    metrics = Metrics()
    points = [at(number_point(4), 8, 4), at(number_point(6), 9, 8), at(number_point(60), 35, -25)]
    await metrics.send(total(*points, temporality=1))
    assert await metrics.values("calls", "increase") == [10, None, None, 60, None, None]
    assert await metrics.values("calls", "rate") == [2, None, None, 1, None, None]


@pytest.mark.parametrize(
    ("aggregation", "value"), [("avg", (2 + 9) / 2), ("min", 1), ("max", 9), ("sum", 2 + 9), ("last", 9)]
)
async def test_readings_are_made_one_of_each_series_first(aggregation: Aggregation, value: float) -> None:
    """A series that reports oftener does not count more."""
    metrics = Metrics()
    often = [at(number_point(value, of="a"), second) for second, value in ((1, 1), (2, 2), (3, 3))]
    await metrics.send(gauge(*often, at(number_point(9, of="b"), 5)))
    assert (await metrics.values("load", aggregation))[0] == value


async def test_sums_that_go_both_ways_are_readings() -> None:
    """What a container takes of its memory is not asked for by the second."""
    metrics = Metrics()
    points = total(at(number_point(7.0), 5), name="container.memory.usage")
    points.sum.is_monotonic = False
    await metrics.send(points)
    answer = await metrics.ask("container.memory.usage")
    assert (answer.aggregation, answer.type, answer.items[0].values[0]) == ("avg", "sum", 7.0)


def seen(bucket_counts: Sequence[int], second: float, start: float, **fields: Any) -> Any:
    return at(histogram_point(bucket_counts, (1.0, 2.0), **fields), second, start)


@pytest.mark.parametrize("temporality", [1, 2])
async def test_histograms_have_quantiles_means_and_counts_of_each_step(temporality: Any) -> None:
    """Of a total as of deltas: what was observed between two points."""
    metrics = Metrics()
    second = (6, 10, 0) if temporality == 2 else (2, 10, 0)
    points = [seen((4, 0, 0), 5, 0, sum=2), seen(second, 15, 0 if temporality == 2 else 5, sum=17)]
    await metrics.send(histogram(*points, temporality=temporality))
    assert await metrics.values("latency", "increase") == [4, 12, None, None, None, None]
    assert (await metrics.values("latency", "p50"))[:2] == [0.5, 1.4]
    average = (17 - 2) / 12 if temporality == 2 else 17 / 12
    assert (await metrics.values("latency", "avg"))[:2] == [0.5, average]
    assert (await metrics.values("latency", "rate"))[1] == 1.2


async def test_quantiles_stay_within_the_extremes_that_points_name() -> None:
    """A sender with buckets of milliseconds for seconds has all in the first one."""
    metrics = Metrics()
    await metrics.send(histogram(seen((10, 0, 0), 5, 0, min=0.2, max=0.4)))
    assert (await metrics.values("latency", "p50"))[0] == pytest.approx(0.3)


async def test_histograms_of_different_bounds_are_merged_for_a_quantile() -> None:
    """Ten lie evenly between 0 and 1, ten between 0 and 2: half of all lie below two thirds."""
    metrics = Metrics()
    other = at(histogram_point((10, 0), (2.0,)), 6, 0)
    await metrics.send(histogram(seen((10, 0, 0), 5, 0), other))
    assert (await metrics.values("latency", "p50"))[0] == pytest.approx(2 / 3)


async def test_a_histogram_that_begins_anew_counts_from_nothing() -> None:
    """By its count, where it names no start."""
    metrics = Metrics()
    points = [at(histogram_point(counts, (1.0, 2.0)), second) for second, counts in ((5, (9, 0, 0)), (15, (0, 3, 0)))]
    await metrics.send(histogram(*points))
    assert await metrics.values("latency", "increase") == [None, 3, None, None, None, None]
    assert (await metrics.values("latency", "p50"))[1] == 1.5


async def test_exponential_histograms_of_different_scales_add_up() -> None:
    """A total whose scale went down in between: the increase is told at the lower one."""
    metrics = Metrics()
    fine, coarse = exponential_point((2, 0, 2)), exponential_point((4, 4))
    fine.scale, fine.positive.offset = 1, 0
    coarse.scale, coarse.positive.offset = 0, 0
    await metrics.send(exponential_histogram(at(fine, 5, 0), at(coarse, 15, 0)))
    assert await metrics.values("size", "increase") == [4, 4, None, None, None, None]
    # Of (1, 2] there were two, of (2, 4] two; now there are four of each.
    assert (await metrics.values("size", "p50"))[1] == 2.0


async def test_summaries_have_means_rates_and_their_own_quantiles() -> None:
    """Quantiles of several summaries cannot be made into one, and are not."""
    metrics = Metrics()
    one = at(summary_point(0.5), 5, 0)
    one.count, one.sum = 10, 25.0
    await metrics.send(summary(one))
    assert (await metrics.values("age", "avg"))[0] == 2.5
    assert (await metrics.values("age", "rate"))[0] == 2.0
    assert (await metrics.values("age", "p50"))[0] == 1.0
    assert await metrics.values("age", "p95") == []
    await metrics.send(summary(one), service="other")
    assert await metrics.values("age", "p50") == []
    assert (await metrics.values("age", "rate"))[0] == 4.0


async def test_groups_are_by_attributes_and_by_labels_of_the_resource() -> None:
    """And by the service's own; a label that a series does not have is empty."""
    metrics = Metrics()
    await metrics.send(counter((5, 1), start=0, kind="a"), counter((5, 2), start=0, kind="b"), container__name="one")
    await metrics.send(counter((5, 4), start=0), service="other", service__instance__id="i")
    for group_by, wanted in (
        (("kind",), {("a",): 1, ("b",): 2, ("",): 4}),
        (("container.name", "service"), {("one", "shop"): 3, ("", "other"): 4}),
        (("instance",), {("i",): 4, ("",): 3}),
        ((), {(): 7}),
    ):
        answer = await metrics.ask("calls", "increase", *group_by)
        assert {tuple(item.labels.values()): item.values[0] for item in answer.items} == wanted
        assert all(tuple(item.labels) == group_by for item in answer.items)


async def test_filters_are_by_service_and_by_any_label() -> None:
    """All of them must hold."""
    metrics = Metrics()
    for service, name, value in (("a", "x", 1), ("a", "y", 2), ("b", "x", 4)):
        await metrics.send(counter((5, value), start=0), service=service, container__name=name)
    assert (await metrics.values("calls", "increase", service_name="a"))[0] == 3
    assert (await metrics.values("calls", "increase", labels=(("container.name", "x"),)))[0] == 5
    both: dict[str, Any] = {"service_name": "b", "labels": (("container.name", "y"),)}
    assert await metrics.values("calls", "increase", **both) == []


async def test_the_smallest_groups_beyond_the_limit_are_one() -> None:
    """With the value that their series have together."""
    metrics = Metrics(QuerySettings(max_groups=3))
    await metrics.send(*(counter((5, value), start=0, of=value) for value in range(1, 9)))
    answer = await metrics.ask("calls", "increase", "of")
    assert {item.labels["of"]: item.values[0] for item in answer.items} == {"7": 7, "8": 8, OVERFLOW: 21}


async def test_steps_are_widened_to_the_buckets_of_the_history() -> None:
    """And the start is moved down to one; the answer says so."""
    metrics = Metrics()
    await metrics.send(counter((5, 1), start=0))
    answer = await metrics.ask("calls", "increase", start_s=START_S + 3, seconds=14, step_s=7)
    assert (answer.start_s, answer.end_s, answer.step_s) == (START_S, START_S + 20, 10)
    assert answer.items[0].values == (1, None)


async def test_a_metric_that_nobody_sent_is_an_empty_answer() -> None:
    """Its unit and type are not known."""
    answer = await Metrics().ask("nothing", "rate")
    assert (answer.items, answer.unit, answer.type) == ((), None, None)


async def test_what_cannot_be_asked_is_said() -> None:
    """The parameter at fault, and what is allowed."""
    metrics = Metrics(QuerySettings(max_metric_values=1_000))
    await metrics.send(counter((5, 1), start=0), gauge(at(number_point(1), 5), name="calls"))
    await metrics.send(*(gauge(at(number_point(1, of=number), 5)) for number in range(300)))
    await metrics.send(gauge(at(number_point(1), 5), name="two"))
    other = gauge(at(number_point(1), 5), name="two")
    other.unit = "By"
    await metrics.send(other)
    asked: list[tuple[str, str, Mapping[str, Any]]] = [
        ("type", "gauge, sum", {"name": "calls"}),
        ("unit", "'', 'By'", {"name": "two"}),
        ("aggregation", "no rate: ask for any of avg", {"name": "load", "aggregation": "rate"}),
        ("aggregation", "no avg: ask for any of rate", {"name": "calls", "aggregation": "avg", "metric_type": "sum"}),
        ("end_s", "after the start", {"name": "load", "seconds": 0}),
        ("step_s", "at least 1 s", {"name": "load", "step_s": 0}),
        ("where", "once", {"name": "load", "labels": (("a", "b"), ("a", "c"))}),
    ]
    for parameter, message, question in asked:
        with pytest.raises(QuestionError, match=message) as refusal:
            await metrics.ask(**question)
        assert refusal.value.parameter == parameter
    with pytest.raises(QuestionError, match="steps 2 times as wide") as refusal:
        await metrics.ask("load", "avg", "of")
    assert refusal.value.parameter == "step_s"
    with pytest.raises(QuestionError, match="once"):
        await metrics.ask("load", "avg", "of", "of")
    with pytest.raises(QuestionError, match="at most 8"):
        await metrics.ask("load", "avg", *"abcdefghi")
    metrics.world.history.is_down = True
    with pytest.raises(StorageUnavailableError):
        await metrics.ask("load", "max")


async def test_series_that_another_sender_made_of_another_kind_are_left_out() -> None:
    """Where one says that a sum only grows and another that it does not, each question is about those that fit."""
    metrics = Metrics()
    await metrics.send(counter((5, 4), start=0), service="a")
    other = counter((5, 100), start=0)
    other.sum.is_monotonic = False
    await metrics.send(other, service="b")
    assert (await metrics.values("calls", "rate"))[0] == 0.8


async def test_the_list_tells_what_there_is_to_ask() -> None:
    """By name, unit and type, with the services, the labels and the aggregations."""
    metrics = Metrics()
    await metrics.send(counter((5, 1), start=0, kind="a"), counter((5, 1), start=0, kind="b"), container__id="x")
    await metrics.send(counter((5, 1), start=0), gauge(at(number_point(1), 5)), service="b")
    answer = await metrics.world.metrics.metrics(START_S, START_S + 60)
    calls, load = answer.items
    assert (calls.name, calls.unit, calls.type, calls.series_count) == ("calls", "", "sum", 3)
    assert (calls.services, calls.attribute_keys, calls.resource_keys) == (("b", "shop"), ("kind",), ("container.id",))
    assert calls.aggregations == ("rate", "increase", "last")
    assert (load.name, load.services, answer.is_complete) == ("load", ("b",), True)
    only_b = await metrics.world.metrics.metrics(START_S, START_S + 60, MetricFilter(service_name="b"))
    assert [item.series_count for item in only_b.items] == [1, 1]


OBSERVED = st.lists(st.floats(0.01, 100), min_size=1, max_size=60)


@given(OBSERVED, st.sampled_from([0.5, 0.95, 0.99]), st.integers(0, 6))
def test_quantiles_of_exponential_histograms_are_as_near_as_their_buckets(
    values: list[float], quantile: float, scale: int
) -> None:
    """No farther from the true one than one bucket is wide."""
    buckets = exponential_of(values, scale)
    found = quantile_of([intervals_of("", buckets)], INFINITE, quantile)
    true = float(np.quantile(values, quantile, method="inverted_cdf"))
    # Lower than asked for where the values lie so far apart that there would be too many buckets.
    base = 2 ** (2.0**-buckets.scale) * (1 + 1e-9)
    assert found is not None
    assert true / base <= found <= true * base


def exponential_of(values: Sequence[float], scale: int) -> Any:
    buckets: Any = exponential_buckets(scale, 0, 0.0, Side(), Side())
    for value in values:
        index = math.ceil(math.log2(value) * 2**scale) - 1
        buckets = added(buckets, exponential_buckets(scale, 0, 0.0, Side(index, (1,)), Side()))
    return buckets


COUNTS = st.lists(st.integers(0, 5), min_size=4, max_size=4)


@given(COUNTS, COUNTS, st.floats(0.01, 1))
def test_quantiles_of_overlapping_buckets_are_those_of_evenly_spread_values(
    one: list[int], other: list[int], quantile: float
) -> None:
    """As many lie up to the quantile as it says, if every bucket is spread out evenly."""
    parts = [
        intervals_of("1.0,2.0,4.0", ExplicitBuckets(tuple(one))),
        intervals_of("0.5,3.0,3.5", ExplicitBuckets(tuple(other))),
    ]
    found = quantile_of(parts, (0.0, 5.0), quantile)
    total_count = sum(one) + sum(other)
    if not total_count:
        assert found is None
        return
    assert found is not None
    bounds = [((0, 1), (1, 2), (2, 4), (4, 5)), ((0, 0.5), (0.5, 3), (3, 3.5), (3.5, 5))]

    def up_to(place: float) -> float:
        return sum(
            count * min(max((place - low) / (high - low), 0), 1)
            for counts, cells in zip((one, other), bounds, strict=True)
            for count, (low, high) in zip(counts, cells, strict=True)
        )

    assert up_to(found + 1e-6) >= quantile * total_count - 1e-6
    assert up_to(found - 1e-6) <= quantile * total_count + 1e-6


def test_negative_observations_and_zeros_have_their_place() -> None:
    """Below zero, at zero, above zero."""
    buckets = exponential_buckets(0, 2, 0.0, Side(0, (1,)), Side(0, (1,)))
    cells = [intervals_of("", buckets)]
    assert quantile_of(cells, INFINITE, 0.25) == -1.0
    assert quantile_of(cells, INFINITE, 0.5) == 0.0
    assert quantile_of(cells, INFINITE, 1.0) == 2.0
    assert quantile_of([intervals_of("", ExplicitBuckets((3,)))], INFINITE, 0.5) is None


async def test_a_window_is_one_step_that_ends_now() -> None:
    """Its value is made of what lies in it, wherever the clock stands within a bucket."""
    metrics = Metrics()
    await metrics.send(gauge(*(at(number_point(float(second)), second) for second in range(0, 120, 10))))
    for end_s in (60, 65, 80):
        where = MetricFilter(metric_name="load")
        answer = await metrics.world.metrics.window(30, where, (), "max", START_S + end_s)
        assert answer.end_s == START_S + end_s
        assert [item.values for item in answer.items] == [((end_s - 1) // 10 * 10,)]


async def test_increases_in_a_window_are_told_from_what_came_before_it() -> None:
    """A counter that reports once a minute has a rate in any window that holds a report."""
    metrics = Metrics()
    await metrics.send(counter(*((60 * minute, 60 * minute) for minute in range(4)), start=-600))
    where = MetricFilter(metric_name="calls")
    answer = await metrics.world.metrics.window(60, where, (), "rate", START_S + 185)
    assert [item.values for item in answer.items] == [(1,)]
    with pytest.raises(QuestionError):
        await metrics.world.metrics.window(10**9, where)
