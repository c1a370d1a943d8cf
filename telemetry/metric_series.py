"""The identity of a metric series: whose it is, which metric, of which type, with which attributes.

The processor derives it from OTLP, storage keeps it, query groups by its labels. It holds what the metrics data model
counts to the identity of a stream ("Timeseries Model"), so that points of one series may be merged.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final, NamedTuple


class MetricType(StrEnum):
    """The kinds of points that OTLP knows."""

    GAUGE = "gauge"
    SUM = "sum"
    HISTOGRAM = "histogram"
    EXPONENTIAL_HISTOGRAM = "exponential_histogram"
    SUMMARY = "summary"


class Temporality(StrEnum):
    """Whether points speak of the time since the one before, or since a start that they name."""

    DELTA = "delta"
    CUMULATIVE = "cumulative"


NO_LABELS: Final = "{}"


class MetricSeriesKey(NamedTuple):
    """All fields are text; what a point lacks is the empty string.

    `temporality` is empty for gauges; `is_monotonic` is `"true"` for sums that only grow. `resource` and `attributes`
    are labels in their canonical form (`canonical_labels`): those of the resource that tell instances apart, and all
    of the point's. `bounds` are an explicit histogram's, separated by commas: histograms with other bounds cannot be
    added up, so they are another series. `overflow` is `"true"` for the series that stands for those beyond a limit.
    """

    service_name: str
    metric_name: str
    metric_unit: str = ""
    metric_type: str = MetricType.GAUGE
    temporality: str = ""
    is_monotonic: str = ""
    service_version: str = ""
    service_instance_id: str = ""
    deployment_environment: str = ""
    scope_name: str = ""
    resource: str = NO_LABELS
    attributes: str = NO_LABELS
    bounds: str = ""
    overflow: str = ""


def canonical_labels(labels: Mapping[str, str]) -> str:
    """Return labels as the one text that stands for them: a JSON object, sorted by key."""
    if not labels:
        return NO_LABELS
    return json.dumps(labels, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def labels_of(text: str) -> dict[str, str]:
    """Read what `canonical_labels` wrote."""
    found: dict[str, Any] = json.loads(text)
    return found


def metric_series_id_of(series: MetricSeriesKey) -> int:
    """Return a stable signed 64-bit id, equal in every process: BLAKE2b over the length-prefixed fields."""
    parts = b"".join(len(raw).to_bytes(4, "little") + raw for raw in (field.encode() for field in series))
    digest = hashlib.blake2b(parts, digest_size=8, person=b"metric").digest()
    return int.from_bytes(digest, "little", signed=True)
