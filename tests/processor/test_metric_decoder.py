"""From OTLP metrics to points: every kind of point, whose series it is, and what is set aside."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AGGREGATION_TEMPORALITY_DELTA,
    AGGREGATION_TEMPORALITY_UNSPECIFIED,
    Metric,
    Sum,
)
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from processor.component import build_metric_decoder
from processor.metric_decoder import DecodedMetrics, MetricDecoder
from processor.metric_labels import MAX_LABELS, REST_LABEL
from processor.settings import ProcessorSettings
from telemetry import PermanentError
from telemetry.metric_buckets import ExplicitBuckets, ExponentialBuckets, Side
from telemetry.metric_points import MetricPoint
from telemetry.metric_series import MetricSeriesKey, labels_of
from telemetry.metric_states import (
    UNKNOWN_SUM,
    Additions,
    Distribution,
    Readings,
    Running,
    histogram_from,
    quantiles_from,
)
from telemetry.metric_sums import exact
from tests.support.otlp import END_NS, resource
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

DELTA = AGGREGATION_TEMPORALITY_DELTA
SECOND = END_NS // 10**9
START_NS = END_NS - 90 * 10**9


def decoder(**settings: Any) -> MetricDecoder:
    return build_metric_decoder(ProcessorSettings(**settings))


def decode(*metrics: Metric, of: Resource | None = None, **settings: Any) -> DecodedMetrics:
    body = metric_request(metrics, of).SerializeToString()
    return decoder(**settings).decode(body, earliest_ns=END_NS - 10**12, latest_ns=END_NS + 10**9)


def only(*metrics: Metric, of: Resource | None = None, **settings: Any) -> MetricPoint:
    """The one point that these metrics make."""
    (point,) = decode(*metrics, of=of, **settings).points
    return point


def started(point: Any) -> Any:
    point.start_time_unix_nano = START_NS
    return point


def test_a_gauge_is_a_reading() -> None:
    """With its time, and its value as sum, extremes and last."""
    point = only(gauge(number_point(2.5)))
    assert point.start_s == SECOND
    assert point.state == Readings(1, exact(2.5), 2.5, 2.5, END_NS, 2.5)
    assert (point.series.metric_type, point.series.temporality) == ("gauge", "")


def test_points_of_one_second_are_one_point() -> None:
    """Their states are merged."""
    state = only(gauge(number_point(1), number_point(4, index=1))).state
    assert state == Readings(2, exact(5.0), 1.0, 4.0, END_NS + 1, 4.0)


def test_what_a_sum_is_depends_on_its_temporality_and_on_whether_it_only_grows() -> None:
    """Deltas add up, totals that only grow are kept with their start, others are readings."""
    added = only(total(started(number_point(3)), temporality=DELTA))
    assert added.state == Additions(1, exact(3.0), START_NS, END_NS)
    grown = only(total(started(number_point(3))))
    assert isinstance(grown.state, Running)
    (start,) = grown.state.starts
    assert (start.start_ms, start.first.value, start.last.time_ns) == (START_NS // 10**6, 3.0, END_NS)
    both_ways = Metric(name="queue", sum=Sum(data_points=[number_point(3)], aggregation_temporality=2))
    assert isinstance(only(both_ways).state, Readings)
    assert (added.series.temporality, grown.series.temporality) == ("delta", "cumulative")
    assert (grown.series.is_monotonic, only(both_ways).series.is_monotonic) == ("true", "")


@pytest.mark.parametrize("name", ["container.cpu.time", "k8s.pod.network.io", "process.cpu.time", "system.disk.io"])
def test_totals_of_the_system_have_no_start(name: str) -> None:
    """They go on when who reports them starts anew, and reporters give their own start for theirs."""
    state = only(total(started(number_point(3)), name=name)).state
    assert isinstance(state, Running)
    assert state.starts[0].start_ms == 0


def test_a_start_that_cannot_be_counts_as_unknown() -> None:
    """After the point itself, or before clocks were set."""
    for start_ns in (END_NS + 1, 7, 2**64 - 1):
        point = number_point(3)
        point.start_time_unix_nano = start_ns
        state = only(total(point)).state
        assert isinstance(state, Running)
        assert state.starts[0].start_ms == 0


def test_explicit_histograms_are_told_apart_by_their_bounds() -> None:
    """Those of a delta add up, those of a total are kept as they were."""
    point = histogram_point((1, 2, 3), (0.5, 1.0), sum=7, min=1, max=3)
    state = only(histogram(started(point), temporality=DELTA)).state
    assert state == Distribution(6, exact(7.0), START_NS, END_NS, 1.0, 3.0, ExplicitBuckets((1, 2, 3)))
    running = only(histogram(point))
    assert isinstance(running.state, Running)
    last = running.state.starts[0].last
    assert (last.value, last.observations) == (7.0, 6)
    assert histogram_from(last.shape) == (1.0, 3.0, ExplicitBuckets((1, 2, 3)))
    other = only(histogram(histogram_point((1, 2), (0.5,))))
    assert (running.series.bounds, other.series.bounds) == ("0.5,1.0", "0.5")


def test_histograms_without_sum_extremes_or_buckets_are_histograms_too() -> None:
    """What is not named is not known, which is another thing than zero."""
    bare = histogram_point((), ())
    bare.count = 5
    state = only(histogram(bare, temporality=DELTA)).state
    assert state == Distribution(5, None, END_NS, END_NS, math.inf, -math.inf, ExplicitBuckets((5,)))
    running = only(histogram(bare)).state
    assert isinstance(running, Running)
    assert running.starts[0].last.value == UNKNOWN_SUM


def test_exponential_histograms_keep_their_scale() -> None:
    """Empty buckets at the ends are left out."""
    point = exponential_point((0, 1, 0, 2))
    point.zero_count = 4
    point.count = 7
    state = only(exponential_histogram(point, temporality=DELTA)).state
    assert isinstance(state, Distribution)
    assert state.buckets == ExponentialBuckets(2, 4, 0.0, Side(0, (1, 0, 2)), Side())
    assert state.observations == 7
    assert isinstance(only(exponential_histogram(point)).state, Running)


def test_summaries_keep_count_sum_and_quantiles() -> None:
    """A quantile without a value, as Prometheus sends it when there was nothing to observe, is left out."""
    point = summary_point(0.99, 0.5)
    point.quantile_values[0].value = math.nan
    state = only(summary(point)).state
    assert isinstance(state, Running)
    last = state.starts[0].last
    assert (last.value, last.observations) == (1.0, 1)
    assert quantiles_from(last.shape) == [(0.5, 1.0)]


def test_a_series_is_named_by_resource_scope_metric_and_attributes() -> None:
    """The service as for RED, what tells instances apart as labels, attributes in one form whatever their order."""
    of = resource(
        "shop",
        service__version="2",
        service__instance__id="i",
        deployment__environment="prod",
        container__id="abc",
        process__pid=17,
        telemetry__sdk__name="left out",
    )
    first = number_point(1, b=True, a=1.5)
    second = number_point(1, a=1.5, b=True, index=1)
    point = only(Metric(name="load", unit="By", gauge=gauge(first, second).gauge), of=of)
    assert point.series == MetricSeriesKey(
        service_name="shop",
        metric_name="load",
        metric_unit="By",
        service_version="2",
        service_instance_id="i",
        deployment_environment="prod",
        scope_name="tests",
        resource='{"container.id":"abc","process.pid":"17"}',
        attributes='{"a":"1.5","b":"true"}',
    )
    assert only(gauge(number_point(1)), of=Resource()).series.service_name == "unknown_service"


def test_labels_of_the_resource_can_be_set() -> None:
    """What tells two reporters apart must be among them."""
    series = only(gauge(number_point(1)), of=resource("a", rack="r1"), metric_resource_labels=("rack",)).series
    assert labels_of(series.resource) == {"rack": "r1"}


def test_labels_are_bounded_and_still_tell_series_apart() -> None:
    """What is cut off a long value, and what is beyond the number of labels, leaves a digest."""
    long = [only(gauge(number_point(1, a="x" * 300 + end))).series for end in "ab"]
    assert long[0] != long[1]
    assert all(len(labels_of(one.attributes)["a"]) == 256 for one in long)
    many: list[dict[str, object]] = [{f"k{number:03}": "v" * 90 for number in range(200)} for _ in "ab"]
    many[1]["k199"] = "other"
    series = [only(gauge(number_point(1, **attributes))).series for attributes in many]
    assert series[0] != series[1]
    assert all(len(labels_of(one.attributes)) <= MAX_LABELS and len(one.attributes) < 6_000 for one in series)
    assert all(REST_LABEL in labels_of(one.attributes) for one in series)


def test_attributes_that_are_no_scalars_are_told_apart() -> None:
    """Nobody groups by a list, but two lists are not one series."""
    points = [number_point(1, a=value) for value in ([1], [2], {"x": 1}, b"y", None)]
    assert len(decode(gauge(*points)).points) == 5


def test_of_an_attribute_that_occurs_twice_the_last_counts() -> None:
    """Behaviour that OTLP leaves open; nothing is lost by it."""
    point = number_point(1, a=1)
    point.attributes.extend(number_point(1, a=2).attributes)
    assert labels_of(only(gauge(point)).series.attributes) == {"a": "2"}


def bad_points() -> list[Metric]:
    numbers = [number_point(value) for value in (math.nan, math.inf, -math.inf, None)]
    unordered, unequal = histogram_point((1, 2, 3), (2.0, 1.0)), histogram_point((1, 2), (1.0, 2.0))
    infinite, countless = histogram_point((1, 2), (math.inf,)), histogram_point((2**63, 2**62), (1.0,))
    many = histogram_point([1] * 302, [float(number) for number in range(301)])
    far = exponential_point()
    far.positive.offset = 2**31 - 1
    fine = exponential_point()
    fine.scale = 21
    wide = exponential_point((1,) * 5_000)
    nameless = gauge(number_point(1), name="")
    timeless = number_point(1)
    timeless.time_unix_nano = 0
    without = Metric(
        name="x",
        sum=Sum(data_points=[number_point(1)], aggregation_temporality=AGGREGATION_TEMPORALITY_UNSPECIFIED),
    )
    metrics = [gauge(point) for point in numbers]
    metrics += [histogram(point) for point in (unordered, unequal, infinite, countless, many)]
    metrics += [exponential_histogram(point) for point in (far, fine, wide)]
    return [*metrics, nameless, gauge(timeless), without]


@pytest.mark.parametrize("bad", bad_points(), ids=str)
def test_what_cannot_be_is_set_aside_alone(bad: Metric) -> None:
    """It is counted as invalid; the good point beside it is kept."""
    found = decode(bad, gauge(number_point(1), name="good"))
    assert [point.series.metric_name for point in found.points] == ["good"]
    assert (found.item_count, found.invalid_count, found.stored_count) == (2, 1, 1)


def test_gaps_are_skipped_and_the_late_set_aside() -> None:
    """A point that says that nothing was recorded is no reading of zero."""
    late = number_point(1)
    late.time_unix_nano = END_NS - 2 * 10**12
    ahead = number_point(1)
    ahead.time_unix_nano = END_NS + 2 * 10**9
    found = decode(gauge(number_point(None, flags=1), number_point(5, flags=1, index=1), late, ahead))
    assert not found.points
    counts = (found.item_count, found.skipped_count, found.late_count, found.invalid_count, found.stored_count)
    assert counts == (4, 2, 1, 1, 2)


def test_metrics_without_data_are_nothing() -> None:
    """Empty envelopes are no error."""
    assert decode(Metric(name="x"), gauge()).item_count == 0
    assert decoder().decode(b"", latest_ns=END_NS).item_count == 0


def test_text_that_is_no_utf_8_spoils_nothing() -> None:
    """It is read with replacement characters, as spans' texts are."""
    request = metric_request([gauge(number_point(1, key="surrogate"), name="called")], resource("shop"))
    body = request.SerializeToString().replace(b"surrogate", b"a\xed\xa0\x80bcde\xff")
    body = body.replace(b"called", b"ca\x00led"[:6]).replace(b"shop", b"\xffhop")
    series = decoder().decode(body, latest_ns=2**62).points[0].series
    assert "\0" not in "".join(series)
    assert "".join(series).encode()


