"""Fixtures that every room's tests share: private servers, and the watch over what a test leaves behind."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support import servers

ARTIFACTS = Path(__file__).parent.parent / "test-artifacts"


def _served(server: Any) -> Iterator[Any]:
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture(scope="session")
def rabbitmq_process() -> Iterator[Any]:
    yield from _served(servers.rabbitmq_server())


@pytest.fixture(scope="session")
def postgres_process() -> Iterator[Any]:
    yield from _served(servers.postgres_server())


@pytest.fixture(scope="session")
def redis_process() -> Iterator[Any]:
    yield from _served(servers.redis_server())


def _running(server: Any) -> Iterator[Any]:
    """Hand out the session's server, and put it right again if the test left it killed or frozen."""
    yield server
    if isinstance(server, servers.PrivateServer):
        server.thaw()
        if not server.is_running:
            server.start()


@pytest.fixture
def rabbitmq(rabbitmq_process: Any) -> Iterator[Any]:
    """A running RabbitMQ: `.url`, `.kill()`, `.start()`, `.freeze()`, `.thaw()`, `.ctl(...)`."""
    yield from _running(rabbitmq_process)


@pytest.fixture
def postgres(postgres_process: Any) -> Iterator[Any]:
    """A running PostgreSQL: `.fresh_database()` returns the URL of a new one, `.kill()`, `.start()` and so on."""
    yield from _running(postgres_process)


@pytest.fixture
def redis_server(redis_process: Any) -> Iterator[Any]:
    """A running, empty Redis: `.url`, `.flush()`, `.kill()`, `.start()`, `.freeze()`, `.thaw()`."""
    if isinstance(redis_process, servers.PrivateServer):
        redis_process.flush()
    yield from _running(redis_process)


@pytest.fixture(scope="session")
def artifacts() -> Path:
    """A folder for screenshots and reports, which git ignores."""
    ARTIFACTS.mkdir(exist_ok=True)
    return ARTIFACTS


@pytest.fixture(autouse=True)
async def nothing_left_behind(request: pytest.FixtureRequest) -> AsyncIterator[None]:
    """Fail a test that leaves an asyncio task, a thread or a child process behind.

    What a wider fixture started before the test is not the test's; pool threads that a loop keeps are joined by it.
    """
    if "left_behind_is_fine" in request.keywords:
        yield
        return
    threads, children = set(threading.enumerate()), _children()
    tasks = asyncio.all_tasks()
    yield
    left_tasks = [
        task for task in asyncio.all_tasks() - tasks if not task.done() and task is not asyncio.current_task()
    ]
    assert not left_tasks, f"tasks left behind: {left_tasks}"
    for _ in range(100):
        left = [thread for thread in threading.enumerate() if thread not in threads and not _is_pool(thread)]
        processes = _children() - children
        if not left and not processes:
            return
        await asyncio.sleep(0.02)
    pytest.fail(f"left behind: threads {left}, processes {processes}")


def _children() -> set[int]:
    me = psutil.Process(os.getpid())
    return {child.pid for child in me.children(recursive=True) if _is_alive(child) and not _is_of_a_server(child)}


def _is_of_a_server(process: psutil.Process) -> bool:
    try:
        return bool(servers.RUNNING_PIDS & {process.pid, *(parent.pid for parent in process.parents())})
    except psutil.NoSuchProcess:
        return True


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _is_pool(thread: threading.Thread) -> bool:
    """Pools live as long as their loop, and gRPC's poller until the last channel or server is collected."""
    is_pool = thread.name.startswith(("asyncio_", "uvloop_", "AnyIO worker thread", "ThreadPoolExecutor"))
    return is_pool or "_poll_wrapper" in thread.name
