"""A started receiver on free ports in front of a consumer that tests can hold, break and read."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
import uvloop

from otlp_receiver.component import OtlpReceiver, build
from otlp_receiver.settings import ReceiverSettings
from telemetry import Batch, Counters
from tests.support.doubles import ManualClock, RecordingConsumer
from tests.support.otlp_senders import Sender, sender_of


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run on the loop that ModelWatch runs on: transports differ in what they do at the end of a connection."""
    return {"uvloop": uvloop.new_event_loop}


class GatedConsumer(RecordingConsumer):
    """A recording consumer that can be told to keep everybody waiting."""

    def __init__(self, *errors: Exception) -> None:
        super().__init__(*errors)
        self.gate = asyncio.Event()
        self.gate.set()
        self.waiting = 0

    async def consume(self, batch: Batch) -> None:
        self.waiting += 1
        try:
            await self.gate.wait()
        finally:
            self.waiting -= 1
        await super().consume(batch)


StartReceiver = Callable[..., Awaitable[OtlpReceiver]]


@pytest.fixture(scope="session", autouse=True)
def quick_collections() -> None:
    """Take what was imported out of the garbage collector's sight: `collected_calls` runs it after most tests."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def collected_calls() -> Iterator[None]:
    """Collect gRPC's failed client calls, which are cycles: its poller thread lives as long as any of them."""
    yield
    if any("_poll_wrapper" in thread.name for thread in threading.enumerate()):
        gc.collect()


@pytest.fixture
async def consumer() -> GatedConsumer:
    return GatedConsumer()


@pytest.fixture
def counters() -> Counters:
    return Counters()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def start_receiver(
    consumer: GatedConsumer, counters: Counters, clock: ManualClock
) -> AsyncIterator[StartReceiver]:
    """Start a receiver with other settings than the defaults: `await start_receiver(max_request_bytes=1000)`."""
    started: list[OtlpReceiver] = []

    async def start(
        *, ingest_keys: tuple[object, ...] = (), ingest_keys_file: Path | None = None, **settings: object
    ) -> OtlpReceiver:
        chosen = ReceiverSettings.model_validate({"grpc_port": 0, "http_port": 0, "stop_grace_s": 1.0} | settings)
        receiver = build(chosen, consumer, counters, ingest_keys, clock, ingest_keys_file=ingest_keys_file)  # type: ignore[arg-type]
        await receiver.start()
        started.append(receiver)
        return receiver

    yield start
    for receiver in started:
        await receiver.stop()


@pytest.fixture
async def receiver(start_receiver: StartReceiver) -> OtlpReceiver:
    return await start_receiver()


@pytest.fixture(params=["grpc", "http"])
def transport(request: pytest.FixtureRequest) -> str:
    """Each transport in turn."""
    return str(request.param)


@pytest.fixture
async def sender(transport: str, receiver: OtlpReceiver) -> Sender:
    """A bare client of the transport, pointed at `receiver`."""
    return sender_of(transport, receiver)
