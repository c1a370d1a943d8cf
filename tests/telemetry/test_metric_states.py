"""States of metrics: any order of merging ends in the same state, and their bytes are the same state again."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from telemetry.metric_buckets import MAX_BUCKETS, ExplicitBuckets, ExponentialBuckets, Side, added, exponential_buckets
from telemetry.metric_points import MetricPoint, merge_metric_points
from telemetry.metric_series import (
    MetricSeriesKey,
    canonical_labels,
    labels_of,
    metric_series_id_of,
)
from telemetry.metric_states import (
    MAX_STARTS,
    Additions,
    Distribution,
    Readings,
    Running,
    Snapshot,
    Start,
    State,
    merge_states,
    pack_histogram,
    state_from_bytes,
)
from telemetry.metric_sums import exact, pack_sum, rounded, unpack_sum

FINITE = st.floats(allow_nan=False, allow_infinity=False).map(lambda value: value + 0.0)
SIMILAR = st.sampled_from([0.1, 0.2, 0.3, 1.0, 1e16, -1e16])
VALUES = FINITE | SIMILAR
TIMES = st.integers(1, 4) | st.integers(1, 2**62)
COUNTS = st.integers(0, 300) | st.integers(0, 2**40)


@st.composite
def exponential(draw: st.DrawFn) -> ExponentialBuckets:
    def side() -> Side:
        offset = draw(st.integers(-400, 400) | st.integers(-(2**30), 2**30))
        return Side(offset, tuple(draw(st.lists(COUNTS, max_size=6))))

    threshold = draw(st.sampled_from([0.0, 0.5]))
    return exponential_buckets(draw(st.integers(-11, 20)), draw(COUNTS), threshold, side(), side())


EXPLICIT = st.tuples(COUNTS, COUNTS, COUNTS).map(ExplicitBuckets)


@st.composite
def readings(draw: st.DrawFn) -> Readings:
    value = draw(VALUES)
    return Readings(1, exact(value), value, value, draw(TIMES), value)


@st.composite
def distributions(draw: st.DrawFn, buckets: st.SearchStrategy[ExplicitBuckets | ExponentialBuckets]) -> Distribution:
    low, high = draw(st.sampled_from([(math.inf, -math.inf), (0.5, 2.0), (1.0, 8.0)]))
    total = draw(st.none() | VALUES.map(exact))
    begin_ns, end_ns = draw(TIMES), draw(TIMES)
    return Distribution(draw(COUNTS), total, begin_ns, end_ns, low, high, draw(buckets))


@st.composite
def runs(draw: st.DrawFn) -> Running:
    shape = draw(st.just(b"") | st.just(pack_histogram(0.0, 1.0, ExplicitBuckets((1, 2)))))
    snapshot = Snapshot(draw(TIMES), draw(VALUES), draw(COUNTS), shape)
    return Running((Start(draw(st.integers(0, 3) | st.integers(0, 100)), snapshot, snapshot, snapshot.value),))


STATES = [
    readings(),
    st.builds(Additions, st.just(1), VALUES.map(exact), TIMES, TIMES),
    distributions(EXPLICIT),
    distributions(exponential()),
    runs(),
]


@pytest.mark.parametrize("states", STATES)
def test_any_order_and_any_grouping_gives_the_same_state(states: st.SearchStrategy[State]) -> None:
    """All at once, shuffled, or in two parts that went to rest in between."""

    @given(st.lists(states, min_size=1, max_size=6), st.randoms(use_true_random=False), st.integers(0, 5))
    def check(parts: list[State], dice: object, cut: int) -> None:
        whole = merge_states(parts)
        shuffled = list(parts)
        dice.shuffle(shuffled)  # type: ignore[attr-defined]
        halves = [half for half in (shuffled[: cut % len(parts)], shuffled[cut % len(parts) :]) if half]
        rested = [state_from_bytes(merge_states(half).to_bytes()) for half in halves]
        assert merge_states(rested) == whole
        assert state_from_bytes(whole.to_bytes()) == whole
        assert merge_states(rested).to_bytes() == whole.to_bytes()

    check()


@given(st.lists(VALUES, max_size=8))
@example([1e308, 1e308, 5e-324, -1e308])
def test_sums_are_exact_and_rounded_once(values: list[float]) -> None:
    """The sum is that of fractions, rounded to the nearest double at the very end."""
    total = sum(map(exact, values))
    wanted = sum(map(Fraction, values), Fraction())
    assert unpack_sum(b"xx" + pack_sum(total), 2) == (total, 2 + len(pack_sum(total)))
    try:
        nearest = float(wanted)
    except OverflowError:
        nearest = 1.7976931348623157e308 * (1 if wanted > 0 else -1)
    assert rounded(total) == nearest


def test_a_sum_of_similar_numbers_is_short() -> None:
    """Millions of readings take no more room than a few."""
    assert len(pack_sum(sum(exact(0.1 * number) for number in range(1, 10_000)))) <= 16


def plain_buckets(parts: Iterable[ExponentialBuckets], scale: int) -> Counter[tuple[str, int]]:
    """Count by bucket at a scale that is no higher than any part's."""
    found: Counter[tuple[str, int]] = Counter()
    for part in parts:
        for name, side in (("+", part.positive), ("-", part.negative)):
            for position, count in enumerate(side.counts):
                found[name, math.floor((side.offset + position) / 2 ** (part.scale - scale))] += count
        found["0", 0] += part.zero_count
    return +found


