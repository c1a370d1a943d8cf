"""What is sent to a receiver that is measured: a request of each signal and encoding, by a name.

Traces are what a Python SDK exports at once; metrics and logs have as many items.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from benchmarks._requests import SPANS_PER_REQUEST, one_call, typical
from otlp_receiver.signals import LOGS, METRICS, TRACES, SignalRoute
from tests.support.otlp_json import otlp_json
from tests.support.otlp_metrics import (
    gauge,
    histogram,
    histogram_point,
    log_record,
    log_request,
    metric_request,
    number_point,
    total,
)

_POINTS_PER_METRIC = 16
_ATTRIBUTES = {"http.route": "/predict", "http.request.method": "POST", "http.response.status_code": 200}
_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


@dataclass(frozen=True)
class Request:
    """The bytes of a request before compression, and how they are sent."""

    route: SignalRoute
    body: bytes
    items: int
    content_type: str = "application/x-protobuf"
    is_gzip: bool = False

    @property
    def grpc_method(self) -> str:
        return self.route.grpc_method

    @property
    def http_path(self) -> str:
        return self.route.http_path


def request_of(name: str) -> Request:
    """Return the request of this name: `traces`, `traces gzip`, `traces json`, `metrics`, `logs` or `one span`."""
    now_ns = time.time_ns()
    match name:
        case "metrics":
            return Request(METRICS, _metrics(), SPANS_PER_REQUEST)
        case "logs":
            records = [
                log_record(f"request {at} took 12 ms", attributes=_ATTRIBUTES) for at in range(SPANS_PER_REQUEST)
            ]
            return Request(LOGS, log_request(records).SerializeToString(), SPANS_PER_REQUEST)
        case "one span":
            return Request(TRACES, one_call("model", now_ns), 1)
    body = typical(0, now_ns).body
    if name == "traces json":
        text = json.dumps(otlp_json(ExportTraceServiceRequest.FromString(body)), separators=(",", ":"))
        return Request(TRACES, text.encode(), SPANS_PER_REQUEST, "application/json")
    return Request(TRACES, body, SPANS_PER_REQUEST, is_gzip=name == "traces gzip")


def _metrics() -> bytes:
    """Return gauges, sums and histograms of several points each."""
    kinds = []
    for at in range(SPANS_PER_REQUEST // _POINTS_PER_METRIC):
        points = range(_POINTS_PER_METRIC)
        if at % 3 == 0:
            kinds.append(gauge(*(number_point(0.5, index=n, **_ATTRIBUTES) for n in points), name=f"gauge {at}"))
        elif at % 3 == 1:
            kinds.append(total(*(number_point(7, index=n, **_ATTRIBUTES) for n in points), name=f"sum {at}"))
        else:
            counts = range(len(_BOUNDS) + 1)
            kinds.append(histogram(*(histogram_point(counts, _BOUNDS) for _ in points), name=f"histogram {at}"))
    return metric_request(kinds).SerializeToString()
