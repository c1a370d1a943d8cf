"""The canary's arithmetic: what is lost or still waited for makes freshness worse, never better."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from self_watch.canary import Canary
from self_watch.settings import SelfWatchSettings
from telemetry import Counters, RetryableError
from telemetry.conventions import CANARY_SERVICE_NAME
from tests.support.doubles import ManualClock
from tests.support.query_world import NOW_S
from tests.support.waiting import eventually

SETTINGS = SelfWatchSettings(canary_interval_s=5, canary_timeout_s=30)


class Receiver:
    """Takes spans, or refuses them."""

    def __init__(self) -> None:
        self.taken: list[bytes] = []
        self.is_away = False

    async def send(self, body: bytes) -> None:
        if self.is_away:
            raise RetryableError("away")
        self.taken.append(body)


class SeesAll(Canary):
    """Sees every span after `waits` of these seconds on the clock."""

    clock: ManualClock
    waits: float = 0.1

    async def _is_seen(self, end_ns: int) -> bool:
        self.clock.advance(self.waits)
        return True


@pytest.fixture
def made() -> tuple[SeesAll, Receiver, ManualClock, Counters]:
    clock, counters, receiver = ManualClock(NOW_S), Counters(), Receiver()
    canary = SeesAll(SETTINGS, None, receiver.send, "one", counters, clock)  # type: ignore[arg-type]
    canary.clock = clock
    return canary, receiver, clock, counters


def gauge(counters: Counters, name: Any) -> float | None:
    return counters.gauges().get((name, ()))


async def test_nothing_is_said_before_the_first(made: Any) -> None:
    """No figure is better than a 0 that reads as perfect."""
    canary, receiver, _, counters = made
    assert gauge(counters, "canary_p95_s") is None
    assert await canary.measure_once() == pytest.approx(0.1)
    assert gauge(counters, "canary_p95_s") == pytest.approx(0.1)
    request = ExportTraceServiceRequest.FromString(receiver.taken[0])
    assert request.resource_spans[0].resource.attributes[0].value.string_value == CANARY_SERVICE_NAME


async def test_a_slow_one_counts_for_those_that_were_not_sent_meanwhile(made: Any) -> None:
    """Forty waits of a tenth of a second and one of 25 s: the P95 is of that time."""
    canary, _, clock, counters = made
    for _ in range(40):
        await canary.measure_once()
        clock.advance(4.9)
    canary.waits = 25.0
    await canary.measure_once()
    assert gauge(counters, "canary_last_s") == pytest.approx(25)
    # 40 quick ones and 25, 20, 15, 10, 5, 0: the 44th of 46.
    assert gauge(counters, "canary_p95_s") == pytest.approx(15)


async def test_a_lost_one_counts_as_its_wait(made: Any) -> None:
    """Even if it was refused at once, as nothing came that way."""
    canary, receiver, _, counters = made
    receiver.is_away = True
    assert await canary.measure_once() is None
    assert gauge(counters, "canary_p95_s") == 30
    assert counters.total("canary_lost_spans") == counters.total("canary_sent_spans") == 1


async def test_turned_off_it_says_nothing_more(made: Any) -> None:
    """No figure is left that would read as how it is now; one that was under way is not told either."""
    canary, _, _, counters = made
    await canary.measure_once()
    canary.use(SETTINGS.model_copy(update={"canary_is_enabled": False}))
    await canary.measure_once()
    assert {gauge(counters, name) for name in ("canary_last_s", "canary_p50_s", "canary_p95_s")} == {None}
    canary.use(SETTINGS)
    await canary.measure_once()
    assert gauge(counters, "canary_p95_s") == pytest.approx(0.1)


async def test_it_begins_and_ends_sending_while_it_runs(made: Any) -> None:
    """Turned on it sends at once, turned off it waits; it can be stopped in either state."""
    canary, receiver, _, _ = made
    canary.use(SETTINGS.model_copy(update={"canary_is_enabled": False}))
    await canary.start()
    canary.use(SETTINGS)
    await eventually(lambda: len(receiver.taken) == 1, what="the first is sent")
    canary.use(SETTINGS.model_copy(update={"canary_is_enabled": False}))
    await canary.stop()


async def test_what_is_old_is_forgotten(made: Any) -> None:
    """After five minutes."""
    canary, receiver, clock, counters = made
    receiver.is_away = True
    await canary.measure_once()
    receiver.is_away = False
    clock.advance(301)
    await canary.measure_once()
    assert gauge(counters, "canary_p95_s") == pytest.approx(0.1)