@given(st.lists(exponential(), min_size=1, max_size=5))
def test_exponential_buckets_add_up_at_a_common_scale(parts: list[ExponentialBuckets]) -> None:
    """Every observation is in its bucket, at the highest scale at which all fit: one higher, they were too many."""
    total = parts[0]
    for part in parts[1:]:
        total = added(total, part)  # type: ignore[assignment]
    assert plain_buckets([total], total.scale) == plain_buckets(parts, total.scale)
    assert max(len(total.positive.counts), len(total.negative.counts)) <= MAX_BUCKETS
    if total.scale < min(part.scale for part in parts):
        indexes = {name: [index for of, index in plain_buckets(parts, total.scale + 1) if of == name] for name in "+-"}
        assert any(max(found) - min(found) >= MAX_BUCKETS for found in indexes.values() if found)


@given(exponential(), exponential())
def test_what_was_added_can_be_taken_away_again(one: ExponentialBuckets, other: ExponentialBuckets) -> None:
    """The increase of a running histogram is a difference; no count of it is less than nothing."""
    both = added(one, other)
    assert isinstance(both, ExponentialBuckets)
    left = added(both, one, -1)
    assert isinstance(left, ExponentialBuckets)
    assert plain_buckets([left], left.scale) == plain_buckets([other], left.scale)
    assert not plain_buckets([added(one, both, -1)], min(one.scale, both.scale)) - plain_buckets(  # type: ignore[list-item]
        [one], min(one.scale, both.scale)
    )


def test_buckets_of_different_kinds_are_no_sum() -> None:
    """Neither are explicit ones of another number of bounds: their series would have to be another."""
    with pytest.raises(TypeError, match="do not add up"):
        added(ExplicitBuckets((1,)), exponential_buckets(0, 1, 0.0, Side(), Side()))
    with pytest.raises(ValueError, match="argument 2 is longer"):
        added(ExplicitBuckets((1,)), ExplicitBuckets((1, 2)))
    with pytest.raises(ValueError, match="not of one series"):
        merge_states([Additions(1, 1, 1, 1), Readings(1, 0, 0.0, 0.0, 1, 0.0)])


def test_only_the_latest_starts_are_kept() -> None:
    """A sender that begins anew with every point cannot make a state large."""
    starts = [Snapshot(number, float(number)) for number in range(1, 100)]
    states = [Running((Start(one.time_ns, one, one, one.value),)) for one in starts]
    merged = merge_states(states)
    assert isinstance(merged, Running)
    assert [start.start_ms for start in merged.starts] == list(range(100 - MAX_STARTS, 100))


def test_points_merge_by_series_and_bucket() -> None:
    """As wide as asked for, aligned to the epoch."""
    series = [MetricSeriesKey("shop", name) for name in ("a", "b")]
    points = [
        MetricPoint(one, second, Additions(1, exact(1.0), second, second)) for one in series for second in range(8, 23)
    ]
    merged = {(point.series, point.start_s): point.state for point in merge_metric_points(points, 10)}
    totals = {(one.metric_name, start_s): rounded(state.total or 0) for (one, start_s), state in merged.items()}  # type: ignore[union-attr]
    assert totals == {(name, start_s): count for name in "ab" for start_s, count in ((0, 2), (10, 10), (20, 3))}


@given(st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=4))
def test_labels_have_one_form(labels: dict[str, str]) -> None:
    """Whatever order they come in; and it can be read again."""
    backwards = dict(reversed(labels.items()))
    assert canonical_labels(labels) == canonical_labels(backwards)
    assert labels_of(canonical_labels(labels)) == labels


def test_series_differ_by_every_field() -> None:
    """Ids are stable, and no field can pass for the one beside it."""
    series = MetricSeriesKey("shop", "load")
    assert metric_series_id_of(series) == metric_series_id_of(MetricSeriesKey("shop", "load"))
    others = [series._replace(**{field: "x"}) for field in MetricSeriesKey._fields]
    others.append(MetricSeriesKey("sho", "pload"))
    assert len({metric_series_id_of(one) for one in [series, *others]}) == len(others) + 1
