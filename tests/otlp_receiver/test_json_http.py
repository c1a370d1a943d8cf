"""OTLP/JSON over HTTP: what arrives at the next stage is protobuf, and what is refused is refused in JSON."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator

import httpx
import pytest
from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs

from otlp_receiver.component import OtlpReceiver
from telemetry import Signal
from tests.otlp_receiver.conftest import GatedConsumer
from tests.support.otlp import any_value, server_spans, trace_request
from tests.support.otlp_json import otlp_json

JSON = "application/json"


@pytest.fixture
async def client(receiver: OtlpReceiver) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{receiver.http_port}") as client:
        yield client


def text_of(message: Message) -> bytes:
    return json.dumps(otlp_json(message)).encode()


async def post(client: httpx.AsyncClient, path: str, body: bytes, **headers: str) -> httpx.Response:
    return await client.post(path, content=body, headers={"content-type": JSON} | headers)


@pytest.mark.parametrize("count", [1, 3, 3000])
async def test_spans_sent_as_json_arrive_as_protobuf(
    client: httpx.AsyncClient, consumer: GatedConsumer, count: int
) -> None:
    """Few or many, plain or compressed, they are the bytes that a protobuf client would have sent."""
    request = trace_request(server_spans(count))
    plain = await post(client, "/v1/traces", text_of(request))
    compressed = await post(client, "/v1/traces", gzip.compress(text_of(request)), **{"content-encoding": "gzip"})
    assert [(one.status_code, one.headers["content-type"], one.json()) for one in (plain, compressed)] == [
        (200, JSON, {}),
        (200, JSON, {}),
    ]
    bodies = [(batch.signal, batch.body, batch.item_count) for batch in consumer.batches]
    assert bodies == [(Signal.TRACES, request.SerializeToString(deterministic=True), count)] * 2


async def test_log_records_sent_as_json_arrive_as_protobuf(client: httpx.AsyncClient, consumer: GatedConsumer) -> None:
    """The other signals are decoded by the same rules."""
    record = LogRecord(body=any_value({"a": [1, "b"]}), trace_id=bytes(range(16)), severity_number=9)  # type: ignore[arg-type]
    request = ExportLogsServiceRequest(resource_logs=[ResourceLogs(scope_logs=[ScopeLogs(log_records=[record])])])
    response = await post(client, "/v1/logs", text_of(request))
    assert (response.status_code, response.json()) == (200, {})
    [batch] = consumer.batches
    assert (batch.signal, ExportLogsServiceRequest.FromString(batch.body)) == (Signal.LOGS, request)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "the body is not valid JSON"),
        (b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"zz"}]}]}]}', "spans[0].traceId must be hexadecimal"),
        (b'{"resourceSpans":' + b"[" * 100_000, "resourceSpans[0] is nested too deeply"),
        (b'{"unknown":' + b"[" * 100_000, "the body is nested too deeply"),
    ],
)
async def test_json_that_is_no_request_is_refused_for_good_in_json(
    client: httpx.AsyncClient, consumer: GatedConsumer, body: bytes, words: str
) -> None:
    """A 400 whose status names the place; nothing goes on to the next stage."""
    response = await post(client, "/v1/traces", body)
    assert (response.status_code, response.headers["content-type"]) == (400, JSON)
    assert words in response.json()["message"]
    assert consumer.batches == []
