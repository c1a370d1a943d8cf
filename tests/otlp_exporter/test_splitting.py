"""Large requests of derived metrics in parts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from otlp_exporter.derived.splitting import parts_of


def request(services: int, points: int) -> ExportMetricsServiceRequest:
    made = ExportMetricsServiceRequest()
    for service in range(services):
        of_service = made.resource_metrics.add()
        of_service.resource.attributes.append(KeyValue(key="service.name", value=AnyValue(string_value=f"s{service}")))
        scope = of_service.scope_metrics.add()
        calls, durations = scope.metrics.add(name="calls"), scope.metrics.add(name="durations", unit="s")
        calls.sum.is_monotonic = True
        for number in range(points):
            calls.sum.data_points.add(as_int=number)
            durations.histogram.data_points.add(count=number, explicit_bounds=[0.1, 0.2], bucket_counts=[1, 2, number])
    return made


def points_in(body: bytes) -> Iterator[tuple[str, str, bool, bytes]]:
    for of_service in ExportMetricsServiceRequest.FromString(body).resource_metrics:
        service = of_service.resource.attributes[0].value.string_value
        for scope in of_service.scope_metrics:
            for metric in scope.metrics:
                for point in [*metric.sum.data_points, *metric.histogram.data_points]:
                    yield service, metric.name + metric.unit, metric.sum.is_monotonic, point.SerializeToString()


def test_a_large_request_is_cut_and_nothing_is_lost_or_told_twice() -> None:
    """Each part is a request that fits, with the resource and the kind of each of its points."""
    for services, points in ((1, 3_000), (40, 80), (3_000, 1)):
        body = request(services, points).SerializeToString()
        parts = list(parts_of(body, 20_000))
        assert len(parts) > 3
        assert max(map(len, parts)) <= 20_000
        assert Counter(point for part in parts for point in points_in(part)) == Counter(points_in(body))
        assert parts == list(parts_of(body, 20_000)), "the same request is cut alike after a crash"


def test_what_fits_or_cannot_be_cut_stays_as_it_is() -> None:
    """A small request is sent as the very bytes; a single point is never cut."""
    small, single = request(2, 2).SerializeToString(), request(1, 1)
    del single.resource_metrics[0].scope_metrics[0].metrics[0]
    assert list(parts_of(small, len(small))) == [small]
    assert list(parts_of(single.SerializeToString(), 1)) == [single.SerializeToString()]
