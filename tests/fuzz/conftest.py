"""A receiver with small limits on real ports, watched from all sides while anything at all is sent to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import psutil
import pytest
import structlog
import uvloop

from otlp_receiver.component import OtlpReceiver
from otlp_receiver.signals import ROUTES
from telemetry import Counters
from tests.fuzz.reference import judged
from tests.otlp_receiver.conftest import (  # fixtures shared with the receiver's own tests
    GatedConsumer,
    StartReceiver,
    clock,
    collected_calls,
    consumer,
    counters,
    quick_collections,
    start_receiver,
)
from tests.support.waiting import eventually

__all__ = ["clock", "collected_calls", "consumer", "counters", "quick_collections", "start_receiver"]

MAX_REQUEST_BYTES = 128 * 1024
_MOST_GROWTH_BYTES = 100 * 1024 * 1024


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run on the loop that ModelWatch runs on."""
    return {"uvloop": uvloop.new_event_loop}


class Watched:
    """A receiver and what it must keep to after every request, whatever that was."""

    def __init__(self, receiver: OtlpReceiver, consumer: GatedConsumer, counters: Counters) -> None:
        self.grpc_port = receiver.grpc_port
        self.http_port = receiver.http_port
        self._consumer = consumer
        self._counters = counters

    async def settle(self) -> None:
        """Check that nothing is left in flight, and that what was handed on is what its count says."""
        if self._in_flight():
            await eventually(lambda: not self._in_flight(), timeout_s=5, interval_s=0.002, what="nothing in flight")
        for batch in self._consumer.batches:
            route = next(route for route in ROUTES if route.signal is batch.signal)
            found = judged(route, batch.body)
            assert found is not None, "what was handed on is no request"
            assert (found.good, found.bad) == (batch.item_count, 0)
            assert len(batch.body) <= MAX_REQUEST_BYTES
        self._consumer.batches.clear()

    def _in_flight(self) -> float:
        return sum(value for (name, _), value in self._counters.gauges().items() if "in_flight" in name)


@pytest.fixture
async def watched(start_receiver: StartReceiver, consumer: GatedConsumer, counters: Counters) -> AsyncIterator[Watched]:
    """A watched receiver. At the end nothing unforeseen was logged, and memory has not grown beyond a bound."""
    receiver = await start_receiver(max_request_bytes=MAX_REQUEST_BYTES, max_in_flight_bytes=4 * MAX_REQUEST_BYTES)
    process = psutil.Process()
    before_bytes = process.memory_info().rss
    with structlog.testing.capture_logs() as logged:
        yield Watched(receiver, consumer, counters)
    assert [entry for entry in logged if entry["log_level"] == "error"] == []
    assert process.memory_info().rss - before_bytes < _MOST_GROWTH_BYTES
