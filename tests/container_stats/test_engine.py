"""Real containers on a real Docker engine: what is read back of them, and that none is lost or made up.

The machine may be busy, so nothing is timed: figures are compared with what the kernel counted meanwhile.
"""

from __future__ import annotations

import asyncio
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

import pytest

from container_stats.component import build
from container_stats.settings import ContainerSettings
from telemetry import Counters, StartError
from tests.container_stats.conftest import Watch, Watching
from tests.support.docker_engine import SPIN, DockerEngine
from tests.support.engine_proxy import running_engine_proxy
from tests.support.metric_consumer import MetricConsumer
from tests.support.waiting import eventually

SLEEP = "sleep 100000"
MIB = 1024 * 1024


async def sees(watched: Watching, container: str, state: str, timeout_s: float = 30) -> None:
    await eventually(
        lambda: watched.sent.state(container) == state, timeout_s=timeout_s, what=f"{container} is {state}"
    )


def kernel_cpu_s(container_id: str) -> float:
    """Return what the kernel itself has counted for a container."""
    for path in (
        Path(f"/sys/fs/cgroup/cpuacct/docker/{container_id}/cpuacct.usage"),
        Path(f"/sys/fs/cgroup/docker/{container_id}/cpu.stat"),
    ):
        if path.exists():
            text = path.read_text()
            found = re.search(r"usage_usec (\d+)", text)
            return int(found[1]) / 1e6 if found else int(text) / 1e9
    raise AssertionError("the container's cgroup is nowhere")


async def test_a_quota_is_read_back(engine: DockerEngine, watching: Watch) -> None:
    """A shell that would take a core and may have a fifth: its usage within 5 %, its limit, and its throttling."""
    container = engine.run("burn", SPIN, NanoCpus=200_000_000)
    async with watching(engine=engine.url) as watched:
        await eventually(
            lambda: any(abs(point.value - 0.2) < 0.01 for point in watched.sent.points("container.cpu.usage", "burn")),
            timeout_s=60,
            what="usage within 5 % of the quota",
        )
        first = watched.sent.points("container.cpu.time", "burn")[-1]
        kernel_first_s = kernel_cpu_s(container)
        await eventually(lambda: kernel_cpu_s(container) > kernel_first_s + 1, timeout_s=60)
        count = len(watched.sent.points("container.cpu.time", "burn"))
        kernel_last_s = kernel_cpu_s(container)
        await eventually(lambda: len(watched.sent.points("container.cpu.time", "burn")) > count + 1, timeout_s=30)
        last = watched.sent.points("container.cpu.time", "burn")[count]
        assert watched.sent.last("container.cpu.limit", "burn") == 0.2
        usage, share = (
            watched.sent.points(f"container.cpu.{name}", "burn")[-1].value for name in ("usage", "limit_utilization")
        )
        assert share == pytest.approx(usage / 0.2)
        assert (watched.sent.last("container.cpu.throttling_data.throttled_periods", "burn") or 0) > 5
        assert (watched.sent.last("container.cpu.throttling_data.throttled_time", "burn") or 0) > 1e8
    # Totals of both ends are told up to a second late, in which a fifth of a second of CPU time goes by at most.
    assert last.value - first.value == pytest.approx(kernel_last_s - kernel_first_s, abs=0.5)
    assert first.start_unix_nano == last.start_unix_nano > 0


async def test_a_memory_balloon_is_read_back(engine: DockerEngine, watching: Watch) -> None:
    """40 MiB in a limit of 64 MiB: working set and share of the limit within 5 %."""
    engine.run("balloon", f"dd if=/dev/zero of=/dev/shm/b bs=1M count=40; {SLEEP}", Memory=64 * MIB)
    async with watching(engine=engine.url) as watched:
        await eventually(
            lambda: watched.sent.last("container.memory.working_set", "balloon") == pytest.approx(40 * MIB, rel=0.05),
            timeout_s=30,
        )
        await eventually(
            lambda: watched.sent.last("container.memory.limit_utilization", "balloon") == pytest.approx(0.625, rel=0.05)
        )
        assert watched.sent.last("container.memory.usage.limit", "balloon") == 64 * MIB
        assert watched.sent.last("container.memory.available", "balloon") == pytest.approx(24 * MIB, rel=0.08)


async def test_page_cache_is_no_working_set(engine: DockerEngine, watching: Watch) -> None:
    """A file of 30 MiB that was read once is usage, as the kernel charges it, and no part of the working set."""
    engine.run("cache", f"dd if=/dev/zero of=/file bs=1M count=30; {SLEEP}", Memory=128 * MIB)
    async with watching(engine=engine.url) as watched:
        await eventually(lambda: (watched.sent.last("container.memory.file", "cache") or 0) > 28 * MIB, timeout_s=30)
        usage, working_set = (
            watched.sent.points(f"container.memory.{name}", "cache")[-1].value for name in ("usage", "working_set")
        )
        assert usage > 28 * MIB
        assert working_set < 8 * MIB


