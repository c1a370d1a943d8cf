"""A shared rig for the fault tests, rigs of their own for those that need them, and the seed of all chance."""

from __future__ import annotations

import asyncio
import os
import random
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.support.fault_rig import Rig, build_rig
from tests.support.servers import PrivateServer

OwnRig = Callable[..., AbstractAsyncContextManager[Rig]]


@pytest.fixture
def chance() -> random.Random:
    """The source of every random moment. MODELWATCH_TEST_SEED repeats a run; the seed is shown when a test fails."""
    seed = int(os.environ.get("MODELWATCH_TEST_SEED", secrets.randbelow(2**32)))
    print(f"MODELWATCH_TEST_SEED={seed}")
    return random.Random(seed)


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def shared_rig(
    tmp_path_factory: pytest.TempPathFactory, rabbitmq_process: Any, postgres_process: Any
) -> AsyncIterator[Rig]:
    async with _running_rig(tmp_path_factory.mktemp("rig"), rabbitmq_process, postgres_process) as rig:
        await rig.start_processors("processor-1", "processor-2")
        await rig.start_receiver()
        yield rig


@pytest.fixture
def rig(shared_rig: Rig, rabbitmq: Any) -> Rig:
    """One receiver and two processors, which all tests share; the broker is put right after each."""
    for process in shared_rig.system.roles.values():
        process.assert_running()
    return shared_rig


@pytest.fixture
def own_rig(tmp_path: Path, rabbitmq: Any, postgres: Any) -> OwnRig:
    """A rig on a virtual host of its own, nothing started: `async with own_rig(SETTING="value") as rig`."""

    def make(**settings: str) -> AbstractAsyncContextManager[Rig]:
        return _running_rig(tmp_path, rabbitmq, postgres, settings)

    return make


@pytest.fixture
async def second_rig(rig: Rig, tmp_path: Path) -> AsyncIterator[Callable[..., Rig]]:
    """Make a receiver with other settings, not started, in front of the shared processors."""
    made: list[Rig] = []

    def make(**settings: str) -> Rig:
        made.append(rig.beside(tmp_path, settings))
        return made[-1]

    yield make
    for one in made:
        await asyncio.to_thread(one.system.stop_all)  # what stands between it and the broker must go on meanwhile


@asynccontextmanager
async def _running_rig(
    folder: Path, broker: Any, postgres: Any, settings: dict[str, str] | None = None
) -> AsyncIterator[Rig]:
    if not isinstance(broker, PrivateServer):
        pytest.skip("faults need a private RabbitMQ; an address was given")
    name = f"faults-{secrets.token_hex(4)}"
    broker.ctl("add_vhost", name)  # type: ignore[attr-defined]
    broker.ctl("set_permissions", "-p", name, "guest", ".*", ".*", ".*")  # type: ignore[attr-defined]
    url = broker.url.replace("%2F", name)  # type: ignore[attr-defined]
    rig = build_rig(folder, broker, url, postgres.fresh_database(), settings or {})
    try:
        yield rig
    finally:
        broker.thaw()
        rig.system.stop_all()
        if broker.is_running:
            broker.ctl("delete_vhost", name)  # type: ignore[attr-defined]
