"""Requirements 47 to 54 of docs/otlp.md: what OTLP/HTTP answers to failures, and how clients can go on."""

from __future__ import annotations

import asyncio
import gzip

import pytest
from pydantic import SecretStr

from otlp_receiver.component import OtlpReceiver
from telemetry import PermanentError, RetryableError, Signal
from tests.clients.exports import Export
from tests.clients.python import PythonClient
from tests.otlp_conformance.items import INVALID_SPANS
from tests.otlp_conformance.raw_http import HttpConnection, exchange
from tests.otlp_conformance.samples import KINDS, TRACES, names_in, spans_request
from tests.otlp_conformance.ways import JSON, MAX_RESPONSE_BYTES, PROTOBUF, GrpcWay, HttpWay, Reply, read_reply, send
from tests.otlp_receiver.conftest import GatedConsumer, StartReceiver
from tests.support.cutting_proxy import CuttingProxy
from tests.support.waiting import eventually


@pytest.fixture(params=[PROTOBUF, JSON], ids=["protobuf", "json"])
def content_type(request: pytest.FixtureRequest) -> str:
    """Each encoding in turn."""
    return str(request.param)


DEFECTS = (OSError("disk"), TimeoutError(), ValueError("a defect"), MemoryError())


async def transient_faults(
    start_receiver: StartReceiver, consumer: GatedConsumer, content_type: str, *defects: Exception
) -> list[Reply]:
    """Provoke what may be different the next time: the next stage, a slow sender, overload. Return the answers."""
    receiver = await start_receiver(max_in_flight_requests=1, read_timeout_s=0.2)
    way = HttpWay(receiver.http_port, content_type)
    replies = []
    for error in (RetryableError("not now"), *defects):
        consumer.errors = [error]
        replies.append(await send(way, TRACES, TRACES.sample()))
    async with HttpConnection(receiver.http_port) as slow:
        await slow.send("POST", TRACES.path, {"content-type": content_type, "content-length": "100"}, b"x")
        replies.append(read_reply(await slow.receive(), TRACES, content_type))
    consumer.gate.clear()
    held = asyncio.create_task(send(way, TRACES, TRACES.sample()))
    await eventually(lambda: consumer.waiting)
    replies.append(await send(way, TRACES, TRACES.sample()))
    consumer.gate.set()
    assert (await held).is_full_success
    return replies


async def test_r47_only_what_may_pass_is_answered_with_a_retryable_code(
    start_receiver: StartReceiver, consumer: GatedConsumer, content_type: str
) -> None:
    """Transient faults, slow senders and defects of ours are 503: never 500 or 408, at which clients drop data."""
    replies = await transient_faults(start_receiver, consumer, content_type, *DEFECTS)
    assert [reply.code for reply in replies] == [503] * 7


async def test_r48_throttling_carries_whole_seconds(
    start_receiver: StartReceiver, consumer: GatedConsumer, content_type: str
) -> None:
    """Retry-After is a whole number from 1 to 3: some clients take 0 as "at once", and all give up after ten in all."""
    for reply in await transient_faults(start_receiver, consumer, content_type):
        assert reply.headers["retry-after"] in ("1", "2", "3")
    receiver = await start_receiver()
    for asked_s, answered in [(0.0, "1"), (0.2, "1"), (1.2, "2"), (13.0, "3")]:
        consumer.errors = [RetryableError("not now", retry_after_s=asked_s)]
        reply = await send(HttpWay(receiver.http_port, content_type), TRACES, TRACES.sample())
        assert reply.headers["retry-after"] == answered


async def test_r49_both_transports_answer_the_same_fault_alike(
    start_receiver: StartReceiver, consumer: GatedConsumer, content_type: str
) -> None:
    """gRPC codes and HTTP statuses go together as in the Collector's table; only 503 has a Retry-After."""
    receiver = await start_receiver(
        ingest_keys=(SecretStr("the-key"),), max_request_bytes=5_000, max_in_flight_bytes=10_000
    )
    key = {"x-modelwatch-key": "the-key"}
    ways = GrpcWay(receiver.grpc_port), HttpWay(receiver.http_port, content_type)
    for kind in KINDS:
        for error, grpc_code, http_status in [
            (RetryableError("not now"), "UNAVAILABLE", 503),
            (PermanentError("never"), "INVALID_ARGUMENT", 400),
        ]:
            consumer.errors = [error, error]
            replies = [await send(way, kind, kind.sample(), key) for way in ways]
            assert [reply.code for reply in replies] == [grpc_code, http_status]
        for request, headers, codes in [
            (kind.sample(), {}, ["UNAUTHENTICATED", 401]),
            (kind.sample(300), key, ["RESOURCE_EXHAUSTED", 413]),
        ]:
            replies = [await send(way, kind, request, headers) for way in ways]
            assert [reply.code for reply in replies] == codes
            assert all(reply.retry_after_s is None for reply in replies)


