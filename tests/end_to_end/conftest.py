"""Whole systems in both sizes, as real processes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.systems import System, distributed_system, embedded_system


@pytest.fixture
async def embedded(tmp_path: Path) -> AsyncIterator[System]:
    """`modelwatch up`, nothing else."""
    async with embedded_system(tmp_path) as system:
        yield system


@pytest.fixture
async def distributed(tmp_path: Path, rabbitmq: Any, postgres: Any, redis_server: Any) -> AsyncIterator[System]:
    """Receiver, two processors and dashboard on RabbitMQ, Postgres and Redis."""
    async with distributed_system(tmp_path, rabbitmq.url, postgres.fresh_database(), redis_server.url) as system:
        yield system


@pytest.fixture(params=["embedded", "distributed"])
def system(request: pytest.FixtureRequest) -> System:
    """Both sizes, one after the other."""
    found: System = request.getfixturevalue(request.param)
    return found
