"""A receiver and processors on one virtual host of a private RabbitMQ, to be broken and then audited.

Fault tests share a rig where the fault allows it; an `Audit` looks only at what one test sent.
"""

from __future__ import annotations

import asyncio
import random
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import psycopg

from telemetry.queues import DEAD_LETTER_QUEUE, EXCHANGE
from tests.support.contract_checker import TRANSPORTS, Fate, Journal, Stored, check_counted, check_stored
from tests.support.fault_load import STATUSES, Load, number_of
from tests.support.ports import free_port
from tests.support.rabbit import RabbitView
from tests.support.systems import System
from tests.support.waiting import eventually

QUIET_S = 0.6
"""Longer than a processor holds a batch before it commits it, so that a second count would show."""

WITNESS = "witness"

Samples = dict[tuple[str, str], float]
"""What `/metrics` shows, by name without prefix and suffix, and by labels."""

_STORED = """
    SELECT http_route, sum(calls)::bigint, sum(errors)::bigint FROM red_points JOIN series USING (series_id)
    WHERE service_name = %s GROUP BY http_route
"""
_SAMPLE = re.compile(r"modelwatch_(\w+?)(?:_total)?(?:\{(.*)\})? (\S+)")
_OUTCOMES = ("stored", "duplicate", "invalid", "late", "poison", "refused")


@dataclass(repr=False)
class Rig:
    """A system with the broker and the database that it stands on, and the system whose processors store its data."""

    system: System
    broker: Any
    view: RabbitView
    database_url: str
    processors: System

    def beside(self, folder: Path, settings: Mapping[str, str]) -> Rig:
        """Return a rig whose receiver is another, in front of the same processors."""
        rig = build_rig(folder, self.broker, self.view.url.get_secret_value(), self.database_url, settings)
        return replace(rig, processors=self.processors)

    async def start_receiver(self, name: str = "receiver") -> None:
        await self.system.start(name, "receiver")

    async def start_processors(self, *names: str) -> None:
        await asyncio.gather(*(self.system.start(name, "processor") for name in names))

    async def samples(self, name: str) -> Samples:
        """Return what the process with this name shows at `/metrics`."""
        port = (self.processors.health_ports | self.system.health_ports)[name]
        async with httpx.AsyncClient() as client:
            response = await client.get(f"http://127.0.0.1:{port}/metrics", timeout=10)
            response.raise_for_status()
        found = (_SAMPLE.fullmatch(line) for line in response.text.splitlines())
        return {(match[1], match[2] or ""): float(match[3]) for match in found if match}

    async def figure(self, name: str, sample: str) -> int:
        """Return one figure of a process over all labels; 0 if it was never counted."""
        return int(_total(await self.samples(name), sample))

    @contextmanager
    def witness(self) -> Iterator[str]:
        """Give the exchange a second queue, which keeps all that reaches it, beyond a kill; return its name."""
        with self.view.channel() as channel:
            channel.queue_declare(WITNESS, durable=True)
            channel.queue_bind(WITNESS, EXCHANGE, "#")
        try:
            yield WITNESS
        finally:
            self.view.delete_queue(WITNESS)

    def witnessed(self, test_id: str) -> list[int]:
        """Take what the witness kept of a test: the numbers of its requests, in the order of their arrival."""
        bodies = [body for _, _, body in self.view.take_all(WITNESS)]
        return [number for body in bodies for number in [number_of(body, test_id)] if number is not None]

    async def stored(self, test_id: str) -> dict[int, Stored]:
        """Return what the history holds of a test, by the number of the request."""
        return await asyncio.to_thread(self._read_stored, test_id)

    def _read_stored(self, test_id: str) -> dict[int, Stored]:
        with psycopg.connect(self.database_url.replace("+psycopg", "")) as connection:
            rows = connection.execute(_STORED, (test_id,)).fetchall()
        return {int(route[1:]): Stored(calls, errors) for route, calls, errors in rows}

    async def audit(self) -> Audit:
        """Begin to watch a test; the receiver must run."""
        journal = Journal(f"faults-{secrets.token_hex(4)}", len(STATUSES))
        return Audit(self, journal, await self.samples("receiver"))


