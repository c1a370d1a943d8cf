"""Requirements 15 to 22 of docs/otlp.md: which spans, points and log records are valid by themselves."""

from __future__ import annotations

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AGGREGATION_TEMPORALITY_UNSPECIFIED,
    DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK,
    ExponentialHistogram,
    ExponentialHistogramDataPoint,
    Histogram,
    Metric,
    NumberDataPoint,
    Sum,
    Summary,
    SummaryDataPoint,
)

from tests.otlp_conformance.conftest import Ways
from tests.otlp_conformance.items import INVALID_POINTS, INVALID_SPANS, histogram, histogram_point
from tests.otlp_conformance.samples import (
    ITEM_KEY,
    LOGS,
    METRICS,
    TRACES,
    data_point,
    gauge_request,
    log_record,
    logs_request,
    metrics_request,
    names_in,
    read,
    span,
    spans_request,
)
from tests.otlp_conformance.ways import send
from tests.otlp_receiver.conftest import GatedConsumer
from tests.support.otlp import END_NS, key_values


async def test_r15_a_span_with_an_invalid_id_is_rejected_alone(ways: Ways, consumer: GatedConsumer) -> None:
    """An id that is empty, too short, too long or all zeros costs that span, not its neighbours."""
    for way in ways:
        with ways.test(way):
            for invalid in INVALID_SPANS:
                reply = await send(way, TRACES, spans_request([span("before"), invalid, span("after")]))
                assert reply.is_success, invalid.name
                assert reply.response.partial_success.rejected_spans == 1, invalid.name
                assert names_in([consumer.batches.pop()]) == ["before", "after"]


async def test_r16_a_log_record_needs_no_ids(ways: Ways, consumer: GatedConsumer) -> None:
    """Records without ids, or with invalid ones, are taken whole: they are only not correlated."""
    records = [log_record(name) for name in ("none", "short", "zeros", "good")]
    records[1].MergeFrom(LogRecord(trace_id=b"\x01" * 3, span_id=b"\x01"))
    records[2].MergeFrom(LogRecord(trace_id=bytes(16), span_id=bytes(8)))
    records[3].MergeFrom(LogRecord(trace_id=b"\x01" * 16, span_id=b"\x02" * 8))
    for way in ways:
        with ways.test(way):
            assert (await send(way, LOGS, logs_request(records))).is_full_success
            assert names_in(consumer.batches) == ["none", "short", "zeros", "good"]


async def test_r17_an_empty_span_name_is_accepted(ways: Ways, consumer: GatedConsumer) -> None:
    """A span without a name is taken: its name is unknown."""
    nameless = span("nameless")
    nameless.name = ""
    for way in ways:
        with ways.test(way):
            reply = await send(way, TRACES, spans_request([nameless]))
            assert reply.is_success
            assert reply.response.partial_success.rejected_spans == 0
            assert names_in(consumer.batches) == [""]


async def test_r18_a_span_that_ends_before_it_starts_is_accepted(ways: Ways, consumer: GatedConsumer) -> None:
    """Clocks do go back: such a span is taken, as one that takes no time."""
    backwards = spans_request([span("backwards", start_time_unix_nano=END_NS + 10**9)])
    for way in ways:
        with ways.test(way):
            reply = await send(way, TRACES, backwards)
            assert reply.is_success
            assert reply.response.partial_success.rejected_spans == 0
            assert names_in(consumer.batches) == ["backwards"]


async def test_r19_repeated_attribute_keys_do_no_harm(ways: Ways, consumer: GatedConsumer) -> None:
    """Keys that occur twice are against the schema's advice; the items that have them are taken."""
    twice = [KeyValue(key="key", value=AnyValue(int_value=at)) for at in range(3)]
    requests = {
        TRACES: spans_request([span("twice", attributes=twice)]),
        METRICS: gauge_request([NumberDataPoint(attributes=[*key_values({ITEM_KEY: "twice"}), *twice], as_int=1)]),
        LOGS: logs_request([LogRecord(body=AnyValue(string_value="twice"), attributes=twice)]),
    }
    for way in ways:
        with ways.test(way):
            for kind, request in requests.items():
                assert (await send(way, kind, request)).is_success
            assert names_in(consumer.batches) == ["twice"] * 3