async def test_r50_no_response_outgrows_what_clients_read(
    receiver: OtlpReceiver, consumer: GatedConsumer, content_type: str
) -> None:
    """Messages are cut to a bound, so that no answer has to be withheld for its size, however long its cause is."""
    way = HttpWay(receiver.http_port, content_type)
    consumer.errors = [PermanentError("long " * 2_000_000), RetryableError("long " * 2_000_000)]
    replies = [await send(way, TRACES, TRACES.sample()) for _ in range(2)]
    assert [reply.code for reply in replies] == [400, 503]
    replies.append(await send(way, TRACES, spans_request(INVALID_SPANS * 500)))
    assert max(len(reply.body) for reply in replies) < MAX_RESPONSE_BYTES / 100


async def test_r51_a_response_is_compressed_only_when_asked_for(receiver: OtlpReceiver, content_type: str) -> None:
    """Without `Accept-Encoding: gzip` no answer is encoded; with it an answer may be, and then says so."""
    for body in (HttpWay(0, content_type).encode(TRACES.sample()), b"malformed"):
        for accepted in ({}, {"accept-encoding": "identity"}, {"accept-encoding": "gzip"}):
            reply = await exchange(
                receiver.http_port, "POST", TRACES.path, {"content-type": content_type, **accepted}, body
            )
            encoding = reply.headers.get("content-encoding", "identity")
            assert encoding == "identity" or encoding in accepted.values()
            plain = gzip.decompress(reply.body) if encoding == "gzip" else reply.body
            assert len(plain) < 1_000


async def test_r52_what_is_sent_again_after_a_lost_answer_is_known_by_its_id(
    receiver: OtlpReceiver, consumer: GatedConsumer, content_type: str
) -> None:
    """When the connection ends before the answer, the client's second request is the same batch as its first."""
    transport = "http/json" if content_type == JSON else "http/protobuf"
    for signal in Signal:
        consumer.batches.clear()
        async with CuttingProxy(receiver.http_port) as proxy:
            proxy.cut_after = b"lost 2"
            export = Export(signal.value, transport, f"http://127.0.0.1:{proxy.port}", prefix="lost")
            (report,) = await asyncio.to_thread(PythonClient().export, export)
            assert (report.is_success, proxy.cuts) == (True, 1)
        await eventually(lambda: len(consumer.batches) == 2)
        assert consumer.batches[0].batch_id == consumer.batches[1].batch_id
        assert names_in(consumer.batches[:1]) == export.names


async def test_r53_an_empty_body_is_an_empty_request(receiver: OtlpReceiver, consumer: GatedConsumer) -> None:
    """No byte of protobuf, and `{}`, are requests without telemetry: a success. No byte of JSON is no request: 400."""
    port = receiver.http_port
    for kind in KINDS:
        assert (await HttpWay(port, PROTOBUF).send_bytes(kind, b"")).is_full_success
        assert (await HttpWay(port, JSON).send_bytes(kind, b"{}")).is_full_success
        assert (await HttpWay(port, JSON).send_bytes(kind, b" {} \r\n")).is_full_success
        assert (await HttpWay(port, JSON).send_bytes(kind, b"")).code == 400
    assert consumer.batches == []


async def test_r54_browsers_of_other_origins_are_let_in_only_by_name(
    start_receiver: StartReceiver, consumer: GatedConsumer
) -> None:
    """CORS is off by default; with a list, its origins alone are told that they may send, without credentials."""
    closed = await start_receiver()
    preflight, reply = await _as_browser(closed, "https://shop.example")
    assert preflight.status == 405
    assert not [name for name in (*preflight.headers, *reply.headers) if name.startswith("access-control-")]

    opened = await start_receiver(cors_allowed_origins=("https://shop.example",))
    preflight, reply = await _as_browser(opened, "https://shop.example")
    assert preflight.status == 204
    for answer in (preflight, reply):
        assert answer.headers["access-control-allow-origin"] == "https://shop.example"
        assert "access-control-allow-credentials" not in answer.headers
        assert "origin" in answer.headers["vary"].lower()
    assert preflight.headers["access-control-allow-methods"] == "POST"
    allowed = {name.strip().lower() for name in preflight.headers["access-control-allow-headers"].split(",")}
    assert {"content-type", "authorization", "x-modelwatch-key"} <= allowed

    for stranger in ("https://evil.example", "https://shop.example.evil.example", "http://shop.example", "null"):
        for answer in await _as_browser(opened, stranger):
            assert not [name for name in answer.headers if name.startswith("access-control-")]


async def _as_browser(receiver: OtlpReceiver, origin: str) -> tuple[object, object]:
    asked = {"access-control-request-method": "POST", "access-control-request-headers": "content-type"}
    preflight = await exchange(receiver.http_port, "OPTIONS", TRACES.path, {"origin": origin, **asked})
    headers = {"origin": origin, "content-type": PROTOBUF}
    reply = await exchange(receiver.http_port, "POST", TRACES.path, headers, TRACES.sample().SerializeToString())
    return preflight, reply
