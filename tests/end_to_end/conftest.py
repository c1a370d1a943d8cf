"""Whole systems in both sizes, as real processes."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.support.ports import free_port
from tests.support.processes import RunningProcess, start_role


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


def _system(folder: Path, extra: dict[str, str]) -> System:
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
async def _running(system: System, roles: dict[str, str]) -> AsyncIterator[System]:
    try:
        for name, role in roles.items():
            await system.start(name, role)
        yield system
    finally:
        system.stop_all()


@pytest.fixture
async def embedded(tmp_path: Path) -> AsyncIterator[System]:
    """`modelwatch up`, nothing else."""
    async with _running(_system(tmp_path, {}), {"up": "up"}) as system:
        yield system


@pytest.fixture
async def distributed(tmp_path: Path, rabbitmq: Any, postgres: Any, redis_server: Any) -> AsyncIterator[System]:
    """Receiver, two processors and dashboard on RabbitMQ, Postgres and Redis."""
    urls = {
        "MODELWATCH_BROKER_URL": rabbitmq.url,
        "MODELWATCH_DATABASE_URL": postgres.fresh_database(),
        "MODELWATCH_LIVE_URL": redis_server.url,
    }
    roles = {"processor-1": "processor", "processor-2": "processor", "receiver": "receiver", "dashboard": "dashboard"}
    async with _running(_system(tmp_path, urls), roles) as system:
        yield system


@pytest.fixture(params=["embedded", "distributed"])
def system(request: pytest.FixtureRequest) -> System:
    """Both sizes, one after the other."""
    found: System = request.getfixturevalue(request.param)
    return found
