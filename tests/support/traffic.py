"""Known requests to watched apps, and the account of what came of them."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import httpx


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one kind of request is known to lead to."""

    method: str
    path: str
    json: dict[str, object] | None
    route: str
    status: int


KINDS = (
    Outcome("POST", "/predict", {"values": [1, 2, 3]}, "/predict", 200),
    Outcome("POST", "/predict", {"values": [4], "delay_s": 0.02}, "/predict", 200),
    Outcome("POST", "/predict", {"values": "no numbers"}, "/predict", 422),
    Outcome("GET", "/models/tumour", None, "/models/{name}", 200),
    Outcome("GET", "/models/none", None, "/models/{name}", 404),
    Outcome("POST", "/fail", None, "/fail", 500),
    Outcome("GET", "/no/such/path", None, "", 404),
)
WEIGHTS = (40, 10, 8, 20, 6, 6, 4)


@dataclass
class Account:
    """Calls, errors (5xx) and client errors (4xx) by service and by route."""

    calls: Counter[tuple[str, str]] = field(default_factory=Counter)
    errors: Counter[tuple[str, str]] = field(default_factory=Counter)
    client_errors: Counter[tuple[str, str]] = field(default_factory=Counter)

    def note(self, service: str, route: str, status: int) -> None:
        self.calls[service, route] += 1
        self.errors[service, route] += status >= 500
        self.client_errors[service, route] += 400 <= status < 500

    def of_service(self, service: str) -> tuple[int, int]:
        """Return calls and errors of a service over all routes."""
        return (
            sum(count for (name, _), count in self.calls.items() if name == service),
            sum(count for (name, _), count in self.errors.items() if name == service),
        )


async def send(account: Account, service: str, urls: Iterable[str], count: int, seed: int, at_once: int = 8) -> None:
    """Send `count` requests of mixed kinds to a service's instances in turn, and check that each ends as known."""
    choices = random.Random(seed).choices(KINDS, WEIGHTS, k=count)
    addresses = list(urls)
    gate = asyncio.Semaphore(at_once)

    async def one(client: httpx.AsyncClient, number: int, kind: Outcome) -> None:
        async with gate:
            url = addresses[number % len(addresses)] + kind.path
            response = await client.request(kind.method, url, json=kind.json, timeout=30)
            assert response.status_code == kind.status, (kind, response.status_code)
            account.note(service, kind.route, kind.status)

    # No connection is used twice: uvicorn closes one after an unhandled exception, and the next request may meet that.
    limits = httpx.Limits(max_keepalive_connections=0)
    async with httpx.AsyncClient(limits=limits) as client, asyncio.TaskGroup() as requests:
        for number, kind in enumerate(choices):
            requests.create_task(one(client, number, kind))
