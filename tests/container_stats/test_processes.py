"""Watched processes: real ones, found by what their spans told or by configuration, and read back."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import psutil
import pytest

from container_stats.watched_process import WatchedProcess
from tests.container_stats.conftest import Watch
from tests.support.metric_consumer import MetricConsumer
from tests.support.waiting import eventually

HOST = socket.gethostname()
FRAUD = (("service.name", "fraud"), ("service.instance.id", "fraud-1"))
WORK = """
import os, sys, time
held = bytearray(60 * 1024 * 1024)
for at in range(0, len(held), 4096):
    held[at] = 1
if len(sys.argv) > 1 and os.fork():
    os.wait()
end = time.process_time() + 1.0
while time.process_time() < end:
    pass
time.sleep(1000)
"""

Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a Python process that holds 60 MiB and works for a second; with an argument it has a child that does."""
    started: list[subprocess.Popen[bytes]] = []

    def start_one(*arguments: str) -> subprocess.Popen[bytes]:
        started.append(subprocess.Popen([sys.executable, "-c", WORK, *arguments]))
        return started[-1]

    yield start_one
    for process in started:
        for child in psutil.Process(process.pid).children(recursive=True) if process.poll() is None else ():
            child.kill()
        process.kill()
        process.wait()


def of(pid: int) -> Callable[[dict[str, Any]], bool]:
    return lambda resource: bool(resource.get("process.pid") == pid)


def cpu_s(sent: MetricConsumer, pid: int) -> float:
    points = sent.points("process.cpu.time", of(pid))
    return sum({point.attributes["cpu.mode"]: point.value for point in points}.values())


def finding(*watched: WatchedProcess) -> Any:
    async def find() -> Sequence[WatchedProcess]:
        return watched

    return find


async def test_the_process_of_a_service_is_read_back(start: Start, watching: Watch) -> None:
    """Its CPU time, memory and threads, with the attributes of the service, and none of what it may not see."""
    process = start()
    watched_process = WatchedProcess(HOST, process.pid, time.time() + 60, "", FRAUD)
    async with watching(finding(watched_process), measure_uss=True) as watched:
        await eventually(lambda: cpu_s(watched.sent, process.pid) >= 0.95, timeout_s=60)
        own = psutil.Process(process.pid)
        assert cpu_s(watched.sent, process.pid) == pytest.approx(sum(own.cpu_times()[:2]), abs=0.05)
        for metric, expected in (("usage", own.memory_info().rss), ("uss", own.memory_full_info().uss)):
            assert watched.sent.last(f"process.memory.{metric}", of(process.pid)) == pytest.approx(expected, rel=0.05)
        assert watched.sent.last("process.thread.count", of(process.pid)) == 1
        assert (watched.sent.last("process.unix.file_descriptor.count", of(process.pid)) or 0) >= 3
        assert 0 < (watched.sent.last("process.cpu.limit", of(process.pid)) or 0) <= (os.cpu_count() or 1)
        utilization = [point.value for point in watched.sent.points("process.cpu.utilization", of(process.pid))]
        assert all(0 <= value <= 1.05 for value in utilization)
        point = watched.sent.points("process.cpu.time", of(process.pid))[-1]
        assert point.is_monotonic
        assert point.start_unix_nano == pytest.approx(own.create_time() * 1e9, abs=1e9)
        assert {**point.resource, "process.creation.time": ""} == {
            "host.name": HOST,
            "process.pid": process.pid,
            "process.parent_pid": os.getpid(),
            "process.executable.name": os.path.basename(own.exe()),
            "process.creation.time": "",
            "service.name": "fraud",
            "service.instance.id": "fraud-1",
            "modelwatch.measured_by": "modelwatch.container_stats",
            **({"container.id": point.resource["container.id"]} if "container.id" in point.resource else {}),
        }


async def test_children_are_watched_as_their_parents_service(start: Start, watching: Watch) -> None:
    """A worker that sends nothing itself belongs to the service of the process that made it, and goes when it ends."""
    process = start("fork")
    async with watching(finding(WatchedProcess(HOST, process.pid, time.time() + 60, "", FRAUD))) as watched:
        await eventually(lambda: watched.figure("container_stats_processes") == 2, timeout_s=30)
        (child,) = psutil.Process(process.pid).children()
        await eventually(lambda: watched.sent.last("process.uptime", of(child.pid)))
        resource = watched.sent.points("process.uptime", of(child.pid))[-1].resource
        assert resource["service.name"] == "fraud"
        assert resource["process.parent_pid"] == process.pid
        child.kill()
        await eventually(lambda: watched.figure("container_stats_processes") == 1, timeout_s=30)