async def test_processes_and_uptime_are_read_back(engine: DockerEngine, watching: Watch) -> None:
    """A shell with two processes beside it and a limit of them. Bytes of disk and network are read of recorded frames:

    a kernel without limits of I/O counts none on cgroup v1, and the containers here have no network.
    """
    container = engine.run("three", f"{SLEEP} & {SLEEP} & wait", PidsLimit=50)
    async with watching(engine=engine.url) as watched:
        await eventually(lambda: watched.sent.last("container.pids.count", "three") == 3, timeout_s=30)
        assert watched.sent.last("container.pids.limit", "three") == 50
        point = watched.sent.points("container.uptime", "three")[-1]
        started = datetime.fromisoformat(engine.inspect(container)["State"]["StartedAt"][:19] + "+00:00")
        assert point.value == pytest.approx(point.time_unix_nano / 1e9 - started.timestamp(), abs=2)


async def test_a_container_is_followed_through_its_life(engine: DockerEngine, watching: Watch) -> None:
    """Pause, unpause, rename, kill, start and removal are each seen, with the code it ended with and its labels."""
    labels = {"com.docker.compose.project": "shop", "com.docker.compose.service": "fraud", "other": "x"}
    container = engine.run("model", SLEEP, labels=labels)
    async with watching(engine=engine.url) as watched:
        await sees(watched, "model", "running")
        resource = watched.sent.points("container.state", "model")[-1].resource
        assert resource["container.id"] == container
        assert resource["container.image.name"] == "modelwatch-test/busybox"
        assert resource["container.image.tags"] == ["1.35"]
        assert resource["container.runtime.name"] == "docker"
        assert resource["container.label.com.docker.compose.service"] == "fraud"
        assert "container.label.other" not in resource
        engine.do(container, "pause")
        await sees(watched, "model", "paused")
        engine.do(container, "unpause")
        await sees(watched, "model", "running")
        engine.do(container, "rename", name="renamed")
        await sees(watched, "renamed", "running")
        engine.do(container, "kill")
        await sees(watched, "renamed", "exited")
        assert watched.sent.last("container.exit_code", "renamed") == 137
        count = len(watched.sent.points("container.cpu.time", "renamed"))
        engine.do(container, "start")
        await sees(watched, "renamed", "running")
        await eventually(lambda: len(watched.sent.points("container.cpu.time", "renamed")) > count, timeout_s=30)
        engine.delete(container)
        await sees(watched, "renamed", "removed")
        assert watched.figure("container_stats_containers") == 0


async def test_restarts_by_the_engine_are_counted(engine: DockerEngine, watching: Watch) -> None:
    """A container that ends again and again is restarted by its policy, and each restart is told."""
    engine.run("loop", "sleep 0.2; exit 3", RestartPolicy={"Name": "on-failure", "MaximumRetryCount": 3})
    async with watching(engine=engine.url) as watched:
        await eventually(lambda: watched.sent.last("container.restarts", "loop") == 3, timeout_s=30)
        await sees(watched, "loop", "exited")
        assert watched.sent.last("container.exit_code", "loop") == 3


async def test_a_kill_for_want_of_memory_is_told(engine: DockerEngine, watching: Watch) -> None:
    """A process that asks for more than the limit is killed once, which is one, and so are those from before."""
    greedy = "head -c 200000000 /dev/zero | tail"
    engine.run("before", greedy, Memory=16 * MIB)
    await eventually(lambda: engine.inspect("before")["State"]["Status"] == "exited", timeout_s=30)
    async with watching(engine=engine.url) as watched:
        await sees(watched, "before", "exited")
        engine.run("greedy", f"{greedy}; {SLEEP}", Memory=16 * MIB)
        await eventually(lambda: watched.sent.last("container.memory.oom_kills", "greedy") == 1, timeout_s=30)
        await sees(watched, "greedy", "running")
        assert watched.sent.last("container.memory.oom_kills", "greedy") == 1
        was_told = engine.inspect("before")["State"]["OOMKilled"]
        assert watched.sent.last("container.memory.oom_kills", "before") == int(was_told)


async def test_health_is_told(engine: DockerEngine, watching: Watch) -> None:
    """What the container's health check says is sent, and changes with it."""
    check = {"Test": ["CMD-SHELL", "test ! -e /sick"], "Interval": 500_000_000, "Retries": 1}
    engine.run("checked", f"sleep 3; touch /sick; {SLEEP}", healthcheck=check)
    async with watching(engine=engine.url) as watched:
        for health in ("healthy", "unhealthy"):
            await eventually(
                lambda health=health: watched.sent.state("checked", "container.health") == health, timeout_s=40
            )


async def test_fifty_containers_are_watched_at_once(engine: DockerEngine, watching: Watch) -> None:
    """Each of fifty has CPU time and memory in one and the same sample, and all are gone when they are."""
    names = [f"many-{number}" for number in range(50)]
    async with watching(engine=engine.url, interval_s=2) as watched:
        with ThreadPoolExecutor(8) as pool:
            await asyncio.gather(
                *(asyncio.get_running_loop().run_in_executor(pool, engine.run, name, SLEEP) for name in names)
            )
        await eventually(
            lambda: (
                {point.resource["container.name"] for point in watched.sent.points("container.memory.working_set")}
                >= set(names)
            ),
            timeout_s=60,
            interval_s=0.5,
        )
        assert watched.figure("container_stats_containers") == 50
        engine.delete_all()
        await eventually(lambda: watched.figure("container_stats_containers") == 0, timeout_s=30)


