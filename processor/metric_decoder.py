"""An OTLP metric request as metric points: one for each series and second that it speaks of.

Stands between the bytes of a batch and the commit. What names a series (resource, scope, metric, attributes) is
remembered by its bytes; the rules for values are in `metric_values.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from google.protobuf.message import DecodeError

from processor.attributes import Resource, ResourceCache
from processor.derivation import EARLIEST_UNIX_NANO, RESOURCE_KEYS, text_of
from processor.metric_labels import attribute_labels, bounded_text, resource_labels
from processor.metric_projection import load_metric_projection
from processor.metric_values import ValueOf, bounds_of, start_of, value_function
from telemetry import PermanentError, ServiceInstance
from telemetry import conventions as names
from telemetry.metric_points import MetricPoint
from telemetry.metric_series import MetricSeriesKey, MetricType, Temporality
from telemetry.metric_states import State, merge_states

_NS_PER_S: Final = 10**9
_NS_PER_MS: Final = 10**6
_NO_RECORDED_VALUE: Final = 1
"""Of `DataPointFlags`: a gap, of which nothing is kept."""
_TEMPORALITIES: Final = {1: Temporality.DELTA, 2: Temporality.CUMULATIVE}
_WITH_TEMPORALITY: Final = frozenset({MetricType.SUM, MetricType.HISTOGRAM, MetricType.EXPONENTIAL_HISTOGRAM})
_OF_THE_SYSTEM: Final = ("container.", "k8s.", "process.", "system.")
"""Totals that belong to what is measured, and go on when who reports them starts anew. Reporters date them from their
own start all the same, so that only a decrease tells of a reset."""
_REMEMBERED_BYTES: Final = 4096
"""What names a series in more bytes is read each time, as memory is bounded by number."""
_MAX_UNIT_CHARS: Final = 63  # Metrics API, "Instrument unit"


@dataclass(frozen=True, slots=True)
class DecodedMetrics:
    """The points of one batch, and how many data points are in none of them.

    `skipped_count` say themselves that they hold no value, `invalid_count` make no sense, `late_count` are too old.
    """

    points: Sequence[MetricPoint]
    item_count: int
    skipped_count: int
    invalid_count: int
    late_count: int
    instances: frozenset[ServiceInstance] = frozenset()
    """Those that the metrics came from, where it was an SDK that named them."""

    @property
    def stored_count(self) -> int:
        """How many data points are done with once the batch is committed."""
        return self.item_count - self.invalid_count - self.late_count


class _Stream:
    """A metric of a resource and a scope, and its series by the bytes of their attributes."""

    __slots__ = ("has_bounds", "has_starts", "key", "series", "value_of")

    def __init__(self, key: MetricSeriesKey, value_of: ValueOf) -> None:
        self.key = key
        self.value_of = value_of
        self.has_bounds = key.metric_type == MetricType.HISTOGRAM
        self.has_starts = not key.metric_name.startswith(_OF_THE_SYSTEM)
        self.series: dict[tuple[bytes | str, ...], MetricSeriesKey] = {}


class MetricDecoder:
    """Decodes batches, remembering what repeats. For one thread at a time.

    At most `series_limit` series are remembered (exceeded at most by those that one batch brings), and
    `resource_limit` resources. `resource_keys` are the attributes of a resource that become labels.
    """

    def __init__(
        self, *, text_limit_chars: int, series_limit: int, resource_limit: int, resource_keys: Sequence[str]
    ) -> None:
        projection = load_metric_projection()
        self._parse_request = projection.request.FromString
        self._parse_key_value = projection.key_value.FromString
        self._text_limit_chars = text_limit_chars
        self._series_limit = series_limit
        self._resource_keys = tuple(sorted(set(resource_keys) - RESOURCE_KEYS))
        self._resources = ResourceCache(
            RESOURCE_KEYS | frozenset(self._resource_keys),
            projection.resource.FromString,
            resource_limit,
            text_limit_chars,
        )
        self._streams: dict[tuple[Any, ...], _Stream] = {}
        self._series_count = 0

    def decode(self, body: bytes, *, latest_ns: int, earliest_ns: int = 0) -> DecodedMetrics:
        """Return the points of an `ExportMetricsServiceRequest`.

        Data points dated after `latest_ns` or before 2000 are counted invalid, others of before `earliest_ns` late.
        Raises `PermanentError` if the body is not a readable request.
        """
        if self._series_count > self._series_limit:
            self._streams.clear()
            self._series_count = 0
        try:
            request = self._parse_request(body)
            found = _Found(earliest_ns, latest_ns)
            for resource_metrics in request.resource_metrics:
                resource = self._resources[b"".join(resource_metrics.resource)]
                found.meet(resource.instance)
                for scope_metrics in resource_metrics.scope_metrics:
                    for metric in scope_metrics.metrics:
                        self._decode(found, resource, scope_metrics.scope.name, metric)
        except DecodeError as error:
            raise PermanentError(f"the body is not an OTLP ExportMetricsServiceRequest in protobuf: {error}") from error
        return found.decoded()

    def _decode(self, found: _Found, resource: Resource, scope: bytes, metric: Any) -> None:
        kind = metric.WhichOneof("data")
        if kind is None:
            return
        data = getattr(metric, kind)
        points = data.data_points
        found.item_count += len(points)
        stream = self._stream_of(resource, scope, metric, kind, data) if points else None
        if stream is None:
            found.invalid_count += len(points)
            return
        value_of, has_starts = stream.value_of, stream.has_starts
        for point in points:
            if point.flags & _NO_RECORDED_VALUE:
                found.skipped_count += 1
            elif found.is_in_time(point.time_unix_nano):
                state = value_of(point, start_of(point) // _NS_PER_MS if has_starts else 0)
                if state is None:
                    found.invalid_count += 1
                else:
                    found.add(self._series_of(stream, point), point.time_unix_nano // _NS_PER_S, state)

    def _stream_of(self, resource: Resource, scope: bytes, metric: Any, kind: str, data: Any) -> _Stream | None:
        """Return the stream of a metric, `None` if it has no name or no temporality though it must."""
        has_temporality = kind in _WITH_TEMPORALITY
        temporality = data.aggregation_temporality if has_temporality else 0
        is_monotonic = kind == MetricType.SUM and data.is_monotonic
        identity = (resource, scope, metric.name, metric.unit, kind, temporality, is_monotonic)
        stream = self._streams.get(identity)
        if stream is None:
            if not metric.name or (has_temporality and temporality not in _TEMPORALITIES):
                return None
            key = self._key_of(resource, scope, metric)._replace(
                metric_type=kind,
                temporality=str(_TEMPORALITIES.get(temporality, "")),
                is_monotonic="true" if is_monotonic else "",
            )
            stream = _Stream(key, value_function(kind, key.temporality, is_monotonic=is_monotonic))
            if len(metric.name) + len(metric.unit) + len(scope) <= _REMEMBERED_BYTES:
                self._streams[identity] = stream
                self._series_count += 1
        return stream

    def _key_of(self, resource: Resource, scope: bytes, metric: Any) -> MetricSeriesKey:
        limit = self._text_limit_chars

        def text(*keys: str) -> str:
            return next((found for key in keys if (found := text_of(resource.attributes.get(key), limit))), "")

        return MetricSeriesKey(
            service_name=text(names.SERVICE_NAME) or names.UNKNOWN_SERVICE,
            metric_name=bounded_text(metric.name.decode(errors="replace"), limit),
            metric_unit=text_of(metric.unit.decode(errors="replace"), _MAX_UNIT_CHARS),
            service_version=text(names.SERVICE_VERSION),
            service_instance_id=text(names.SERVICE_INSTANCE_ID),
            deployment_environment=text(names.DEPLOYMENT_ENVIRONMENT, names.DEPLOYMENT_ENVIRONMENT_OLD),
            scope_name=bounded_text(scope.decode(errors="replace"), limit),
            resource=resource_labels(resource.attributes, self._resource_keys, limit),
        )

    def _series_of(self, stream: _Stream, point: Any) -> MetricSeriesKey:
        bounds = bounds_of(point) if stream.has_bounds else ""
        identity = (bounds, *point.attributes)
        series = stream.series.get(identity)
        if series is None:
            labels = attribute_labels(map(self._parse_key_value, point.attributes), self._text_limit_chars)
            series = stream.key._replace(attributes=labels, bounds=bounds)
            if len(bounds) + sum(map(len, point.attributes)) <= _REMEMBERED_BYTES:
                stream.series[identity] = series
                self._series_count += 1
        return series


class _Found:
    """What was found in a batch so far."""

    def __init__(self, earliest_ns: int, latest_ns: int) -> None:
        self._earliest_ns = earliest_ns
        self._latest_ns = latest_ns
        self._states: dict[tuple[MetricSeriesKey, int], State] = {}
        self._instances: set[ServiceInstance] = set()
        self.item_count = self.skipped_count = self.invalid_count = self.late_count = 0

    def meet(self, instance: ServiceInstance | None) -> None:
        """Note whose metrics these are. Reporters that are no SDK speak of containers and processes of others."""
        if instance is not None and instance.sdk_language:
            self._instances.add(instance)

    def is_in_time(self, time_ns: int) -> bool:
        """Tell whether a point of this time is taken, and count it if not."""
        if not EARLIEST_UNIX_NANO <= time_ns <= self._latest_ns:
            self.invalid_count += 1
        elif time_ns < self._earliest_ns:
            self.late_count += 1
        else:
            return True
        return False

    def add(self, series: MetricSeriesKey, second: int, state: State) -> None:
        key = (series, second)
        known = self._states.get(key)
        self._states[key] = state if known is None else merge_states((known, state))

    def decoded(self) -> DecodedMetrics:
        points = [MetricPoint(series, second, state) for (series, second), state in self._states.items()]
        counts = self.item_count, self.skipped_count, self.invalid_count, self.late_count
        return DecodedMetrics(points, *counts, frozenset(self._instances))
