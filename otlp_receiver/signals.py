"""What the receiver knows of each signal: where it is sent to, what its messages are, what is valid in it.

Both servers route by this table; the intake inspects by it. Serving another signal is another entry.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from otlp_receiver.log_rules import LogRules
from otlp_receiver.metric_rules import MetricRules
from otlp_receiver.pieces import ITEMS_IN_SCOPES, POINTS_IN_METRICS, Level
from otlp_receiver.rules import Rules
from otlp_receiver.span_rules import SpanRules
from telemetry import Signal


@dataclass(frozen=True, slots=True)
class SignalRoute:
    """A signal that is served.

    `item_noun` is what its items are called; `rejected_field` where a response counts those that were rejected;
    `levels` how a large request is taken apart.
    """

    signal: Signal
    http_path: str
    grpc_method: str
    item_noun: str
    request_class: Any
    response_class: Any
    rejected_field: str
    rules: Callable[[], Rules]
    levels: Sequence[Level]


TRACES: Final = SignalRoute(
    signal=Signal.TRACES,
    http_path="/v1/traces",
    grpc_method="/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    item_noun="spans",
    request_class=ExportTraceServiceRequest,
    response_class=ExportTraceServiceResponse,
    rejected_field="rejected_spans",
    rules=SpanRules,
    levels=ITEMS_IN_SCOPES,
)
METRICS: Final = SignalRoute(
    signal=Signal.METRICS,
    http_path="/v1/metrics",
    grpc_method="/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    item_noun="data points",
    request_class=ExportMetricsServiceRequest,
    response_class=ExportMetricsServiceResponse,
    rejected_field="rejected_data_points",
    rules=MetricRules,
    levels=POINTS_IN_METRICS,
)
LOGS: Final = SignalRoute(
    signal=Signal.LOGS,
    http_path="/v1/logs",
    grpc_method="/opentelemetry.proto.collector.logs.v1.LogsService/Export",
    item_noun="log records",
    request_class=ExportLogsServiceRequest,
    response_class=ExportLogsServiceResponse,
    rejected_field="rejected_log_records",
    rules=LogRules,
    levels=ITEMS_IN_SCOPES,
)

ROUTES: Final = (TRACES, METRICS, LOGS)
