"""Which data points are invalid by themselves, and that the others of their request are kept as they were."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AGGREGATION_TEMPORALITY_DELTA,
    AGGREGATION_TEMPORALITY_UNSPECIFIED,
    DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK,
    Metric,
)

from otlp_receiver.inspection import Inspection
from otlp_receiver.signals import METRICS
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

INSPECTION = Inspection(METRICS)
NO_VALUE = DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK
UNSPECIFIED = AGGREGATION_TEMPORALITY_UNSPECIFIED

VALID = {
    "integers": gauge(number_point(1), number_point(0), number_point(-5)),
    "doubles": gauge(number_point(0.0), number_point(math.nan), number_point(-math.inf)),
    "attributes": gauge(number_point(1, model="a"), number_point(2, model="b")),
    "a gap": gauge(number_point(None, flags=NO_VALUE)),
    "a flag beside a value": total(number_point(1, flags=NO_VALUE)),
    "a sum of deltas": total(number_point(), temporality=AGGREGATION_TEMPORALITY_DELTA),
    "a cumulative sum": total(number_point(), number_point(2.5)),
    "buckets": histogram(histogram_point()),
    "one bucket": histogram(histogram_point([7], [])),
    "no buckets": histogram(histogram_point([], [])),
    "a gap in a histogram": histogram(histogram_point([], [], flags=NO_VALUE)),
    "exponential buckets": exponential_histogram(exponential_point(), exponential_point([])),
    "quantiles": summary(summary_point(0, 0.5, 1), summary_point()),
    "no kind": Metric(name="nothing"),
    "no points": total(),
    "no points and no temporality": histogram(temporality=UNSPECIFIED),
}

INVALID = {
    "no value": (gauge(number_point(None)), "no value"),
    "no value, another flag": (total(number_point(None, flags=2)), "no value"),
    "a sum without temporality": (total(number_point(), temporality=UNSPECIFIED), "aggregation_temporality"),
    "a temporality that is none": (total(number_point(), temporality=7), "aggregation_temporality"),  # type: ignore[arg-type]
    "a histogram without temporality": (
        histogram(histogram_point(), temporality=UNSPECIFIED),
        "aggregation_temporality",
    ),
    "an exponential one without": (
        exponential_histogram(exponential_point(), temporality=UNSPECIFIED),
        "aggregation_temporality",
    ),
    "a bucket too few": (histogram(histogram_point([1, 2], [0.1, 1.0])), "bucket_counts"),
    "a bucket too many": (histogram(histogram_point([1, 2, 3, 4], [0.1, 1.0])), "bucket_counts"),
    "bounds without buckets": (histogram(histogram_point([], [0.1])), "bucket_counts"),
    "unsorted bounds": (histogram(histogram_point([1, 2, 3], [1.0, 0.1])), "explicit_bounds"),
    "equal bounds": (histogram(histogram_point([1, 2, 3], [1.0, 1.0])), "explicit_bounds"),
    "a bound that is no number": (histogram(histogram_point([1, 2], [math.nan])), "explicit_bounds"),
    "a number after none": (histogram(histogram_point([1, 2, 3], [math.nan, 1.0])), "explicit_bounds"),
    "a quantile above one": (summary(summary_point(0.5, 99.0)), "quantile"),
    "a quantile below zero": (summary(summary_point(-0.1)), "quantile"),
    "a quantile that is no number": (summary(summary_point(math.nan)), "quantile"),
}


def points_of(metric: Metric) -> int:
    kind = metric.WhichOneof("data")
    return len(getattr(metric, kind).data_points) if kind else 0


@pytest.mark.parametrize("metric", [pytest.param(metric, id=name) for name, metric in VALID.items()])
def test_valid_points_are_counted_and_left_alone(metric: Metric) -> None:
    """What readers can make sense of is counted, and the bytes of its request are not touched."""
    body = metric_request([metric, gauge(number_point())]).SerializeToString()
    sifted, kept = INSPECTION.sift(body)
    assert (sifted.good, dict(sifted.bad)) == (points_of(metric) + 1, {})
    assert kept is body


@pytest.mark.parametrize(
    ("metric", "reason"), [pytest.param(metric, reason, id=name) for name, (metric, reason) in INVALID.items()]
)
def test_invalid_points_are_taken_out(metric: Metric, reason: str) -> None:
    """A point that its metric's definition rules out is counted under its reason; its metric stays, without it."""
    neighbours = [gauge(number_point(3), name="before"), histogram(histogram_point(), name="after")]
    body = metric_request([neighbours[0], metric, neighbours[1]]).SerializeToString()
    assert INSPECTION.count_valid(body) is None
    sifted, kept = INSPECTION.sift(body)
    assert sifted.good == 2
    assert [(reason in fault, amount) for fault, amount in sifted.bad.items()] == [(True, 1)]
    metrics = ExportMetricsServiceRequest.FromString(kept).resource_metrics[0].scope_metrics[0].metrics
    assert [metrics[0], metrics[2]] == neighbours
    assert (metrics[1].name, points_of(metrics[1])) == (metric.name, 0)


def test_good_points_of_a_metric_stay_beside_bad_ones() -> None:
    """Points are judged one by one."""
    points = [histogram_point(), histogram_point([1], [1.0]), histogram_point([2, 2], [0.5])]
    sifted, kept = INSPECTION.sift(metric_request([histogram(*points)]).SerializeToString())
    assert (sifted.good, sifted.bad.total()) == (2, 1)
    assert ExportMetricsServiceRequest.FromString(kept) == metric_request([histogram(points[0], points[2])])


@settings(max_examples=150)
@given(st.lists(st.sampled_from(list(VALID.values()) + [metric for metric, _ in INVALID.values()]), max_size=12))
def test_good_and_bad_are_told_apart_exactly(metrics: list[Metric]) -> None:
    """Whatever metrics meet in a request, the sum of good and bad is what was sent, and what is kept is all good."""
    body = metric_request(metrics).SerializeToString()
    sifted, kept = INSPECTION.sift(body)
    bad = sum(points_of(metric) for metric in metrics if metric in [invalid for invalid, _ in INVALID.values()])
    assert sifted.bad.total() == bad
    assert sifted.good == sum(map(points_of, metrics)) - bad
    again, kept_again = INSPECTION.sift(kept)
    assert (again.good, again.bad.total(), kept_again) == (sifted.good, 0, kept)


MANY = {
    "metrics": [gauge(number_point(index=at)) for at in range(1_001)],
    "points of histograms": [histogram(*[histogram_point()] * 501)] * 2,
    "points of summaries": [summary(*[summary_point()] * 1_001)],
    "quantiles": [summary(summary_point(*[0.5] * 1_001))],
}


@pytest.mark.parametrize("name", MANY)
def test_a_request_of_very_many_parts_is_not_counted_quickly(name: str) -> None:
    """What would take more than a moment is left to `sift`, with the same result."""
    body = metric_request(MANY[name]).SerializeToString()
    assert INSPECTION.count_valid(body) is None
    sifted, kept = INSPECTION.sift(body)
    assert (sifted.good, sifted.bad.total(), kept) == (sum(map(points_of, MANY[name])), 0, body)


def test_many_points_that_need_no_look_are_counted_quickly() -> None:
    """So are as many histograms as most senders have in a request."""
    metrics = [gauge(*[number_point()] * 5_000), histogram(*[histogram_point()] * 400)]
    assert INSPECTION.count_valid(metric_request(metrics).SerializeToString()) == 5_400