@pytest.mark.parametrize(
    "stranger",
    [
        {"host_name": "elsewhere"},
        {"last_seen_s": 1_000_000_000.0},
        {"container_id": "f" * 64},
        {"pid": 2**22 + 1},
    ],
    ids=["on another host", "made after the last span", "in another container", "that is not there"],
)
async def test_another_process_is_not_taken_for_the_services(
    start: Start, watching: Watch, stranger: dict[str, Any]
) -> None:
    """A process that merely has the same number is not watched."""
    process, known = start(), start()
    wanted = WatchedProcess(HOST, process.pid, time.time() + 60, "", FRAUD)._replace(**stranger)
    certain = WatchedProcess(HOST, known.pid, time.time() + 60, "", FRAUD)
    async with watching(finding(wanted, certain)) as watched:
        await eventually(lambda: len(watched.sent.points("process.uptime", of(known.pid))) >= 2, timeout_s=30)
        assert not watched.sent.points("process.uptime", of(process.pid))


async def test_a_process_that_takes_the_place_of_another_is_a_restart(watching: Watch) -> None:
    """Of three processes that came one after the other two are restarts, all in the line of the first; each leads its
    group, as what a supervisor starts does. The new one of another version is none."""
    with contextlib.ExitStack() as stack:
        alive: list[WatchedProcess] = []

        def begin(version: str = "1") -> subprocess.Popen[bytes]:
            process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"], start_new_session=True)
            stack.callback(lambda: (process.kill(), process.wait()))
            attributes = (*FRAUD[:1], ("service.version", version), ("service.instance.id", str(process.pid)))
            alive.append(WatchedProcess(HOST, process.pid, time.time() + 60, "", attributes))
            return process

        async def find() -> Sequence[WatchedProcess]:
            return alive

        async with watching(find) as watched:

            async def told(process: subprocess.Popen[bytes]) -> tuple[float, str]:
                await eventually(lambda: watched.sent.points("process.restarts", of(process.pid)), timeout_s=30)
                point = watched.sent.points("process.restarts", of(process.pid))[-1]
                return point.value, point.attributes["modelwatch.process.line"]

            first = begin()
            assert await told(first) == (0, str(first.pid))
            process = first
            for version, is_restart in (("1", 1), ("1", 1), ("2", 0)):
                process.kill()
                process.wait()
                process = begin(version)
                line = first if is_restart else process
                assert await told(process) == (is_restart, str(line.pid))


async def test_processes_are_found_by_number_and_by_command(start: Start, watching: Watch) -> None:
    """Configured processes are watched without any span, and belong to no service."""
    by_number, by_command = start(), start("mark-of-the-test")
    async with watching(process_pids=(by_number.pid,), process_commands=("mark-of-the-[t]est",)) as watched:
        for process in (by_number, by_command):
            await eventually(lambda pid=process.pid: watched.sent.last("process.uptime", of(pid)), timeout_s=30)
            resource = watched.sent.points("process.uptime", of(process.pid))[-1].resource
            assert "service.name" not in resource


async def test_no_more_processes_are_watched_than_may_be(start: Start, watching: Watch) -> None:
    """Over the limit the later ones are left out."""
    pids = tuple(start().pid for _ in range(3))
    async with watching(process_pids=pids, max_processes=2) as watched:
        await eventually(lambda: watched.figure("container_stats_processes") == 2, timeout_s=30)


async def test_services_that_cannot_be_asked_for_are_said_once(
    start: Start, watching: Watch, capfd: pytest.CaptureFixture[str]
) -> None:
    """While the history is away configured processes are read, and those of services that were known before."""
    process, other = start(), start()
    is_away = asyncio.Event()
    is_away.set()

    async def find() -> Sequence[WatchedProcess]:
        if is_away.is_set():
            raise ConnectionError("no history")
        return [WatchedProcess(HOST, process.pid, time.time() + 60, "", FRAUD)]

    async with watching(find, process_pids=(other.pid,)) as watched:
        await eventually(lambda: len(watched.sent.points("process.uptime", of(other.pid))) >= 2, timeout_s=30)
        assert len(re.findall("watched services cannot be asked for", capfd.readouterr().out)) == 1
        is_away.clear()
        await eventually(lambda: watched.sent.last("process.uptime", of(process.pid)), timeout_s=30)
        is_away.set()
        await eventually(lambda: "cannot be asked for" in capfd.readouterr().out, timeout_s=30)
        known = len(watched.sent.points("process.uptime", of(process.pid)))
        await eventually(lambda: len(watched.sent.points("process.uptime", of(process.pid))) > known + 1, timeout_s=30)
