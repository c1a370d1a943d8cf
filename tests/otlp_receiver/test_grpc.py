"""What is particular to OTLP/gRPC: methods, message counts, and callers that hang up."""

from __future__ import annotations

import asyncio
import gzip

import grpc
import grpc.aio
import pytest

from otlp_receiver.component import OtlpReceiver
from telemetry import Counters
from tests.otlp_receiver.conftest import GatedConsumer, StartReceiver
from tests.support.frames import PING, PREFACE, SETTINGS, frame, grpc_frames, grpc_status
from tests.support.otlp import server_spans, trace_request
from tests.support.otlp_senders import EXPORT_TRACES, GrpcSender
from tests.support.waiting import eventually

BODY = trace_request(server_spans(3)).SerializeToString()


def channel_to(receiver: OtlpReceiver) -> grpc.aio.Channel:
    return grpc.aio.insecure_channel(f"127.0.0.1:{receiver.grpc_port}")


@pytest.mark.parametrize(
    "method",
    [
        "/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export",
        "/opentelemetry.proto.collector.trace.v1.TraceService/Import",
        "/grpc.health.v1.Health/Check",
    ],
)
async def test_other_methods_are_unimplemented(receiver: OtlpReceiver, method: str) -> None:
    """Signals that are not taken, and everything else, get UNIMPLEMENTED, which clients do not retry."""
    answer = await GrpcSender(receiver.grpc_port).send(BODY, method=method)
    assert answer.code == "UNIMPLEMENTED"
    assert not answer.is_retryable


@pytest.mark.parametrize("method", [b"\xff", b"/\xc3(/Export", EXPORT_TRACES.encode() + b"\xff", b""])
async def test_a_method_whose_name_is_no_text_is_unimplemented(receiver: OtlpReceiver, method: bytes) -> None:
    """What has ended grpcio's own loop, and closed the port for good, is answered like any other unknown method."""
    frames = grpc_frames(EXPORT_TRACES, BODY, is_compressed=False, metadata={b":path": method})
    for _ in range(3):
        assert await grpc_status(receiver.grpc_port, frames) == grpc.StatusCode.UNIMPLEMENTED.value[0]
    assert (await GrpcSender(receiver.grpc_port).send(BODY)).is_success


async def test_a_call_without_a_message_is_malformed(receiver: OtlpReceiver, counters: Counters) -> None:
    """A caller that closes its side without sending gets INVALID_ARGUMENT."""
    async with channel_to(receiver) as channel:
        call = channel.stream_unary(EXPORT_TRACES)()  # type: ignore[call-arg]
        await call.done_writing()
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await call
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert counters.total("receiver_rejected_requests") == 1


async def test_a_caller_that_hangs_up_does_not_stop_the_delivery(
    receiver: OtlpReceiver, consumer: GatedConsumer, counters: Counters
) -> None:
    """What was read is delivered and counted although nobody waits for the answer any more."""
    consumer.gate.clear()
    async with channel_to(receiver) as channel:
        call = channel.unary_unary(EXPORT_TRACES)(BODY)  # type: ignore[call-arg]
        await eventually(lambda: consumer.waiting == 1)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
    consumer.gate.set()
    await eventually(lambda: counters.total("receiver_accepted_items") == 3)
    assert len(consumer.batches) == 1


async def test_a_caller_that_never_sends_loses_its_place(start_receiver: StartReceiver, counters: Counters) -> None:
    """A call whose message does not come in time is refused as retryable, and its room is free again."""
    receiver = await start_receiver(read_timeout_s=0.2, max_in_flight_requests=1)
    async with channel_to(receiver) as channel:
        call = channel.stream_unary(EXPORT_TRACES)()  # type: ignore[call-arg]
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await asyncio.wait_for(call, 5)
    assert raised.value.code() is grpc.StatusCode.UNAVAILABLE
    assert counters.total("receiver_refused_requests") == 1
    assert (await GrpcSender(receiver.grpc_port).send(BODY)).is_success


