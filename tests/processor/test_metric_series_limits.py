"""The limits on series of metrics: what can be added up beyond them is, the rest is counted, the cause is named."""

from __future__ import annotations

from processor.metric_series_limits import MetricSeriesLimits
from telemetry import Counters
from telemetry.metric_points import MetricPoint
from telemetry.metric_series import MetricSeriesKey, canonical_labels
from telemetry.metric_states import Additions, Readings, Running, Snapshot, Start, State
from telemetry.metric_sums import exact
from tests.support.doubles import ManualClock

SECOND = 1_700_000_000


class Limits:
    """Three series per service, ten in all, forgotten after a minute."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.counters = Counters()
        self.limits = MetricSeriesLimits(3, 10, 60, self.clock, self.counters)

    def bounded(self, *points: MetricPoint) -> list[MetricPoint]:
        return self.limits.bounded(points)

    @property
    def discarded(self) -> int:
        return self.counters.total("processor_discarded_points")


def point(state: State, of: object, name: str = "calls", service: str = "shop") -> MetricPoint:
    return MetricPoint(MetricSeriesKey(service, name, attributes=canonical_labels({"of": str(of)})), SECOND, state)


def added(value: float) -> Additions:
    return Additions(1, exact(value), SECOND, SECOND)


def test_within_the_limits_nothing_changes() -> None:
    """The points are handed through as they are."""
    points = [point(added(1), of) for of in range(3)]
    assert Limits().bounded(*points) == points


def test_deltas_beyond_the_limit_are_added_up_by_metric() -> None:
    """The total over the kept and the overflow is that of all."""
    limits = Limits()
    found = limits.bounded(*(point(added(of), of) for of in range(10)))
    (overflow,) = (one for one in found if one.series.overflow)
    assert overflow.series == MetricSeriesKey("shop", "calls", overflow="true")
    assert overflow.state == Additions(7, exact(float(sum(range(3, 10)))), SECOND, SECOND)
    assert limits.discarded == 0


def test_readings_beyond_the_limit_are_one_series() -> None:
    """Its number, sum and extremes are those of all that went into it."""
    readings = [point(Readings(1, exact(of), of, of, SECOND, of), of) for of in (5.0, 1.0, 9.0, 2.0, 7.0)]
    (overflow,) = (one for one in Limits().bounded(*readings) if one.series.overflow)
    assert overflow.state == Readings(2, exact(9.0), 2.0, 7.0, SECOND, 7.0)


def test_totals_beyond_the_limit_are_discarded_and_counted() -> None:
    """Of a sum of totals that begin at different times, no increase could be told."""
    shot = Snapshot(SECOND, 1.0)
    running = Running((Start(0, shot, shot, 1.0),))
    limits = Limits()
    assert len(limits.bounded(*(point(running, of) for of in range(10)))) == 3
    assert limits.discarded == 7


def test_metrics_of_which_no_series_is_kept_are_discarded() -> None:
    """Names that are made up for every point cannot fill the store by their overflow series."""
    limits = Limits()
    points = [point(added(1), 0, name=f"made-up-{number}") for number in range(10)]
    assert len(limits.bounded(*points)) == 3
    assert limits.discarded == 7
    (overflow,) = limits.limits.overflows()
    assert (overflow.service_name, overflow.cause) == ("shop", "metric_name")


def test_the_attribute_that_is_the_cause_is_named() -> None:
    """By its own key, with how many values it has."""
    limits = Limits()
    limits.bounded(*(point(added(1), of) for of in range(500)))
    (overflow,) = limits.limits.overflows()
    assert (overflow.cause, overflow.kept) == ("of", 3)
    assert 450 < overflow.estimate < 550


def test_idle_series_make_room() -> None:
    """After their time, others take their place."""
    limits = Limits()
    limits.bounded(*(point(added(1), of) for of in range(3)))
    limits.clock.advance(61)
    assert [one.series.overflow for one in limits.bounded(point(added(1), "new"))] == [""]
    assert limits.limits.series_count == 1
