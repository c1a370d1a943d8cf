"""From answers about metrics to JSON; plain functions to plain dicts, as in `api/documents.py`."""

from __future__ import annotations

from collections.abc import Sequence

from api.documents import Json
from api.parameters import rfc_3339
from query import MetricAnswer, MetricInfo, MetricsAnswer, MetricValues


def metrics_document(answer: MetricsAnswer, shown: Sequence[MetricInfo], next_cursor: str | None) -> Json:
    """Return `metric_models.Metrics`; `shown` are those of the page."""
    items = [
        {
            "name": item.name,
            "unit": item.unit,
            "type": item.type,
            "series_count": item.series_count,
            "services": list(item.services),
            "attribute_keys": list(item.attribute_keys),
            "resource_keys": list(item.resource_keys),
            "aggregations": list(item.aggregations),
        }
        for item in shown
    ]
    return {
        "start": rfc_3339(answer.start_s),
        "end": rfc_3339(answer.end_s),
        "is_complete": answer.is_complete,
        "items": items,
        "next_cursor": next_cursor,
    }


def metric_document(answer: MetricAnswer, shown: Sequence[MetricValues], next_cursor: str | None) -> Json:
    """Return `metric_models.Metric`; `shown` are those of the page."""
    times = [rfc_3339(second) for second in range(answer.start_s, answer.end_s, answer.step_s)]
    items = [
        {
            "labels": dict(item.labels),
            "points": [{"time": time, "value": value} for time, value in zip(times, item.values, strict=True)],
        }
        for item in shown
    ]
    return {
        "start": rfc_3339(answer.start_s),
        "end": rfc_3339(answer.end_s),
        "step_s": answer.step_s,
        "name": answer.name,
        "unit": answer.unit,
        "type": answer.type,
        "aggregation": answer.aggregation,
        "items": items,
        "next_cursor": next_cursor,
    }