async def test_a_caller_that_hangs_up_early_loses_its_place(start_receiver: StartReceiver) -> None:
    """A call that ends before its message leaves nothing behind."""
    receiver = await start_receiver(max_in_flight_requests=1)
    async with channel_to(receiver) as channel:
        call = channel.stream_unary(EXPORT_TRACES)()  # type: ignore[call-arg]
        await call.wait_for_connection()
        call.cancel()
    sender = GrpcSender(receiver.grpc_port)

    async def is_free() -> bool:
        return (await sender.send(BODY)).is_success

    await eventually(is_free)


async def test_callers_that_are_slow_to_send_do_not_hold_up_others(receiver: OtlpReceiver) -> None:
    """A hundred calls whose messages do not come take the turns of reading only for a moment."""
    async with channel_to(receiver) as channel:
        idle = [channel.stream_unary(EXPORT_TRACES)() for _ in range(100)]  # type: ignore[call-arg]
        await asyncio.gather(*(call.wait_for_connection() for call in idle))
        assert (await asyncio.wait_for(GrpcSender(receiver.grpc_port).send(BODY), 10)).is_success
        for call in idle:
            call.cancel()


async def test_metadata_is_bounded(receiver: OtlpReceiver, consumer: GatedConsumer) -> None:
    """A long key passes; more metadata than any sender needs gets RESOURCE_EXHAUSTED, and reaches nobody."""
    sender = GrpcSender(receiver.grpc_port)
    assert (await sender.send(BODY, {"x-modelwatch-key": "k" * 8000})).is_success
    answer = await sender.send(BODY, {"x-modelwatch-key": "k" * 60_000})
    assert answer.code == "RESOURCE_EXHAUSTED"
    assert answer.retry_after_s is None
    assert len(consumer.batches) == 1


async def test_a_caller_that_pings_now_and_then_stays_connected(receiver: OtlpReceiver) -> None:
    """Pings without a call, as keepalive settings send them, are answered."""
    reader, writer = await asyncio.open_connection("127.0.0.1", receiver.grpc_port)
    writer.write(PREFACE + frame(SETTINGS, 0, 0, b"") + frame(PING, 0, 0, b"12345678"))
    async with asyncio.timeout(5):
        while True:
            head = await reader.readexactly(9)
            payload = await reader.readexactly(int.from_bytes(head[:3], "big"))
            if head[3] == PING:
                assert (head[4], payload) == (1, b"12345678")
                break
    writer.close()


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(b"no gzip at all", id="no gzip"),
        pytest.param(gzip.compress(BODY)[:-10], id="cut short"),
        pytest.param(gzip.compress(BODY[:99]) + gzip.compress(BODY[99:]), id="two members"),
        pytest.param(gzip.compress(BODY) + b"xx", id="trailing junk"),
    ],
)
async def test_broken_compression_is_refused_by_grpc_itself(
    receiver: OtlpReceiver, consumer: GatedConsumer, counters: Counters, message: bytes
) -> None:
    """A compressed message that is not one whole gzip member gets INTERNAL, which clients do not retry, as a whole."""
    assert await status_of_compressed(receiver.grpc_port, gzip.compress(BODY)) == grpc.StatusCode.OK.value[0]
    assert await status_of_compressed(receiver.grpc_port, message) == grpc.StatusCode.INTERNAL.value[0]
    assert [batch.body for batch in consumer.batches] == [BODY]
    await eventually(lambda: counters.total("receiver_rejected_requests") == 1)


async def status_of_compressed(port: int, message: bytes) -> int | None:
    """Call `Export` with a message marked as gzip, and return the number of the status."""
    frames = grpc_frames(EXPORT_TRACES, message, is_compressed=True, metadata={b"grpc-encoding": b"gzip"})
    return await grpc_status(port, frames)
