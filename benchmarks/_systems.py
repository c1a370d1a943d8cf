"""Systems to measure: both sizes as real processes, their answers, their CPU time, and what they complained of.

Shared by the benchmarks of the whole path. The servers of the distributed size are private and go with the run.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil

from tests.support import servers
from tests.support.systems import System, distributed_system, embedded_system

SIZES = ("embedded", "distributed")
_COMPLAINTS_SHOWN = 5

Row = dict[str, Any]


@dataclass(frozen=True)
class Measured:
    """A running system, and the processes of its roles and its servers by name."""

    system: System
    roles: Mapping[str, psutil.Process]
    servers: Mapping[str, psutil.Process]

    async def services(self, window: str = "15m") -> dict[str, Row]:
        """Return what /api/v1/services answers, by service."""
        async with httpx.AsyncClient() as client:
            return await services_of(client, self.system, window)


async def services_of(client: httpx.AsyncClient, system: System, window: str) -> dict[str, Row]:
    """Return what /api/v1/services answers, by service, over a connection that stays open."""
    response = await client.get(f"{system.url}/api/v1/services", params={"window": window}, timeout=20)
    response.raise_for_status()
    return {item["service"]: item for item in response.json()["items"]}


@asynccontextmanager
async def running(size: str) -> AsyncIterator[Measured | None]:
    """Run a system of this size; `None` where the servers that it needs are not installed.

    Warnings and errors in the logs of its roles are printed at the end.
    """
    with tempfile.TemporaryDirectory(prefix="modelwatch-bench-") as folder, ExitStack() as removing:
        if size == "embedded":
            async with embedded_system(Path(folder)) as system:
                yield Measured(system, _processes_of(system), {})
        else:
            try:
                urls, processes = _start_servers(removing)
            except servers.MissingServerError as error:
                print(f"  {size} left out: {error}", file=sys.stderr)
                yield None
                return
            async with distributed_system(Path(folder), *urls) as system:
                yield Measured(system, _processes_of(system), processes)
        _print_complaints(system)


def cpu_s(process: psutil.Process) -> float:
    """Return the CPU time of a process and all below it in seconds, children that ended included."""
    total = 0.0
    for one in (process, *process.children(recursive=True)):
        try:
            times = one.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return total


def _processes_of(system: System) -> dict[str, psutil.Process]:
    return {name: psutil.Process(role.pid) for name, role in system.roles.items()}


def _start_servers(removing: ExitStack) -> tuple[tuple[str, str, str], dict[str, psutil.Process]]:
    """Start RabbitMQ, PostgreSQL and Redis; those whose address was given have no process here."""
    processes: dict[str, psutil.Process] = {}

    def started(name: str, server: Any) -> Any:
        removing.callback(server.remove)
        before = set(servers.RUNNING_PIDS)
        server.start()
        for pid in servers.RUNNING_PIDS - before:
            processes[name] = psutil.Process(pid)
        return server

    broker = started("RabbitMQ", servers.rabbitmq_server())
    database = started("PostgreSQL", servers.postgres_server())
    live = started("Redis", servers.redis_server())
    return (broker.url, database.fresh_database(), live.url), processes


def _print_complaints(system: System) -> None:
    for name, role in system.roles.items():
        lines = [line for line in role.output().splitlines() if _is_complaint(line)]
        for line in lines[:_COMPLAINTS_SHOWN]:
            print(f"  {name} logged: {line[:300]}", file=sys.stderr)
        if len(lines) > _COMPLAINTS_SHOWN:
            print(f"  {name} logged {len(lines) - _COMPLAINTS_SHOWN} more warnings", file=sys.stderr)


def _is_complaint(line: str) -> bool:
    try:
        return bool(json.loads(line).get("level") not in ("debug", "info"))
    except ValueError:
        return bool(line.strip())
