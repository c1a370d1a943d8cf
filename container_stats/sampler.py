"""Takes a sample of everything at each interval, and puts it into the outbox as OTLP.

Between what watches and what sends. A round that fails is logged and does not end the next.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Final

import structlog

from container_stats.engine_watch import EngineWatch
from container_stats.outbox import Outbox
from container_stats.own_container import OwnContainer
from container_stats.process_watch import ProcessWatch
from container_stats.readings import Subject, encode
from container_stats.watched_process import FindWatched, WatchedProcess
from telemetry import Batch, Counters, Signal

SUBJECTS_PER_STEP: Final = 8
"""Reading and encoding four containers holds the loop for about 1 ms; then requests have their turn."""

STEPS_PER_BATCH: Final = 16
"""About 130 KB of OTLP."""

FIRST_SAMPLE_S: Final = 2.0
"""The first sample is taken when the engine has answered, or so long after the start."""


class Sampler:
    """`run` until cancelled."""

    def __init__(
        self,
        interval_s: float,
        engine: EngineWatch,
        processes: ProcessWatch,
        own: OwnContainer,
        find_watched: FindWatched,
        outbox: Outbox,
        counters: Counters,
    ) -> None:
        self._interval_s = interval_s
        self._engine = engine
        self._processes = processes
        self._own = own
        self._find_watched = find_watched
        self._outbox = outbox
        self._counters = counters
        self._watched: Sequence[WatchedProcess] = ()
        self._said = ""

    async def run(self) -> None:
        """Take samples until cancelled."""
        await self._until_first()
        due_s = time.monotonic()
        while True:
            try:
                await self._sample()
            except Exception:
                self._counters.add("container_stats_failed_samples", 1)
                structlog.get_logger(__name__).exception("a sample of containers and processes failed")
            due_s = max(due_s + self._interval_s, time.monotonic())
            await asyncio.sleep(due_s - time.monotonic())

    async def _until_first(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FIRST_SAMPLE_S):
                await self._engine.connected.wait()

    async def _sample(self) -> None:
        await self._put(self._engine.subjects(time.time_ns()))
        await self._look_for_services()
        await self._put(await asyncio.to_thread(self._processes.read, self._watched))
        if not self._engine.is_connected:
            await self._put(await asyncio.to_thread(self._own.read))

    async def _put(self, subjects: Iterable[Subject]) -> None:
        """Put subjects into the outbox; they are taken from the iterable step by step."""
        bodies: list[bytes] = []
        points = 0
        for part in _parts(subjects):
            body, count = encode(part)
            bodies.append(body)
            points += count
            if len(bodies) == STEPS_PER_BATCH:
                self._put_batch(bodies, points)
                bodies, points = [], 0
            await asyncio.sleep(0)
        if bodies:
            self._put_batch(bodies, points)

    def _put_batch(self, bodies: list[bytes], points: int) -> None:
        body = b"".join(bodies)  # messages that only repeat fields are one message when they are put together
        self._outbox.put(Batch.of(Signal.METRICS, body, item_count=points, received_unix_nano=time.time_ns()))

    async def _look_for_services(self) -> None:
        """Learn which processes services have; while nobody can be asked, those that were known stay watched."""
        try:
            self._watched = await self._find_watched()
        except Exception as error:  # such as a history that is away
            self._say(f"{type(error).__name__}: {error}")
        else:
            self._say("")

    def _say(self, reason: str) -> None:
        if reason != self._said:
            log = structlog.get_logger(__name__)
            if reason:
                log.warning("watched services cannot be asked for", reason=reason)
            else:
                log.info("watched services are told again")
        self._said = reason


def _parts(subjects: Iterable[Subject]) -> Iterator[list[Subject]]:
    rest = iter(subjects)
    while part := list(islice(rest, SUBJECTS_PER_STEP)):
        yield part
