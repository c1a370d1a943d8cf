"""Messages published straight to the processors' queue, with the account of them; for faults behind the broker.

What RabbitMQ confirmed is what was acknowledged. The oracle is that of the other fault tests.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import re
import secrets
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pika

from modelwatch.dead_letters import run
from modelwatch.settings import Settings
from rabbitmq import Connection, RabbitSettings, declare_topology
from rabbitmq.address import parameters_of
from telemetry import RedPoint
from telemetry.queues import DEAD_LETTER_QUEUE, EXCHANGE
from tests.support.contract_checker import Attempt, Fate, Journal, check_stored
from tests.support.dying_processor import EXIT_CODE
from tests.support.fault_load import STATUSES, body_of
from tests.support.fault_rig import QUIET_S, Audit, Rig
from tests.support.plain_red import plain_red_points
from tests.support.processes import RunningProcess
from tests.support.waiting import eventually


@dataclass(repr=False)
class Deliveries(Audit):
    """One test's account of what it published; `bodies` by the number of the request."""

    bodies: list[bytes] = field(default_factory=list)

    def make(self, count: int) -> list[bytes]:
        """Return further requests, each of which is to count once."""
        first = len(self.bodies)
        self.bodies += [body_of(self.journal.test_id, number) for number in range(first, first + count)]
        return self.bodies[first:]

    async def publish(self, bodies: Iterable[bytes]) -> None:
        """Put these on the queue, each with a confirm."""
        await asyncio.to_thread(self._publish, list(bodies))

    async def publish_new(self, count: int) -> None:
        await self.publish(self.make(count))

    def _publish(self, bodies: Sequence[bytes]) -> None:
        numbers = {body: number for number, body in enumerate(self.bodies)}
        persistent = pika.BasicProperties(delivery_mode=2)
        with self.rig.view.channel() as channel:
            channel.confirm_delivery()
            for body in bodies:
                channel.basic_publish(EXCHANGE, "traces", body, persistent, mandatory=True)
                if body in numbers:
                    attempt = Attempt(numbers[body], "broker", Fate.ACKNOWLEDGED, "", time.monotonic(), 0.0)
                    self.journal.note(attempt)

    async def close(
        self, *, is_counted: bool = True, timeout_s: float = 30.0, letters: int = 0, has_figures: bool = True
    ) -> None:
        """Wait until everything is stored or a dead letter, and insist on exact counts. `is_counted` means nothing."""
        print(f"{self.journal.test_id}: {self.journal.summary()}")
        await eventually(self._is_settled, timeout_s=timeout_s, interval_s=0.1, what="all is stored")
        await asyncio.sleep(QUIET_S)
        assert await self._is_settled()
        assert self.rig.view.waiting(DEAD_LETTER_QUEUE) == letters
        if has_figures:
            await self._check_processors()

    async def stored_count(self) -> int:
        """Return how many of the requests are stored."""
        return len(await self.rig.stored(self.journal.test_id))

    def points(self) -> list[RedPoint]:
        """Return what the requests come to, by the plain reference."""
        return plain_red_points(self.bodies, latest_end_ns=time.time_ns() + 10**9)

    async def _is_settled(self) -> bool:
        check_stored(self.journal, await self.rig.stored(self.journal.test_id))
        assert self.rig.view.waiting() == 0
        return True


def deliveries(rig: Rig) -> Deliveries:
    """Begin an account; the queues must be declared before anything is published."""
    return Deliveries(rig, Journal(f"faults-{secrets.token_hex(4)}", len(STATUSES)), {})


async def declare_queues(rig: Rig) -> None:
    """Declare what a processor declares, so that there is a queue to publish to before one runs."""
    settings = RabbitSettings()
    connection = await Connection.open(parameters_of(rig.view.url, settings, "tests"))
    await declare_topology(connection, settings)
    await connection.close(settings.stop_timeout_s)


@contextmanager
def dying_processors(rig: Rig, *deaths: tuple[str, int]) -> Iterator[RunningProcess]:
    """Run processors that die, one after the other: each at a step, when it comes to it for that many times."""
    words = [str(word) for death in deaths for word in death]
    command = [sys.executable, "-m", "tests.support.dying_processor", *words]
    environment = {**rig.system.environment, "MODELWATCH_HEALTH__PORT": "0"}
    running = RunningProcess(command, environment, Path(rig.system.folder, "dying.log"))
    try:
        yield running
    finally:
        running.kill()


async def deaths_of(running: RunningProcess, count: int, or_if: Callable[[], bool] = lambda: False) -> None:
    """Return when so many have died, each by its own hand; or else if this is so."""

    def have_died() -> bool:
        codes = re.findall(r"^ended .*: (\S+)$", running.output(), re.MULTILINE)
        if set(codes) - {str(EXIT_CODE)}:
            raise RuntimeError(running.output()[-4000:])
        return len(codes) >= count or or_if()

    await eventually(have_died, timeout_s=60, what=f"{count} processors have died")


async def dead_letters(rig: Rig, action: str, **options: Any) -> str:
    """Do what `modelwatch deadletters` does, and return what it prints."""
    out = io.StringIO()
    values = {"limit": 50, "json": False, "raw": None, "all": False, "id": []} | options
    settings = Settings(broker_url=rig.view.url)
    code = await asyncio.to_thread(run, settings, argparse.Namespace(action=action, **values), out)
    assert code == 0
    return out.getvalue()
