"""Requirements 23 to 33 of docs/otlp.md: OTLP/gRPC."""

from __future__ import annotations

import asyncio
import gzip

import pytest
from google.rpc.error_details_pb2 import BadRequest
from pydantic import SecretStr

from otlp_receiver.component import OtlpReceiver
from otlp_receiver.settings import ReceiverSettings
from telemetry import PermanentError, RetryableError
from tests.otlp_conformance.raw_http import HttpConnection
from tests.otlp_conformance.samples import KINDS, TRACES, names_in
from tests.otlp_conformance.ways import RETRYABLE_GRPC, GrpcWay, Reply, call, send
from tests.otlp_receiver.conftest import GatedConsumer, StartReceiver
from tests.support.waiting import eventually

MALFORMED = b"\xff\xff\xff"
FINAL = {
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "UNAUTHENTICATED",
    "FAILED_PRECONDITION",
    "UNIMPLEMENTED",
    "INTERNAL",
}
"""The codes that clients must not repeat after; RESOURCE_EXHAUSTED is one of them without RetryInfo."""


@pytest.fixture
async def grpc_way(receiver: OtlpReceiver) -> GrpcWay:
    return GrpcWay(receiver.grpc_port)


async def test_r23_each_signal_has_its_service(grpc_way: GrpcWay, consumer: GatedConsumer) -> None:
    """`Export` of the three stable signals is served; profiles and everything else are UNIMPLEMENTED."""
    for kind in KINDS:
        assert (await send(grpc_way, kind, kind.sample())).is_full_success
    assert [batch.signal for batch in consumer.batches] == [kind.signal for kind in KINDS]
    async with grpc_way.channel() as channel:
        for method in (
            "/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export",
            "/opentelemetry.proto.collector.trace.v1.TraceService/Import",
            "/opentelemetry.proto.collector.trace.v1.traceservice/Export",
            "/Export",
        ):
            reply = await call(channel, TRACES, b"", method=method)
            assert reply.code == "UNIMPLEMENTED", method


def test_r24_the_default_port_is_4317() -> None:
    """Without a setting OTLP/gRPC is served on 4317, on this machine only."""
    settings = ReceiverSettings()
    assert (settings.host, settings.grpc_port) == ("127.0.0.1", 4317)


@pytest.mark.parametrize("is_gzip", [False, True], ids=["plain", "gzip"])
async def test_r25_an_oversized_request_is_exhausted_without_retry_info(
    start_receiver: StartReceiver, consumer: GatedConsumer, is_gzip: bool
) -> None:
    """RESOURCE_EXHAUSTED without RetryInfo tells clients to drop the request; the connection serves the next one."""
    receiver = await start_receiver(max_request_bytes=10_000, max_in_flight_bytes=40_000)
    async with GrpcWay(receiver.grpc_port).channel() as channel:
        for kind in KINDS:
            reply = await call(channel, kind, kind.sample(2_000).SerializeToString(), is_gzip=is_gzip)
            assert reply.code == "RESOURCE_EXHAUSTED"
            assert reply.retry_after_s is None
            assert not any("retryinfo" in key for key in reply.headers)
            assert (await call(channel, kind, kind.sample().SerializeToString())).is_full_success
    assert names_in(consumer.batches) == ["item 0", "item 1"] * 3


DEFECTS = (OSError("disk"), TimeoutError(), ValueError("a defect"), MemoryError())


async def transient_faults(start_receiver: StartReceiver, consumer: GatedConsumer, *defects: Exception) -> list[Reply]:
    """Provoke what may be different the next time, in the next stage and by overload, and return the answers."""
    receiver = await start_receiver(max_in_flight_requests=1)
    way = GrpcWay(receiver.grpc_port)
    replies = []
    for error in (RetryableError("not now"), *defects):
        consumer.errors = [error]
        replies.append(await send(way, TRACES, TRACES.sample()))
    consumer.gate.clear()
    held = asyncio.create_task(send(way, TRACES, TRACES.sample()))
    await eventually(lambda: consumer.waiting)
    replies.append(await send(way, TRACES, TRACES.sample()))
    consumer.gate.set()
    assert (await held).is_full_success
    return replies


async def test_r26_what_may_pass_is_answered_with_a_retryable_code(
    start_receiver: StartReceiver, consumer: GatedConsumer
) -> None:
    """Failures of the next stage, defects of ours and overload all end in a code that lets clients repeat."""
    replies = await transient_faults(start_receiver, consumer, *DEFECTS)
    assert len(replies) == 6
    assert {reply.code for reply in replies} <= RETRYABLE_GRPC
    assert not any("defect" in reply.message or "disk" in reply.message for reply in replies), "that is for our log"


async def test_r27_what_is_final_is_answered_with_a_final_code(
    start_receiver: StartReceiver, consumer: GatedConsumer
) -> None:
    """Malformed or refused data, a missing key and an unknown method end in a code that forbids to repeat."""
    receiver = await start_receiver(ingest_keys=(SecretStr("the-key"),))
    key = {"x-modelwatch-key": "the-key"}
    consumer.errors = [PermanentError("never")]
    body = TRACES.sample().SerializeToString()
    async with GrpcWay(receiver.grpc_port).channel() as channel:
        replies = [
            await call(channel, TRACES, body, key),
            await call(channel, TRACES, MALFORMED, key),
            await call(channel, TRACES, body),
            await call(channel, TRACES, body, {"x-modelwatch-key": "another"}),
            await call(channel, TRACES, body, key, method="/a.Service/Export"),
        ]
    assert [reply.code in FINAL for reply in replies] == [True] * len(replies)
    assert not any(reply.code == "UNKNOWN" for reply in replies)
    assert consumer.batches == []


