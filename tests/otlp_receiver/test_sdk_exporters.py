"""OpenTelemetry's own Python exporters, unchanged, against the receiver."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import grpc
import pytest
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pydantic import SecretStr

from otlp_receiver.component import OtlpReceiver
from telemetry import Batch, PermanentError, RetryableError
from telemetry.batch import batch_id_of
from tests.otlp_receiver.conftest import GatedConsumer, StartReceiver


def exporter_of(
    transport: str, receiver: OtlpReceiver, *, is_gzip: bool = False, headers: dict[str, str] | None = None
) -> SpanExporter:
    """Return the SDK's exporter for the transport."""
    if transport == "grpc":
        compression = grpc.Compression.Gzip if is_gzip else grpc.Compression.NoCompression
        endpoint = f"http://127.0.0.1:{receiver.grpc_port}"
        return GrpcExporter(endpoint, insecure=True, compression=compression, headers=headers)
    compression = Compression.Gzip if is_gzip else Compression.NoCompression
    endpoint = f"http://127.0.0.1:{receiver.http_port}/v1/traces"
    return HttpExporter(endpoint, compression=compression, headers=headers)


def finished_spans(count: int) -> list[ReadableSpan]:
    """Return spans as the SDK makes them."""
    memory = InMemorySpanExporter()
    provider = TracerProvider(resource=Resource.create({"service.name": "shop"}), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(memory))
    for at in range(count):
        with provider.get_tracer("tests").start_as_current_span(f"request {at}"):
            pass
    return list(memory.get_finished_spans())


async def export(exporter: SpanExporter, spans: list[ReadableSpan]) -> SpanExportResult:
    """Export in a thread, as the SDK does, and shut the exporter down."""
    try:
        return await asyncio.to_thread(exporter.export, spans)
    finally:
        exporter.shutdown()


def names_in(consumer: GatedConsumer) -> list[str]:
    requests = [ExportTraceServiceRequest.FromString(batch.body) for batch in consumer.batches]
    return [
        span.name
        for request in requests
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


@pytest.mark.parametrize("is_gzip", [False, True], ids=["plain", "gzip"])
async def test_an_export_arrives(
    receiver: OtlpReceiver, consumer: GatedConsumer, transport: str, is_gzip: bool
) -> None:
    """An export succeeds, and exactly its spans are handed on."""
    result = await export(exporter_of(transport, receiver, is_gzip=is_gzip), finished_spans(20))
    assert result is SpanExportResult.SUCCESS
    assert names_in(consumer) == [f"request {at}" for at in range(20)]
    assert [batch.item_count for batch in consumer.batches] == [20]


async def test_a_whole_tracing_pipeline_arrives(
    receiver: OtlpReceiver, consumer: GatedConsumer, transport: str
) -> None:
    """Every span that a provider with a batch processor ends is handed on by the time the provider is shut down."""
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(exporter_of(transport, receiver)))
    for at in range(700):
        with provider.get_tracer("tests").start_as_current_span(f"request {at}"):
            pass
    await asyncio.to_thread(provider.shutdown)
    assert sorted(names_in(consumer)) == sorted(f"request {at}" for at in range(700))


async def test_a_refused_export_is_repeated_until_it_succeeds(
    receiver: OtlpReceiver, consumer: GatedConsumer, transport: str
) -> None:
    """After a retryable refusal the SDK sends the same bytes again: one batch arrives, with the id of the first try."""
    refused_ids = refuse_first(consumer, lambda: RetryableError("not now", retry_after_s=0.1))
    result = await export(exporter_of(transport, receiver), finished_spans(5))
    assert result is SpanExportResult.SUCCESS
    assert [batch.batch_id for batch in consumer.batches] == refused_ids
    assert batch_id_of(consumer.batches[0].signal, consumer.batches[0].body) == refused_ids[0]


async def test_a_rejected_export_is_not_repeated(
    receiver: OtlpReceiver, consumer: GatedConsumer, transport: str
) -> None:
    """After a permanent refusal the SDK gives up at once."""
    rejected_ids = refuse_first(consumer, lambda: PermanentError("never"))
    result = await export(exporter_of(transport, receiver), finished_spans(5))
    assert result is SpanExportResult.FAILURE
    assert (len(rejected_ids), consumer.batches) == (1, [])


async def test_a_key_is_sent_as_a_header(
    start_receiver: StartReceiver, consumer: GatedConsumer, transport: str
) -> None:
    """The SDK's own `headers` option carries the ingest key."""
    receiver = await start_receiver(ingest_keys=(SecretStr("the-key"),))
    for headers, result in [
        ({"x-modelwatch-key": "the-key"}, SpanExportResult.SUCCESS),
        ({"authorization": "Bearer the-key"}, SpanExportResult.SUCCESS),
        ({}, SpanExportResult.FAILURE),
    ]:
        assert await export(exporter_of(transport, receiver, headers=headers), finished_spans(1)) is result
    assert len(consumer.batches) == 2


def refuse_first(consumer: GatedConsumer, refusal: Callable[[], Exception]) -> list[bytes]:
    """Let the consumer refuse once; return the list that the refused batch's id will be in."""
    refused_ids: list[bytes] = []
    consume = consumer.consume

    async def refusing(batch: Batch) -> None:
        if not refused_ids:
            refused_ids.append(batch.batch_id)
            raise refusal()
        await consume(batch)

    consumer.consume = refusing  # type: ignore[method-assign]
    return refused_ids
