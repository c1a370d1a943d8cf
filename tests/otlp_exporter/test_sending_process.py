"""The process that sends in the embedded size: it gives way to ingest, and its end loses nothing."""

from __future__ import annotations

import asyncio
import os
import signal

import grpc
import psutil
import pytest

from otlp_exporter.remote_sending import RemoteSending
from telemetry import StartError
from tests.otlp_exporter.conftest import DiskCarrier
from tests.otlp_exporter.test_disk_queue import segments_in
from tests.otlp_exporter.test_forwarding import numbered, one_of_each
from tests.support.otlp_target import GrpcTarget
from tests.support.ports import free_port
from tests.support.waiting import eventually


def sending(disk: DiskCarrier) -> RemoteSending:
    [found] = [one for one in disk.running if isinstance(one, RemoteSending)]
    return found


def counted(disk: DiskCarrier, name: str, target: str) -> int:
    return sum(
        value
        for (known, labels), value in disk.counters.snapshot().items()
        if known == name and ("target", target) in labels
    )


async def test_another_process_sends_and_tells_what_became_of_it(disk: DiskCarrier) -> None:
    """In order, with a lower priority, with all figures in the process that asked for it; and ends with it, twice."""
    async with GrpcTarget() as good, GrpcTarget() as picky:
        picky.answers = [(grpc.StatusCode.INVALID_ARGUMENT, "no", None)]
        targets = [
            {"name": "good", "endpoint": f"http://localhost:{good.port}", "max_concurrent": 1},
            {"name": "picky", "endpoint": f"http://localhost:{picky.port}", "max_concurrent": 1, "signals": ["logs"]},
            {"name": "dead", "endpoint": f"http://localhost:{free_port()}"},
        ]
        await disk.start(*targets, own_process=True, niceness=7)
        sent = [*numbered(20), *one_of_each()[1:]]
        for batch in sent:
            await disk.offer(batch)
        await eventually(lambda: counted(disk, "forward_sent_items", "good") == 22, timeout_s=40)
        assert good.bodies == [batch.body for batch in sent]
        await eventually(lambda: counted(disk, "forward_refused_items", "picky") == 1)
        assert len(list((disk.folder / "export-refused" / "picky").glob("*.pb"))) == 1
        await eventually(lambda: disk.gauge("forward_is_failing", "dead") == 1)
        await eventually(lambda: disk.gauge("forward_backlog_batches", "good") == 0)
        assert disk.gauge("forward_last_success_unix_s", "good") > 0
        assert disk.gauge("forward_backlog_batches", "dead") == 22
        process = psutil.Process(sending(disk).pid)
        assert process.nice() == os.nice(0) + 7
        await disk.stop()
        assert not process.is_running()
        await disk.start(*targets[:2], own_process=True)  # without the dead one, nobody waits for what is there
        await disk.offer(numbered(21)[-1])
        await eventually(lambda: counted(disk, "forward_sent_items", "good") == 23, timeout_s=40)
        await eventually(lambda: disk.gauge("forward_backlog_batches", "good") == 0)
        await disk.stop()
        assert segments_in(disk.folder) == []


async def test_a_killed_sender_is_started_again_and_nothing_is_lost(disk: DiskCarrier) -> None:
    """SIGKILL amid sending: every batch arrives, and what is offered meanwhile is taken."""
    async with GrpcTarget() as target:
        target.delay_s = 0.05
        await disk.start({"name": "t", "endpoint": f"http://localhost:{target.port}"}, own_process=True)
        sent = numbered(40)
        for batch in sent[:30]:
            await disk.offer(batch)
        await eventually(lambda: len(target.bodies) >= 8, timeout_s=40)
        pid = sending(disk).pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        for batch in sent[30:]:
            await disk.offer(batch)
        await eventually(lambda: set(target.bodies) == {batch.body for batch in sent}, timeout_s=40)
        await eventually(lambda: disk.gauge("forward_backlog_batches", "t") == 0)
        assert disk.counters.total("forward_process_restarts") == 1
        await disk.stop()


async def test_what_the_sender_could_not_use_stops_the_start(disk: DiskCarrier) -> None:
    """Headers and certificates are read before a process is started."""
    missing = {"name": "t", "endpoint": "https://localhost:1", "ca_file": "/nowhere/ca.pem"}
    with pytest.raises(StartError, match="certificates"):
        await disk.start(missing, own_process=True)


async def test_the_sender_imports_nothing_from_the_working_folder(
    disk: DiskCarrier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder named as one of ours is somebody else's code: it is not run, and data is sent."""
    working = disk.folder / "working"
    (working / "telemetry").mkdir(parents=True)
    (working / "telemetry" / "__init__.py").write_text("raise SystemExit('foreign code ran')")
    monkeypatch.chdir(working)
    async with GrpcTarget() as target:
        await disk.start({"name": "t", "endpoint": f"http://localhost:{target.port}"}, own_process=True)
        await disk.offer(numbered(1)[0])
        await eventually(lambda: len(target.bodies) == 1, timeout_s=40)
        assert disk.counters.total("forward_process_restarts") == 0


async def test_a_sender_that_hangs_is_ended_and_started_again(disk: DiskCarrier) -> None:
    """It stands still without an end, as when it is stopped: what it had in hand another one sends."""
    async with GrpcTarget() as target:
        await disk.start({"name": "t", "endpoint": f"http://localhost:{target.port}"}, own_process=True)
        await disk.offer(numbered(1)[0])
        await eventually(lambda: len(target.bodies) == 1, timeout_s=40)
        sender = sending(disk)
        assert sender.pid is not None
        sender._silence_s = 8.0
        await asyncio.sleep(1.2)  # twice as long as it is ever silent, so that this holds
        os.kill(sender.pid, signal.SIGSTOP)
        await disk.offer(numbered(2)[1])
        await eventually(lambda: len(target.bodies) == 2, timeout_s=60)
        assert disk.counters.total("forward_process_restarts") >= 1
        await disk.stop()
