"""A receiver on real ports in front of a consumer that tests can hold, break and read; each way to send in turn."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from otlp_receiver.component import OtlpReceiver
from tests.otlp_conformance.ways import WAY_NAMES, Way, way_of
from tests.otlp_receiver.conftest import (  # fixtures shared with the receiver's own tests
    GatedConsumer,
    clock,
    collected_calls,
    consumer,
    counters,
    quick_collections,
    receiver,
    start_receiver,
)

__all__ = ["clock", "collected_calls", "consumer", "counters", "quick_collections", "receiver", "start_receiver"]


@pytest.fixture(params=WAY_NAMES)
def way_name(request: pytest.FixtureRequest) -> str:
    """Each way to send in turn."""
    return str(request.param)


@pytest.fixture
async def way(way_name: str, receiver: OtlpReceiver) -> Way:
    """A bare client of the way, pointed at `receiver`."""
    return way_of(way_name, receiver)


class Ways:
    """All ways to one receiver, for tests that start one for all three."""

    def __init__(self, receiver: OtlpReceiver, consumer: GatedConsumer, subtests: pytest.Subtests) -> None:
        self._receiver = receiver
        self._consumer = consumer
        self._subtests = subtests

    def __iter__(self) -> Iterator[Way]:
        return (way_of(name, self._receiver) for name in WAY_NAMES)

    @contextmanager
    def test(self, way: Way) -> Iterator[None]:
        """Report what the block asserts under the name of the way; the consumer holds nothing yet."""
        self._consumer.batches.clear()
        with self._subtests.test(way.name):
            yield


@pytest.fixture
async def ways(receiver: OtlpReceiver, consumer: GatedConsumer, subtests: pytest.Subtests) -> Ways:
    """Each way in turn, to one receiver."""
    return Ways(receiver, consumer, subtests)
