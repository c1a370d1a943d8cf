"""Sending over OTLP to a real receiver: with a key, over TLS, and what its answers mean."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsPartialSuccess,
    ExportMetricsServiceResponse,
)
from pydantic import SecretStr

from container_stats.otlp_client import OtlpClient, headers_of
from container_stats.readings import Reading, Subject, encode
from otlp_receiver.component import build
from otlp_receiver.settings import ReceiverSettings
from telemetry import Batch, Counters, PermanentError, RetryableError, Signal
from tests.support.metric_consumer import MetricConsumer
from tests.support.ports import free_port

RESOURCE = (("container.id", "a" * 64), ("container.image.tags", ("1.2", "latest")), ("process.pid", 7))


def batch() -> Batch:
    readings = [Reading("container.cpu.time", 1.5), Reading("container.restarts", 2)]
    body, points = encode([Subject(RESOURCE, readings, 1_763_626_531_000_000_000, 1_763_626_530_000_000_000)])
    return Batch.of(Signal.METRICS, body, item_count=points, received_unix_nano=1)


@asynccontextmanager
async def sending(endpoint: str, counters: Counters | None = None, **headers: str) -> AsyncIterator[OtlpClient]:
    client = OtlpClient(endpoint, headers, 5, counters or Counters())
    try:
        yield client
    finally:
        await client.close()


async def test_a_receiver_takes_what_is_sent_with_its_key() -> None:
    """With the key the same bytes arrive as were sent; without it the request is refused for good."""
    consumer = MetricConsumer()
    settings = ReceiverSettings(grpc_port=0, http_port=0)
    receiver = build(settings, consumer, Counters(), [SecretStr("right")])
    await receiver.start()
    try:
        endpoint = f"http://127.0.0.1:{receiver.http_port}"
        async with sending(endpoint, **{"x-modelwatch-key": "right"}) as client:
            await client.consume(batch())
        assert [one.body for one in consumer.batches] == [batch().body]
        assert consumer.batches[0].item_count == 2
        assert consumer.points("container.restarts")[0].resource["container.image.tags"] == ["1.2", "latest"]
        async with sending(endpoint) as client:
            with pytest.raises(PermanentError, match="401"):
                await client.consume(batch())
        consumer.failure = RetryableError("full", retry_after_s=2)
        async with sending(endpoint, **{"x-modelwatch-key": "right"}) as client:
            with pytest.raises(RetryableError, match="503"):
                await client.consume(batch())
    finally:
        await receiver.stop()


async def test_nobody_there_is_a_reason_to_try_again() -> None:
    """A refused connection is no fault of the data."""
    async with sending(f"http://127.0.0.1:{free_port()}") as client:
        with pytest.raises(RetryableError, match="does not answer"):
            await client.consume(batch())


@pytest.mark.parametrize(
    ("endpoint", "url"),
    [
        ("http://h:4318", "http://h:4318/v1/metrics"),
        ("http://h:4318/", "http://h:4318/v1/metrics"),
        ("http://h/otlp/v1/metrics", "http://h/otlp/v1/metrics"),
    ],
)
async def test_the_path_of_metrics_is_added(endpoint: str, url: str) -> None:
    """As with OTEL_EXPORTER_OTLP_ENDPOINT, unless it is there already."""
    async with sending(endpoint) as client:
        assert client.url == url


async def test_a_partial_success_is_counted_and_logged(capfd: pytest.CaptureFixture[str]) -> None:
    """Points that were rejected out of a request that was taken are no reason to send it again."""
    partial = ExportMetricsPartialSuccess(rejected_data_points=1, error_message="too old")
    body = ExportMetricsServiceResponse(partial_success=partial).SerializeToString()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    counters = Counters()
    try:
        async with sending(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", counters) as client:
            await client.consume(batch())
    finally:
        server.close()
        await server.wait_closed()
    assert counters.total("container_stats_rejected_points") == 1
    assert "too old" in capfd.readouterr().out


def test_headers_are_written_as_pairs() -> None:
    """In the form of OTEL_EXPORTER_OTLP_HEADERS; a value may hold equals signs."""
    assert headers_of("a=b, c=d=e,") == {"a": "b", "c": "d=e"}
