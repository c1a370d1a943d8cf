"""Sends the visits and makes the incidents happen; counts every answer.

Started by `__main__` with the APIs' addresses; asks `rhythm` when, `visits` what, and `incidents` when things go wrong.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import httpx

from examples.traffic.incidents import Incident, Kind, occurrences
from examples.traffic.rhythm import RHYTHMS
from examples.traffic.standstill import Stoppable, standing_still
from examples.traffic.visits import Visit, next_visit, patient

TIMEOUT_S = 15.0
MAX_IN_FLIGHT = 100
COSTLY_VISITORS = 3
COSTLY_EFFORT_S = 0.35
MEMORY_SHARE = 0.91
CRASHES = 3
STORE_CONDITIONS = {
    Kind.SLOW: {"delay_s": 1.5},
    Kind.FAILING: {"delay_s": 0.45, "failure_rate": 0.6},
}

Announce = Callable[[str], None]


@dataclass
class Traffic:
    """The state of one run: where to, how fast, since when, and what came back.

    `counts` has one counter per API, from HTTP status to number; `"unreachable"` counts requests without an answer and
    `"skipped"` visits that were not made because `MAX_IN_FLIGHT` were waiting for theirs. `memory_limits` are bytes.
    """

    targets: Mapping[str, str]
    total_per_s: float
    seed: int
    skip_s: float
    announce: Announce
    client: httpx.AsyncClient
    memory_limits: Mapping[str, int] = field(default_factory=dict)
    processor: Stoppable | None = None
    """The process of ModelWatch that may be made to stand still."""
    started_s: float = field(default_factory=time.monotonic)
    counts: dict[str, Counter[str]] = field(default_factory=dict)

    def elapsed_s(self) -> float:
        """Seconds since the start of the schedule."""
        return time.monotonic() - self.started_s + self.skip_s

    def say(self, text: str) -> None:
        """Announce with the time in minutes and seconds since the start."""
        minutes, seconds = divmod(int(self.elapsed_s()), 60)
        self.announce(f"{minutes:02d}:{seconds:02d} {text}")

    async def send(self, service: str, visit: Visit) -> None:
        """Make one visit and count its outcome."""
        try:
            answer = await self.client.request(visit.method, self.targets[service] + visit.path, json=visit.body)
            self.counts[service][str(answer.status_code)] += 1
        except httpx.TransportError:
            self.counts[service]["unreachable"] += 1


async def run_traffic(
    targets: Mapping[str, str],
    *,
    total_per_s: float,
    announce: Announce,
    counts: dict[str, Counter[str]],
    seed: int = 0,
    skip_s: float = 0.0,
    with_incidents: bool = True,
    at_once: Sequence[Incident] = (),
    memory_limits: Mapping[str, int] | None = None,
    processor: Stoppable | None = None,
) -> None:
    """Visit the APIs until cancelled, filling `counts` as answers come.

    Incidents that are to be `at_once` happen side by side, once, instead of the schedule. One of memory is left out
    where the API has no limit of its own, that of ModelWatch where it is not known which `processor` to stop.
    """
    # Each visit has its own connection: uvicorn closes one after an exception, and a reused one would then fail.
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
    async with httpx.AsyncClient(timeout=TIMEOUT_S, limits=limits, trust_env=False) as client:
        traffic = Traffic(
            targets, total_per_s, seed, skip_s, announce, client, memory_limits or {}, processor, counts=counts
        )
        counts.update({service: Counter() for service in targets})
        async with asyncio.TaskGroup() as group:
            for service in targets:
                group.create_task(_visit(traffic, service))
            if at_once:
                group.create_task(_happen_together(traffic, at_once))
            if with_incidents and not at_once:
                group.create_task(_conduct(traffic))


async def _visit(traffic: Traffic, service: str) -> None:
    """Send visits at random moments (a Poisson process) at the rate of the API's rhythm."""
    rng = random.Random(f"{traffic.seed}/{service}")
    in_flight: set[asyncio.Task[None]] = set()
    async with asyncio.TaskGroup() as group:
        while True:
            rate_per_s = RHYTHMS[service].rate_per_s(traffic.elapsed_s(), traffic.total_per_s, service)
            await asyncio.sleep(rng.expovariate(rate_per_s))
            if len(in_flight) >= MAX_IN_FLIGHT:
                traffic.counts[service]["skipped"] += 1
                continue
            task = group.create_task(traffic.send(service, next_visit(service, rng)))
            in_flight.add(task)
            task.add_done_callback(in_flight.discard)