async def test_r20_an_inconsistent_histogram_point_is_rejected_alone(ways: Ways, consumer: GatedConsumer) -> None:
    """Buckets that do not fit the bounds, and bounds that do not rise, cost that point, not its neighbours."""
    for way in ways:
        with ways.test(way):
            no_buckets = histogram_point("no buckets at all", bounds=(), counts=())
            for invalid in INVALID_POINTS:
                points = [histogram_point("before"), invalid, no_buckets]
                reply = await send(way, METRICS, metrics_request([histogram("latency", points)]))
                assert reply.is_success, invalid
                assert reply.response.partial_success.rejected_data_points == 1, invalid
                assert names_in([consumer.batches.pop()]) == ["before", "no buckets at all"]


async def test_r20_a_summary_point_with_an_impossible_quantile_is_rejected_alone(
    ways: Ways, consumer: GatedConsumer
) -> None:
    """Quantiles are from 0 to 1, both included."""
    names = {"ends": (0.0, 1.0), "above": (0.5, 1.5), "below": (-0.1,), "none": ()}
    points = [
        SummaryDataPoint(
            attributes=key_values({ITEM_KEY: name}),
            count=1,
            sum=2,
            quantile_values=[SummaryDataPoint.ValueAtQuantile(quantile=quantile, value=1) for quantile in quantiles],
        )
        for name, quantiles in names.items()
    ]
    for way in ways:
        with ways.test(way):
            reply = await send(way, METRICS, metrics_request([Metric(summary=Summary(data_points=points))]))
            assert reply.response.partial_success.rejected_data_points == 2
            assert names_in(consumer.batches) == ["ends", "none"]


async def test_r21_points_without_temporality_are_rejected(ways: Ways, consumer: GatedConsumer) -> None:
    """Sums and histograms that do not say whether they are deltas cannot be added up; gauges and summaries need not."""
    unspecified = AGGREGATION_TEMPORALITY_UNSPECIFIED
    named = key_values({ITEM_KEY: "summary"})
    metrics = [
        Metric(name="sum", sum=Sum(data_points=[data_point("sum")] * 2, aggregation_temporality=unspecified)),
        Metric(
            name="histogram",
            histogram=Histogram(data_points=[histogram_point("h")], aggregation_temporality=unspecified),
        ),
        Metric(
            name="exponential",
            exponential_histogram=ExponentialHistogram(
                data_points=[ExponentialHistogramDataPoint(time_unix_nano=END_NS)],
                aggregation_temporality=unspecified,
            ),
        ),
        Metric(name="summary", summary=Summary(data_points=[SummaryDataPoint(attributes=named, count=1, sum=2)])),
        *METRICS.sample().resource_metrics[0].scope_metrics[0].metrics,  # type: ignore[attr-defined]
    ]
    for way in ways:
        with ways.test(way):
            reply = await send(way, METRICS, metrics_request(metrics))
            assert reply.is_success
            assert reply.response.partial_success.rejected_data_points == 4
            assert names_in(consumer.batches) == ["summary", "item 0", "item 1"]


async def test_r22_a_point_without_a_recorded_value_is_a_gap(ways: Ways, consumer: GatedConsumer) -> None:
    """The flag for "no recorded value" is accepted, on points that indeed have none; without it they are invalid."""
    for way in ways:
        with ways.test(way):
            gap = NumberDataPoint(
                attributes=key_values({ITEM_KEY: "gap"}),
                time_unix_nano=END_NS,
                flags=DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK,
            )
            request = gauge_request([data_point("before"), gap])
            assert (await send(way, METRICS, request)).is_full_success
            assert read(consumer.batches[0]) == request
            gap.flags = 0
            reply = await send(way, METRICS, gauge_request([data_point("before"), gap]))
            assert reply.response.partial_success.rejected_data_points == 1
            assert names_in(consumer.batches[1:]) == ["before"]