async def test_too_many_containers_are_counted_and_running_ones_come_first(
    engine: DockerEngine, watching: Watch
) -> None:
    """Over the limit the rest is not watched, and how many those are is told."""
    engine.run("ended", "exit 0")
    await eventually(lambda: engine.inspect("ended")["State"]["Status"] == "exited", timeout_s=30)
    async with watching(engine=engine.url, max_containers=2) as watched:
        await sees(watched, "ended", "exited")
        for name in ("one", "two", "three"):
            engine.run(name, SLEEP)
        await eventually(lambda: watched.figure("container_stats_unwatched_containers") == 2, timeout_s=30)
        assert watched.figure("container_stats_containers") == 2
        await eventually(
            lambda: sum(watched.sent.state(name) == "running" for name in ("one", "two", "three")) == 2, timeout_s=30
        )


async def test_an_engine_that_restarts_is_survived(
    engine: DockerEngine, watching: Watch, capfd: pytest.CaptureFixture[str]
) -> None:
    """While the engine is away nothing is told of its containers; back, all are watched again. Each is one line."""
    engine.run("model", SLEEP)
    async with watching(engine=engine.url) as watched:
        await sees(watched, "model", "running")
        engine.kill()
        await eventually(lambda: watched.figure("container_stats_engine_connected") == 0, timeout_s=30)
        await eventually(lambda: len(re.findall("containers are not watched", capfd.readouterr().out)) == 1)
        count = len(watched.sent.batches)
        engine.start()
        engine.do("model", "start")
        await eventually(lambda: watched.figure("container_stats_engine_connected") == 1, timeout_s=30)
        await eventually(
            lambda: any(b"container.memory.working_set" in batch.body for batch in watched.sent.batches[count:]),
            timeout_s=30,
        )
        assert watched.sent.state("model") == "running"
        assert watched.counters.total("container_stats_engine_reconnects") == 1


async def test_a_read_only_proxy_is_enough(engine: DockerEngine, watching: Watch) -> None:
    """Through a proxy that lets only reading through, and not even /info, everything is told the same."""
    engine.run("model", SLEEP)
    async with (
        running_engine_proxy(engine.socket) as proxy,
        watching(engine=proxy.url, host_name="edge-7") as watched,
    ):
        await sees(watched, "model", "running")
        await eventually(lambda: watched.sent.last("container.memory.working_set", "model"), timeout_s=30)
        engine.do("model", "kill")
        await sees(watched, "model", "exited")
        assert watched.sent.points("container.state", "model")[-1].resource["host.name"] == "edge-7"
    assert all(request.startswith("GET /") for request in proxy.requests)
    assert any("/v1.41/containers/" in request for request in proxy.requests)


async def test_an_engine_that_is_not_there_is_said_once(
    watching: Watch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Without the socket there is one line however often it is looked for, and processes are watched all the same."""
    missing = tmp_path / "docker.sock"
    async with watching(engine=f"unix://{missing}", engine_retry_max_s=0.1, process_commands=("pytest",)) as watched:
        await eventually(lambda: watched.sent.last("process.cpu.limit"), timeout_s=30)
        await eventually(lambda: len(watched.sent.batches) > 2, timeout_s=30)
    assert capfd.readouterr().out.count(f"{missing} is not there") == 1


async def test_a_docker_host_of_no_use_is_said_once(watching: Watch, capfd: pytest.CaptureFixture[str]) -> None:
    """`DOCKER_HOST` may be what only Docker's own client understands; that is no reason not to start."""
    async with watching(
        engine="", docker_host="ssh://gpu-1", engine_retry_max_s=0.1, process_commands=("pytest",)
    ) as watched:
        await eventually(lambda: len(watched.sent.batches) > 2, timeout_s=30)
    assert capfd.readouterr().out.count("containers are not watched") == 1


def test_a_setting_of_no_use_stops_the_start(tmp_path: Path) -> None:
    """A mistaken address and a certificate that is not there are told before anything starts."""
    for settings in ({"engine": "ssh://gpu-1"}, {"engine_ca_file": tmp_path / "missing.pem"}, {}):
        with pytest.raises(StartError, match="MODELWATCH_CONTAINERS__E"):
            build(ContainerSettings.model_validate(settings), Counters())


async def test_a_component_starts_again_after_it_was_stopped(engine: DockerEngine) -> None:
    """Start, stop, start, stop: each time the containers are there, and nothing is left."""
    engine.run("model", SLEEP)
    consumer = MetricConsumer()
    component = build(ContainerSettings(engine=engine.url, interval_s=1), Counters(), consumer=consumer)
    for _ in range(2):
        consumer.batches.clear()
        await component.start()
        await component.start()
        try:
            await eventually(lambda: consumer.state("model") == "running", timeout_s=30)
        finally:
            await component.stop()
            await component.stop()