async def _conduct(traffic: Traffic) -> None:
    """Make the incidents of the schedule happen, one after the other."""
    for begins_s, incident in occurrences(traffic.skip_s):
        await asyncio.sleep(begins_s - traffic.elapsed_s())
        await _happen(traffic, incident)


async def _happen_together(traffic: Traffic, incidents: Sequence[Incident]) -> None:
    """Let all happen side by side, and ModelWatch be behind once they are over: it would see none of them."""
    async with asyncio.TaskGroup() as group:
        for incident in incidents:
            if incident.kind is not Kind.BEHIND:
                group.create_task(_happen(traffic, incident))
    for incident in incidents:
        if incident.kind is Kind.BEHIND:
            await _stand_still(traffic, incident)


async def _stand_still(traffic: Traffic, incident: Incident) -> None:
    if traffic.processor is None:
        traffic.say(f"left out: {incident.service} {incident.kind}, as no process of its own takes and stores data")
        return
    traffic.say(incident.headline())
    try:
        async with standing_still(traffic.processor):
            await asyncio.sleep(incident.lasts_s)
    except ProcessLookupError:
        traffic.say(f"{incident.service} has no such process: no incident")
    else:
        traffic.say(f"over: {incident.service} recovers")


async def _happen(traffic: Traffic, incident: Incident) -> None:
    if incident.service not in traffic.targets:
        return
    if incident.kind is Kind.SHORT_OF_MEMORY and incident.service not in traffic.memory_limits:
        traffic.say(f"left out: {incident.service} {incident.kind}, as it has no memory limit of its own here")
        return
    traffic.say(incident.headline())
    if await _cause(traffic, incident):
        traffic.say(f"over: {incident.service} recovers")
    else:
        traffic.say(f"{incident.service} did not answer: no incident")


async def _cause(traffic: Traffic, incident: Incident) -> bool:
    """Return after the incident, or tell at once that the API cannot be reached."""
    if incident.kind is Kind.SHORT_OF_CPU:
        async with asyncio.TaskGroup() as group:
            for number in range(COSTLY_VISITORS):
                group.create_task(_ask_costly_questions(traffic, incident, number))
        return True
    if incident.kind is Kind.CRASHING:
        return await _crash(traffic, incident)
    if incident.kind is Kind.SHORT_OF_MEMORY:
        held_bytes = round(MEMORY_SHARE * traffic.memory_limits[incident.service])
        return await _upset(traffic, incident, "memory", {"resident_bytes": held_bytes})
    return await _upset(traffic, incident, "store", STORE_CONDITIONS[incident.kind])


async def _upset(traffic: Traffic, incident: Incident, what: str, how: Mapping[str, float]) -> bool:
    body = {**how, "for_s": incident.lasts_s}
    try:
        answer = await traffic.client.put(f"{traffic.targets[incident.service]}/demo/{what}", json=body)
        if not answer.is_success:
            return False
    except httpx.TransportError:
        return False
    await asyncio.sleep(incident.lasts_s)
    return True


async def _crash(traffic: Traffic, incident: Incident) -> bool:
    """Let the process serve for a while, end and be started again, some times."""
    url = traffic.targets[incident.service]
    if not await _is_ready(traffic, url):
        return False
    for _ in range(CRASHES):
        await asyncio.sleep(incident.lasts_s / CRASHES)
        with suppress(httpx.TransportError):  # there is no answer
            await traffic.client.post(f"{url}/demo/crash")
        await _until_ready(traffic, url)
    return True


async def _until_ready(traffic: Traffic, url: str) -> None:
    while True:
        if await _is_ready(traffic, url):
            return
        await asyncio.sleep(0.2)


async def _is_ready(traffic: Traffic, url: str) -> bool:
    try:
        return (await traffic.client.get(f"{url}/health")).is_success
    except httpx.TransportError:
        return False


async def _ask_costly_questions(traffic: Traffic, incident: Incident, number: int) -> None:
    rng = random.Random(number)
    ends_s = traffic.elapsed_s() + incident.lasts_s
    while traffic.elapsed_s() < ends_s:
        body = {"patient": patient(rng), "effort_s": COSTLY_EFFORT_S}
        await traffic.send(incident.service, Visit("POST", "/explain", body))
        await asyncio.sleep(0.02)  # an API that is away must not be hammered
