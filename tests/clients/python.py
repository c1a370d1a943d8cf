"""OpenTelemetry's Python exporters, as the SDK would call them."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import grpc
from opentelemetry.exporter.otlp.common.http import Compression
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanContext

from tests.clients.exports import Export, Report

_PACKAGES: Final = {
    "grpc": "opentelemetry.exporter.otlp.proto.grpc",
    "http/protobuf": "opentelemetry.exporter.otlp.proto.http",
    "http/json": "opentelemetry.exporter.otlp.json.http",
}
_EXPORTERS: Final = {
    "traces": ("trace_exporter", "OTLPSpanExporter"),
    "metrics": ("metric_exporter", "OTLPMetricExporter"),
    "logs": ("_log_exporter", "OTLPLogExporter"),
}


class PythonClient:
    """Runs each export in a thread of its own. A `Client`."""

    language = "python"

    def export(self, *exports: Export) -> list[Report]:
        """Run the exports at the same time."""
        for export in exports:
            _exporter_type(export)  # imported here: packages that import each other deadlock when threads import them
        with ThreadPoolExecutor(len(exports)) as pool:
            return list(pool.map(_run, exports))


def _run(export: Export) -> Report:
    items = _ITEMS[export.signal](export)
    exporter = _exporter(export)
    try:
        result = exporter.export(items)
    finally:
        exporter.shutdown()
    return Report(result.name == "SUCCESS")


def _exporter_type(export: Export) -> Any:
    module, name = _EXPORTERS[export.signal]
    return getattr(importlib.import_module(f"{_PACKAGES[export.transport]}.{module}"), name)


def _exporter(export: Export) -> Any:
    exporter_type = _exporter_type(export)
    options: dict[str, Any] = {"timeout": export.timeout_s, "headers": export.headers}
    if export.transport == "grpc":
        is_gzip = export.compression == "gzip"
        compression = grpc.Compression.Gzip if is_gzip else grpc.Compression.NoCompression
        return exporter_type(endpoint=export.endpoint, insecure=True, compression=compression, **options)
    endpoint = f"{export.endpoint}/v1/{export.signal}"
    return exporter_type(endpoint=endpoint, compression=Compression.from_str(export.compression), **options)


def _resource() -> Resource:
    return Resource.create({"service.name": "python"})


def _spans(export: Export) -> Sequence[ReadableSpan]:
    memory = InMemorySpanExporter()
    provider = TracerProvider(resource=_resource(), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(memory))
    for name in export.names:
        provider.get_tracer("tests").start_span(name).end()
    spans = memory.get_finished_spans()
    for span in spans[: export.invalid]:
        span._context = SpanContext(trace_id=0, span_id=span.get_span_context().span_id, is_remote=False)
    return spans


def _metrics(export: Export) -> Any:
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], resource=_resource(), shutdown_on_exit=False)
    counter = provider.get_meter("tests").create_counter("calls")
    for name in export.names:
        counter.add(1, {"item": name})
    return reader.get_metrics_data()


def _logs(export: Export) -> Any:
    memory = InMemoryLogRecordExporter()
    provider = LoggerProvider(resource=_resource(), shutdown_on_exit=False)
    provider.add_log_record_processor(SimpleLogRecordProcessor(memory))
    for name in export.names:
        provider.get_logger("tests").emit(body=name)
    return memory.get_finished_logs()


_ITEMS: Final = {"traces": _spans, "metrics": _metrics, "logs": _logs}