def test_what_is_remembered_is_bounded() -> None:
    """Series that are forgotten are read again, and are the same."""
    small = decoder(metric_series_cache_size=16, resource_cache_size=1)
    bodies = [
        metric_request([gauge(*(number_point(1, a=number) for number in range(20)))], resource(f"s{of % 3}"))
        for of in range(9)
    ]
    found = [small.decode(body.SerializeToString(), latest_ns=2**62).points for body in bodies]
    assert found[0] == found[3] == found[6] != found[1]
    assert small._series_count < 60
    for long in (gauge(number_point(1, a="x" * 5_000)), gauge(number_point(1), name="x" * 5_000)):
        before = small._series_count
        small.decode(metric_request([long]).SerializeToString(), latest_ns=2**62)
        assert small._series_count <= before + 1


@given(st.binary(max_size=200))
def test_no_bytes_do_worse_than_a_permanent_error(body: bytes) -> None:
    """Whatever comes, it is read or refused for good."""
    with contextlib.suppress(PermanentError):
        decoder().decode(body, latest_ns=2**62)


@given(st.data())
def test_damage_does_no_worse_either(data: st.DataObject) -> None:
    """Requests of every kind of point, with bytes changed, cut out and put in."""
    metrics = [
        gauge(number_point(1.5, a="b")),
        total(number_point(3), temporality=DELTA),
        histogram(histogram_point()),
        exponential_histogram(exponential_point()),
        summary(summary_point(0.5)),
    ]
    body = bytearray(metric_request(metrics).SerializeToString())
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(body) - 1))
        body[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=3))
    try:
        found = decoder().decode(bytes(body), latest_ns=2**62)
    except PermanentError:
        return
    assert found.item_count == plain_count(bytes(body)) or plain_count(bytes(body)) is None
    assert found.invalid_count + found.late_count + found.skipped_count <= found.item_count


def plain_count(body: bytes) -> int | None:
    """Count data points with the generated classes, which refuse more."""
    try:
        request = ExportMetricsServiceRequest.FromString(body)
    except Exception:
        return None
    metrics: Sequence[Metric] = [
        metric for of in request.resource_metrics for scope in of.scope_metrics for metric in scope.metrics
    ]
    kinds = [(metric, metric.WhichOneof("data")) for metric in metrics]
    return sum(len(getattr(metric, kind).data_points) for metric, kind in kinds if kind)