def build_rig(folder: Path, broker: Any, broker_url: str, database_url: str, settings: Mapping[str, str]) -> Rig:
    """Return a rig of which nothing is started yet; what failed is soon tried again, to save the tests time."""
    system = System(free_port(), free_port(), free_port(), folder, {})
    system.environment |= {
        "MODELWATCH_DATA_DIR": str(folder),
        "MODELWATCH_BROKER_URL": broker_url,
        "MODELWATCH_DATABASE_URL": database_url,
        "MODELWATCH_RECEIVER__GRPC_PORT": str(system.grpc_port),
        "MODELWATCH_RECEIVER__HTTP_PORT": str(system.http_port),
        "MODELWATCH_RABBITMQ__RECONNECT_MIN_S": "0.1",
        "MODELWATCH_RABBITMQ__RECONNECT_MAX_S": "0.5",
        "MODELWATCH_RABBIT_SOURCE__RETRY_MAX_S": "2",
        # Every request has a route of its own, by which it is found again.
        "MODELWATCH_PROCESSOR__MAX_SERIES": "1000000",
        "MODELWATCH_PROCESSOR__MAX_SERIES_PER_SERVICE": "1000000",
        **settings,
    }
    return Rig(system, broker, RabbitView(broker_url), database_url, system)


@dataclass(repr=False)
class Audit:
    """One test's account: what its senders noted, and what had been counted before them."""

    rig: Rig
    journal: Journal
    before: Samples
    excused: set[int] = field(default_factory=set)

    def load(self, chance: random.Random, **options: Any) -> Load:
        """Return a load on the receiver, not yet begun, whose senders write this journal."""
        ports = {"grpc_port": self.rig.system.grpc_port, "http_port": self.rig.system.http_port}
        return Load(self.journal, chance=chance, **(ports | options))

    def rejections(self) -> set[str]:
        """Return what senders were told who must not try again: no fault of ours may be held against their data."""
        return {attempt.said for attempt in self.journal.attempts if attempt.fate is Fate.REJECTED}

    async def close(self, *, is_counted: bool = True, timeout_s: float = 30.0) -> None:
        """Wait until everything acknowledged is stored, and insist on the whole contract.

        `is_counted=False` leaves the receiver's own figures out, which die with its process.
        """
        print(f"{self.journal.test_id}: {self.journal.summary()}")
        assert not self.rejections()
        await eventually(self._is_stored, timeout_s=timeout_s, interval_s=0.2, what="acknowledged is stored")
        await asyncio.sleep(QUIET_S)
        assert await self._is_stored()
        assert self.rig.view.waiting(DEAD_LETTER_QUEUE) == 0
        await self._check_processors()
        if is_counted:
            check_counted(self.journal, _receiver_figures(self.before, await self.rig.samples("receiver")))
        await eventually(partial(self._is_spill_drained, self.before if is_counted else {}))

    async def _is_stored(self) -> bool:
        check_stored(self.journal, await self.rig.stored(self.journal.test_id), excused=self.excused)
        return True

    async def _is_spill_drained(self, before: Samples) -> bool:
        """What was spilled, and what a receiver found in the spill at its start, was all drained."""
        after = await self.rig.samples("receiver")
        written, recovered, drained, aside = (
            int(_total(after, name) - _total(before, name))
            for name in (
                "spill_written_batches",
                "spill_recovered_batches",
                "spill_drained_batches",
                "spill_quarantined_records",
            )
        )
        assert (drained, aside) == (written + recovered, 0)
        assert _total(after, "spill_batches") == 0
        return True

    async def _check_processors(self) -> None:
        """Whatever a processor received, it says what became of it, once nothing is in hand any more."""
        for name in (name for name in self.rig.processors.roles if name.startswith("processor")):
            await eventually(partial(self._is_accounted_for, name), timeout_s=30)

    async def _is_accounted_for(self, name: str) -> bool:
        samples = await self.rig.samples(name)
        outcomes = [int(_total(samples, f"processor_{outcome}_items")) for outcome in _OUTCOMES]
        received = int(_total(samples, "processor_received_items"))
        assert received == sum(outcomes), (name, received, outcomes)
        return True


def _total(samples: Samples, name: str) -> float:
    return sum(value for (known, _), value in samples.items() if known == name)


def _receiver_figures(before: Samples, after: Samples) -> dict[tuple[str, str], int]:
    """Return what was counted in between, by name and transport."""
    figures: dict[tuple[str, str], int] = {}
    for (name, labels), value in after.items():
        for transport in TRANSPORTS:
            if f'transport="{transport}"' in labels:
                since = int(value - before.get((name, labels), 0))
                figures[name, transport] = figures.get((name, transport), 0) + since
    return figures
