"""A second schema of OTLP metrics that declares what points are kept of, as `projection.py` does for spans.

The decoder parses requests with it. Attributes are declared as `bytes`, so that those of a series are recognised by
their bytes; exemplars are not declared at all. Each field tells whether it was there, since a histogram's sum may not
be. Field numbers: opentelemetry-proto, `metrics.proto`.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from google.protobuf import descriptor_pb2

from processor.projection import ATTRIBUTE_MESSAGES, Messages, load_messages

_Field = descriptor_pb2.FieldDescriptorProto
_BYTES: Final = _Field.TYPE_BYTES
_DOUBLE: Final = _Field.TYPE_DOUBLE
_FIXED64: Final = _Field.TYPE_FIXED64
_INT32: Final = _Field.TYPE_INT32
_SINT32: Final = _Field.TYPE_SINT32
_UINT32: Final = _Field.TYPE_UINT32

_TIMES: Final = ((2, "start_time_unix_nano", _FIXED64, False), (3, "time_unix_nano", _FIXED64, False))
_COUNT_AND_SUM: Final = ((4, "count", _FIXED64, False), (5, "sum", _DOUBLE, False))
_TEMPORALITY: Final = (2, "aggregation_temporality", _INT32, False)

_MESSAGES: Final[Messages] = {
    "Request": ((1, "resource_metrics", "ResourceMetrics", True),),
    # `resource` is repeated: protobuf merges a message field that occurs twice, and joined bytes parse as the merger.
    "ResourceMetrics": ((1, "resource", _BYTES, True), (2, "scope_metrics", "ScopeMetrics", True)),
    "ScopeMetrics": ((1, "scope", "Scope", False), (2, "metrics", "Metric", True)),
    "Scope": ((1, "name", _BYTES, False),),
    "Metric": (
        (1, "name", _BYTES, False),
        (3, "unit", _BYTES, False),
        (5, "gauge", "Numbers", False),
        (7, "sum", "Numbers", False),
        (9, "histogram", "Histogram", False),
        (10, "exponential_histogram", "ExponentialHistogram", False),
        (11, "summary", "Summary", False),
    ),
    "Numbers": (
        (1, "data_points", "NumberPoint", True),
        _TEMPORALITY,
        (3, "is_monotonic", _Field.TYPE_BOOL, False),
    ),
    "NumberPoint": (
        *_TIMES,
        (4, "as_double", _DOUBLE, False),
        (6, "as_int", _Field.TYPE_SFIXED64, False),
        (7, "attributes", _BYTES, True),
        (8, "flags", _UINT32, False),
    ),
    "Histogram": ((1, "data_points", "HistogramPoint", True), _TEMPORALITY),
    "HistogramPoint": (
        *_TIMES,
        *_COUNT_AND_SUM,
        (6, "bucket_counts", _FIXED64, True),
        (7, "explicit_bounds", _DOUBLE, True),
        (9, "attributes", _BYTES, True),
        (10, "flags", _UINT32, False),
        (11, "min", _DOUBLE, False),
        (12, "max", _DOUBLE, False),
    ),
    "ExponentialHistogram": ((1, "data_points", "ExponentialPoint", True), _TEMPORALITY),
    "ExponentialPoint": (
        (1, "attributes", _BYTES, True),
        *_TIMES,
        *_COUNT_AND_SUM,
        (6, "scale", _SINT32, False),
        (7, "zero_count", _FIXED64, False),
        (8, "positive", "Buckets", False),
        (9, "negative", "Buckets", False),
        (10, "flags", _UINT32, False),
        (12, "min", _DOUBLE, False),
        (13, "max", _DOUBLE, False),
        (14, "zero_threshold", _DOUBLE, False),
    ),
    "Buckets": ((1, "offset", _SINT32, False), (2, "bucket_counts", _Field.TYPE_UINT64, True)),
    "Summary": ((1, "data_points", "SummaryPoint", True),),
    "SummaryPoint": (
        *_TIMES,
        *_COUNT_AND_SUM,
        (6, "quantile_values", "ValueAtQuantile", True),
        (7, "attributes", _BYTES, True),
        (8, "flags", _UINT32, False),
    ),
    "ValueAtQuantile": ((1, "quantile", _DOUBLE, False), (2, "value", _DOUBLE, False)),
    **ATTRIBUTE_MESSAGES,
}


class MetricProjection(NamedTuple):
    """The message classes that are parsed from bytes; each has `FromString`, which raises protobuf's `DecodeError`."""

    request: Any
    resource: Any
    key_value: Any


def load_metric_projection() -> MetricProjection:
    """Build the classes in a descriptor pool of their own."""
    return MetricProjection(*load_messages(_MESSAGES, ("Request", "Resource", "KeyValue"), "proto2"))
