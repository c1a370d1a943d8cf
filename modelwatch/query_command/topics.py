"""What can be asked with `modelwatch query`: each topic is a route of the API with the route's own parameters.

Parameters are read from the classes that the API reads them with, so that both always take the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pydantic import BaseModel

from api.alert_parameters import AlertHistoryParameters, OpenAlertsParameters
from api.metric_parameters import MetricsParameters
from api.paging import PageParameters
from api.parameters import NoParameters, RedParameters, ServicesParameters
from api.resource_parameters import InstancesParameters, ResourcesParameters
from api.trace_parameters import TracesParameters


@dataclass(frozen=True, slots=True)
class Topic:
    """A question; its answer is an object with a list of items."""

    path: str
    summary: str
    parameters: type[BaseModel]
    columns: tuple[str, ...]
    """What a table shows of an item, in this order, where it is there; CSV has everything."""
    identity: tuple[str, ...] = ()
    """What says whose points they are; empty for items that have none."""
    items: str = "items"
    """Under which name the items are."""
    place: str = ""
    """What the path has in braces, which is asked for by an argument of its own."""


TOPICS: Final[Mapping[str, Topic]] = {
    "services": Topic(
        "/api/v1/services",
        "all services: status, rate, errors, durations",
        ServicesParameters,
        ("service", "status", "calls", "rate_per_s", "error_rate", "p50_s", "p95_s", "p99_s", "apdex", "problems"),
    ),
    "red": Topic(
        "/api/v1/red",
        "rate, errors and durations by route, version or whatever else, also over time",
        RedParameters,
        ("labels", "calls", "rate_per_s", "error_rate", "p50_s", "p95_s", "p99_s"),
        ("labels",),
    ),
    "traces": Topic(
        "/api/v1/traces",
        "single requests that were kept: errors, the slowest, and some of the others",
        TracesParameters,
        ("start", "service", "version", "method", "route", "status_code", "error", "duration_s", "kept_as", "trace_id"),
    ),
    "trace": Topic(
        "/api/v1/traces/{trace_id}",
        "all that is kept of one trace",
        NoParameters,
        ("start", "depth", "service", "name", "span_kind", "status_code", "error", "duration_s", "span_id"),
        items="spans",
        place="trace_id",
    ),
    "resources": Topic(
        "/api/v1/resources",
        "containers and processes: CPU, memory, throttling, also over time",
        ResourcesParameters,
        (
            "name",
            "kind",
            "service",
            "state",
            "now.cpu_cores",
            "now.cpu_share",
            "now.throttled_share",
            "now.memory_bytes",
            "now.memory_share",
            "restarts",
        ),
        ("kind", "id", "name", "service"),
    ),
    "instances": Topic(
        "/api/v1/instances",
        "the instances of services that were heard of",
        InstancesParameters,
        ("service", "instance", "version", "environment", "host", "container_id", "pid", "last_seen"),
    ),
    "metrics": Topic(
        "/api/v1/metrics",
        "which metrics there are; with --name, one of them by any label, also over time",
        MetricsParameters,
        ("name", "unit", "type", "labels", "value", "services", "series_count"),
        ("labels",),
    ),
    "alerts": Topic(
        "/api/v1/alerts",
        "what fires, and what is about to",
        OpenAlertsParameters,
        ("severity", "state", "rule_name", "labels", "summary", "since", "ack.by"),
    ),
    "alert-history": Topic(
        "/api/v1/alerts/history",
        "how alerts changed, the latest first",
        AlertHistoryParameters,
        ("time", "rule_id", "labels", "before", "after", "severity", "reason"),
    ),
    "alert-rules": Topic(
        "/api/v1/alert-rules",
        "the rules of alerts that hold",
        PageParameters,
        ("rule_id", "signal", "warning", "critical", "window_s", "for_s", "is_enabled", "name", "failure"),
    ),
    "silences": Topic(
        "/api/v1/silences",
        "what is silenced, until when",
        PageParameters,
        ("silence_id", "scope", "starts", "ends", "by"),
    ),
    "pipeline": Topic(
        "/api/v1/pipeline", "what ModelWatch itself counted and holds", NoParameters, ("name", "labels", "value")
    ),
}