async def test_r28_throttling_is_unavailable_with_retry_info(
    start_receiver: StartReceiver, consumer: GatedConsumer
) -> None:
    """Every refusal for now is UNAVAILABLE with RetryInfo, in the trailers of both kinds of clients."""
    for reply in await transient_faults(start_receiver, consumer):
        assert reply.code == "UNAVAILABLE"
        assert reply.retry_after_s is not None
        assert {"grpc-status-details-bin", "google.rpc.retryinfo-bin"} <= reply.headers.keys()


async def test_r29_the_delay_is_short(start_receiver: StartReceiver, consumer: GatedConsumer) -> None:
    """The delay asked for is the next stage's, within one to three seconds: clients give up after ten in all."""
    for reply in await transient_faults(start_receiver, consumer):
        assert reply.retry_after_s is not None
        assert 1 <= reply.retry_after_s <= 3
    way = GrpcWay((await start_receiver()).grpc_port)
    for asked_s, answered_s in [(0.0, 1), (1.5, 1.5), (13.0, 3)]:
        consumer.errors = [RetryableError("not now", retry_after_s=asked_s)]
        assert (await send(way, TRACES, TRACES.sample())).retry_after_s == answered_s


async def test_r30_bad_data_is_an_invalid_argument(grpc_way: GrpcWay, consumer: GatedConsumer) -> None:
    """What is no request, and what the next stage can never take, is INVALID_ARGUMENT; the former with BadRequest."""
    for kind in KINDS:
        for malformed in (MALFORMED, kind.sample().SerializeToString()[:-1], b'{"resourceSpans":[]}'):
            reply = await grpc_way.send_bytes(kind, malformed)
            assert reply.code == "INVALID_ARGUMENT"
            assert reply.detail(BadRequest).field_violations[0].description
        consumer.errors = [PermanentError("the data is at fault")]
        reply = await send(grpc_way, kind, kind.sample())
        assert (reply.code, reply.message) == ("INVALID_ARGUMENT", "the data is at fault")
    assert consumer.batches == []


async def test_r31_without_credentials_a_call_is_unauthenticated(
    start_receiver: StartReceiver, consumer: GatedConsumer
) -> None:
    """No key, a wrong one and an empty one are UNAUTHENTICATED for every signal; either header with the key is let in.

    All keys have the same right, so nothing is PERMISSION_DENIED.
    """
    receiver = await start_receiver(ingest_keys=(SecretStr("the-key"),))
    way = GrpcWay(receiver.grpc_port)
    for kind in KINDS:
        for headers in ({}, {"x-modelwatch-key": "the-ke"}, {"authorization": "Bearer "}, {"authorization": "the-key"}):
            assert (await send(way, kind, kind.sample(), headers)).code == "UNAUTHENTICATED"
        for headers in ({"x-modelwatch-key": "the-key"}, {"authorization": "Bearer the-key"}):
            assert (await send(way, kind, kind.sample(), headers)).is_full_success
    assert len(consumer.batches) == 6


async def test_r32_concurrent_calls_on_one_connection_are_all_answered(
    grpc_way: GrpcWay, consumer: GatedConsumer
) -> None:
    """A hundred calls of three signals that are in flight at once are a hundred successes."""
    consumer.gate.clear()
    async with grpc_way.channel() as channel:
        calls = [
            asyncio.create_task(call(channel, kind, kind.sample(1, f"call {at}").SerializeToString()))
            for at in range(100)
            for kind in [KINDS[at % 3]]
        ]
        await eventually(lambda: consumer.waiting == 100)
        consumer.gate.set()
        replies = await asyncio.gather(*calls)
    assert all(reply.is_full_success for reply in replies)
    assert sorted(names_in(consumer.batches)) == sorted(f"call {at} 0" for at in range(100))


async def test_r33_a_stop_finishes_what_was_taken(receiver: OtlpReceiver, consumer: GatedConsumer) -> None:
    """Calls in flight at a stop are finished and answered, new ones are UNAVAILABLE, and nothing arrives afterwards."""
    way = GrpcWay(receiver.grpc_port)
    async with way.channel() as channel:
        consumer.gate.clear()
        held = [asyncio.create_task(call(channel, kind, kind.sample().SerializeToString())) for kind in KINDS]
        await eventually(lambda: consumer.waiting == len(KINDS))
        stopping = asyncio.create_task(receiver.stop())
        await eventually(lambda: _is_refused(way))
        consumer.gate.set()
        assert all(reply.is_full_success for reply in await asyncio.gather(*held))
        await stopping
        arrived = len(consumer.batches)
        assert (await call(channel, TRACES, TRACES.sample().SerializeToString())).code == "UNAVAILABLE"
    assert len(consumer.batches) == arrived == len(KINDS)


async def _is_refused(way: GrpcWay) -> bool:
    return (await send(way, TRACES, TRACES.request())).code == "UNAVAILABLE"


async def test_other_protocols_on_the_port_do_no_harm(grpc_way: GrpcWay, consumer: GatedConsumer) -> None:
    """HTTP/1.1 and noise on the gRPC port end that connection only."""
    for noise in (b"POST /v1/traces HTTP/1.1\r\nhost: x\r\n\r\n", gzip.compress(b"noise"), b"\x00" * 100):
        async with HttpConnection(grpc_way.port) as connection:
            await connection.write(noise)
            await connection.read_to_the_end()
    assert (await send(grpc_way, TRACES, TRACES.sample())).is_full_success
