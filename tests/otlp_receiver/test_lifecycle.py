"""Starting and stopping: ports, what is in flight, and what is left to the process."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import time

import grpc
import pytest
from pydantic import ValidationError

from otlp_receiver.component import build
from otlp_receiver.settings import ReceiverSettings
from telemetry import Counters, StartError
from tests.otlp_receiver.conftest import GatedConsumer, StartReceiver
from tests.support.doubles import RecordingConsumer
from tests.support.otlp import server_spans, trace_request
from tests.support.otlp_senders import sender_of
from tests.support.ports import free_port, is_free
from tests.support.waiting import eventually

BODY = trace_request(server_spans(3)).SerializeToString()


async def test_it_starts_and_stops_again_and_again(transport: str) -> None:
    """On the same fixed ports, each start serves, each stop frees the ports, and a second stop does nothing."""
    consumer = RecordingConsumer()
    settings = ReceiverSettings(grpc_port=free_port(), http_port=free_port(1))
    receiver = build(settings, consumer, Counters())
    for _ in range(2):
        await receiver.start()
        assert (receiver.grpc_port, receiver.http_port) == (settings.grpc_port, settings.http_port)
        assert (await sender_of(transport, receiver).send(BODY)).is_success
        await receiver.stop()
        await receiver.stop()
        await eventually(lambda: is_free(settings.grpc_port) and is_free(settings.http_port))
    assert len(consumer.batches) == 2
    with pytest.raises(RuntimeError, match="not started"):
        _ = receiver.http_port


@pytest.mark.parametrize("port_setting", ["grpc_port", "http_port"])
async def test_a_taken_port_is_one_line_that_names_the_setting(port_setting: str) -> None:
    """The start fails, says which port and which setting, and leaves the other port free."""
    other = free_port()
    with socket.create_server(("127.0.0.1", 0)) as holder:
        taken = holder.getsockname()[1]
        ports = {"grpc_port": other, "http_port": other} | {port_setting: taken}
        receiver = build(ReceiverSettings.model_validate(ports), RecordingConsumer(), Counters())
        with pytest.raises(StartError) as raised:
            await receiver.start()
    message = str(raised.value)
    assert f"port {taken} " in message
    assert f"MODELWATCH_RECEIVER__{port_setting.upper()}" in message
    assert "\n" not in message
    await eventually(lambda: is_free(other))


async def test_ports_are_shared_only_among_those_that_say_so(transport: str) -> None:
    """Receivers with `share_ports` serve the same ports; one without finds them taken, and so they find its own."""
    settings = ReceiverSettings(grpc_port=free_port(), http_port=free_port(1))
    sharing = [build(settings, RecordingConsumer(), Counters(), share_ports=True) for _ in range(2)]
    alone = build(settings, RecordingConsumer(), Counters())
    for receiver in sharing:
        await receiver.start()
        assert (await sender_of(transport, receiver).send(BODY)).is_success
    with pytest.raises(StartError, match="is taken"):
        await alone.start()
    await sharing[0].stop()
    for _ in range(5):
        assert (await sender_of(transport, sharing[1]).send(BODY)).is_success
    await sharing[1].stop()
    await eventually(lambda: is_free(settings.grpc_port) and is_free(settings.http_port))
    await alone.start()
    with pytest.raises(StartError, match="is taken"):
        await sharing[0].start()
    await alone.stop()


async def test_an_address_of_another_machine_names_the_setting() -> None:
    """An address that this machine does not have is a `StartError` about the host."""
    receiver = build(ReceiverSettings(host="127.0.0.1"), RecordingConsumer(), Counters())
    receiver._settings = ReceiverSettings(host="192.0.2.1", grpc_port=0, http_port=0)
    with pytest.raises(StartError, match="MODELWATCH_RECEIVER__HOST"):
        await receiver.start()


async def test_ipv6_loopback_is_served(start_receiver: StartReceiver) -> None:
    """Both transports listen on ::1 when told to."""
    receiver = await start_receiver(host="::1")
    for port in (receiver.grpc_port, receiver.http_port):
        _, writer = await asyncio.open_connection("::1", port)
        writer.close()


async def test_a_stop_finishes_what_is_in_flight_and_refuses_what_is_new(
    start_receiver: StartReceiver, consumer: GatedConsumer, transport: str
) -> None:
    """During a stop a request that is waiting still succeeds; one that comes gets a retryable refusal."""
    receiver = await start_receiver(stop_grace_s=10)
    sender = sender_of(transport, receiver)
    consumer.gate.clear()
    in_flight = asyncio.create_task(sender.send(BODY))
    await eventually(lambda: consumer.waiting == 1)
    stopping = asyncio.create_task(receiver.stop())
    await asyncio.sleep(0)
    refused = await sender.send(BODY)
    assert refused.has_code(grpc.StatusCode.UNAVAILABLE, 503)
    assert refused.retry_after_s == 1
    assert not stopping.done()
    consumer.gate.set()
    assert (await in_flight).is_success
    await stopping
    assert len(consumer.batches) == 1


async def test_a_stop_does_not_wait_for_ever(
    start_receiver: StartReceiver, consumer: GatedConsumer, counters: Counters, transport: str
) -> None:
    """A request that the next stage does not finish within the grace is refused, as retryable, and given up."""
    receiver = await start_receiver(stop_grace_s=0.2)
    consumer.gate.clear()
    in_flight = asyncio.create_task(sender_of(transport, receiver).send(BODY))
    await eventually(lambda: consumer.waiting == 1)
    started = time.monotonic()
    await receiver.stop()
    assert time.monotonic() - started < 3
    assert (await in_flight).has_code(grpc.StatusCode.UNAVAILABLE, 503)
    assert consumer.waiting == 0, "nothing reaches the next stage after the stop"
    assert counters.total("receiver_refused_items") == 3


async def test_a_stop_does_not_wait_for_a_slow_sender(start_receiver: StartReceiver) -> None:
    """A body that is still coming in when the grace is over is answered with 503."""
    receiver = await start_receiver(stop_grace_s=0.1)
    reader, writer = await asyncio.open_connection("127.0.0.1", receiver.http_port)
    writer.write(b"POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-protobuf\r\n")
    writer.write(b"content-length: 9\r\n\r\nab")
    await writer.drain()
    started = time.monotonic()
    await receiver.stop()
    assert time.monotonic() - started < 4
    assert (await reader.readline()).startswith(b"HTTP/1.1 503")
    writer.close()


async def test_signals_and_logging_stay_with_the_process(start_receiver: StartReceiver) -> None:
    """The receiver installs no signal handler and does not touch the logging set-up."""

    def settings() -> list[object]:
        handlers = [list(logging.getLogger(name).handlers) for name in (None, "uvicorn")]
        return [signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM), handlers]

    before = settings()
    await start_receiver()
    assert settings() == before


def test_the_bound_in_flight_has_room_for_the_largest_request() -> None:
    """Settings under which a request of the allowed size could never pass are refused."""
    with pytest.raises(ValidationError, match="twice max_request_bytes"):
        ReceiverSettings(max_request_bytes=100, max_in_flight_bytes=199)
