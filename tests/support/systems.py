"""Whole ModelWatch systems in both sizes, as real processes, for end-to-end tests and benchmarks."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.ports import free_port
from tests.support.processes import RunningProcess, start_role

EMBEDDED = {"up": "up"}
DISTRIBUTED = {"processor-1": "processor", "processor-2": "processor", "receiver": "receiver", "dashboard": "dashboard"}
"""The roles of each size by the name of the process, in the order in which they start."""


@dataclass
class System:
    """A running ModelWatch: where to send, where to look, and its processes by name."""

    grpc_port: int
    http_port: int
    web_port: int
    folder: Path
    environment: dict[str, str]
    roles: dict[str, RunningProcess] = field(default_factory=dict)
    health_ports: dict[str, int] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.web_port}"

    async def start(self, name: str, role: str) -> None:
        """Start a role under a name, or start it again after it ended."""
        health_port = self.health_ports.setdefault(name, free_port())
        environment = {**self.environment, "MODELWATCH_HEALTH__PORT": str(health_port)}
        ready_port = self.web_port if role in ("up", "dashboard") else health_port
        self.roles[name] = await start_role(role, environment, self.folder / f"{name}.log", ready_port)

    def stop_all(self) -> None:
        for running in reversed(self.roles.values()):
            running.stop()


@contextlib.asynccontextmanager
async def embedded_system(folder: Path, **environment: str) -> AsyncIterator[System]:
    """Run `modelwatch up`, nothing else, with its data in `folder`."""
    async with running_system(system_in(folder, environment), EMBEDDED) as system:
        yield system


@contextlib.asynccontextmanager
async def distributed_system(folder: Path, broker_url: str, database_url: str, live_url: str) -> AsyncIterator[System]:
    """Run receiver, two processors and dashboard, which is told of the receiver, on RabbitMQ, Postgres and Redis."""
    urls = {
        "MODELWATCH_BROKER_URL": broker_url,
        "MODELWATCH_DATABASE_URL": database_url,
        "MODELWATCH_LIVE_URL": live_url,
    }
    health_port = free_port()
    urls["MODELWATCH_SELF_WATCH__ADDRESSES"] = f"http://127.0.0.1:{health_port}"
    made = system_in(folder, urls)
    made.health_ports["receiver"] = health_port
    async with running_system(made, DISTRIBUTED) as system:
        yield system


def system_in(folder: Path, extra: Mapping[str, str]) -> System:
    """Return a system on free ports with its data in `folder`, of which nothing runs yet."""
    grpc_port, http_port, web_port = free_port(), free_port(), free_port()
    environment = {
        "MODELWATCH_DATA_DIR": str(folder),
        "MODELWATCH_RECEIVER__GRPC_PORT": str(grpc_port),
        "MODELWATCH_RECEIVER__HTTP_PORT": str(http_port),
        "MODELWATCH_API__PORT": str(web_port),
        **extra,
    }
    return System(grpc_port, http_port, web_port, folder, environment)


@contextlib.asynccontextmanager
async def running_system(system: System, roles: Mapping[str, str]) -> AsyncIterator[System]:
    """Run the roles of a system."""
    try:
        for name, role in roles.items():
            await system.start(name, role)
        yield system
    finally:
        system.stop_all()
