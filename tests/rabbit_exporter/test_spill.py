"""The spill by itself: what an OK of it means, what it refuses, and whose folder is whose."""

from __future__ import annotations

import asyncio
import errno
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from rabbit_exporter.segment_name import segments_in
from rabbit_exporter.settings import RabbitExporterSettings
from rabbit_exporter.spill import Spill
from rabbit_exporter.spill_record import record_bytes_of
from rabbit_exporter.spill_store import Held
from telemetry import Batch, Counters, RetryableError, Signal, StartError
from tests.support.processes import REPOSITORY
from tests.support.rabbit import batch_number
from tests.support.small_disk import small_disk
from tests.support.waiting import eventually

SIZE = record_bytes_of(batch_number(10))


def spill_at(root: Path, sync: Callable[[int], None] = os.fdatasync, **options: Any) -> Spill:
    return Spill(root, RabbitExporterSettings(**options), Counters(), sync)


@asynccontextmanager
async def running(spill: Spill) -> AsyncIterator[Spill]:
    await spill.start()
    try:
        yield spill
    finally:
        await spill.stop()


async def outcome_of(spill: Spill, batch: Batch) -> str:
    try:
        await spill.append(batch)
    except RetryableError as error:
        return str(error)
    return "kept"


async def drained(spill: Spill) -> list[Batch]:
    """Take everything out, as if RabbitMQ confirmed it."""
    got = list[Batch]()
    for store in spill.stores():
        done: list[Held] = []
        while done := await spill.turn(store, done, 10):
            got += [held.batch for held in done if held.batch is not None]
        await spill.retire(store)
    return got


async def test_no_ok_before_the_sync(tmp_path: Path) -> None:
    """The batch is in the file when the sync begins, and `append` returns only after the sync has ended."""
    may_end = threading.Event()
    sizes: list[int] = []

    def slow(descriptor: int) -> None:
        sizes.append(os.fstat(descriptor).st_size)
        may_end.wait(10)
        os.fdatasync(descriptor)

    async with running(spill_at(tmp_path, slow)) as spill:
        appending = asyncio.create_task(spill.append(batch_number(1)))
        await eventually(lambda: sizes)
        await asyncio.sleep(0.05)
        assert sizes == [record_bytes_of(batch_number(1))]
        assert not appending.done()
        may_end.set()
        await appending


async def test_a_new_file_is_in_its_folder_before_the_first_ok(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder is synced after the file was made in it and before the file's own sync."""
    events: list[str] = []
    fsync = os.fsync

    def record_folder_sync(descriptor: int) -> None:
        folder = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        events.append(f"folder with {len(segments_in(folder)) if folder.name == '0' else 'slots'}")
        fsync(descriptor)

    def record_sync(descriptor: int) -> None:
        events.append("file")
        os.fdatasync(descriptor)

    monkeypatch.setattr(os, "fsync", record_folder_sync)
    async with running(spill_at(tmp_path, record_sync)) as spill:
        await spill.append(batch_number(1))
        await spill.append(batch_number(2))
    assert events[-3:] == ["folder with 1", "file", "file"]
    assert events[:-3] == ["folder with slots"]


async def test_many_batches_share_a_sync(tmp_path: Path) -> None:
    """Those that come while one is being synced wait for the next together."""
    syncs: list[int] = []

    def count(descriptor: int) -> None:
        syncs.append(descriptor)
        os.fdatasync(descriptor)

    async with running(spill_at(tmp_path, count)) as spill:
        await asyncio.gather(*(spill.append(batch_number(number)) for number in range(500)))
        assert await drained(spill) == [batch_number(number) for number in range(500)]
    assert len(syncs) <= 3


async def test_over_its_bound_the_spill_refuses_and_keeps_what_it_has(tmp_path: Path) -> None:
    """What is being written counts; when it is drained there is room again, and the disk is given back."""
    async with running(spill_at(tmp_path, spill_max_bytes=10 * SIZE, spill_segment_bytes=4096)) as spill:
        batches = [batch_number(number) for number in range(10, 30)]
        outcomes = await asyncio.gather(*(outcome_of(spill, batch) for batch in batches))
        assert outcomes == ["kept"] * 10 + ["the spill is full"] * 10
        assert not spill.has_room
        assert spill.held_bytes() == 10 * SIZE
        assert await drained(spill) == batches[:10]
        assert spill.has_room
        assert spill.held_bytes() == 0
        assert await outcome_of(spill, batches[10]) == "kept"
    assert len(segments_in(tmp_path / "0")) == 1


async def test_a_full_disk_refuses_and_keeps_what_it_has(tmp_path: Path) -> None:
    """ENOSPC is an answer like another: retryable, nothing torn, and over as soon as there is room."""
    folder = tmp_path / "disk"
    with small_disk(folder, 256 * 1024):
        async with running(spill_at(folder / "spill", spill_segment_bytes=10**6)) as spill:
            batches = [
                Batch.of(Signal.LOGS, bytes([i]) * 20_000, item_count=1, received_unix_nano=i) for i in range(20)
            ]
            outcomes = [await outcome_of(spill, batch) for batch in batches]
            kept = [batch for batch, outcome in zip(batches, outcomes, strict=True) if outcome == "kept"]
            assert 5 < len(kept) < 15
            assert "the spill cannot be written to: " in outcomes[-1]
            assert not spill.has_room
        async with running(spill_at(folder / "spill", spill_segment_bytes=10**6)) as spill:
            assert await drained(spill) == kept
            assert await outcome_of(spill, batches[-1]) == "kept"
            assert spill.has_room
            assert await drained(spill) == [batches[-1]]


async def test_an_error_of_the_disk_refuses_and_is_over_with_the_next_success(tmp_path: Path) -> None:
    """Those whose group failed may ask again; none of them is found later."""
    is_broken = True

    def sync(descriptor: int) -> None:
        if is_broken:
            raise OSError(errno.EIO, "Input/output error")
        os.fdatasync(descriptor)

    async with running(spill_at(tmp_path, sync)) as spill:
        outcomes = await asyncio.gather(*(outcome_of(spill, batch_number(number)) for number in range(5)))
        assert outcomes == ["the spill cannot be written to: Input/output error"] * 5
        assert not spill.has_room
        is_broken = False
        assert await outcome_of(spill, batch_number(6)) == "kept"
        assert spill.has_room
        assert await drained(spill) == [batch_number(6)]


async def test_a_disk_that_does_not_answer_is_given_up_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sender is refused at the deadline, more than a bounded number of bytes never waits, and stop() returns."""
    monkeypatch.setattr("rabbit_exporter.spill._STOP_TIMEOUT_S", 0.3)
    may_end = threading.Event()

    def hang(_descriptor: int) -> None:
        may_end.wait(20)

    spill = spill_at(tmp_path, hang, publish_timeout_s=0.2, max_unconfirmed_bytes=1024**2)
    await spill.start()
    large = Batch.of(Signal.LOGS, bytes(600_000), item_count=1, received_unix_nano=0)
    outcomes = await asyncio.gather(*(outcome_of(spill, batch) for batch in (batch_number(1), large, large)))
    assert outcomes == ["the spill's disk did not answer within 0.2 s"] * 2 + [
        "too many batches wait for the spill's disk"
    ]
    async with asyncio.timeout(2):
        await spill.stop()
    may_end.set()


async def test_what_is_held_outlives_the_process(tmp_path: Path) -> None:
    """A later start finds it, in order, beside what it writes itself."""
    batches = [batch_number(number, spans=number % 5) for number in range(60)]
    for first in range(0, 60, 20):
        async with running(spill_at(tmp_path, spill_segment_bytes=4096)) as spill:
            assert spill.batches(Signal.TRACES) == first
            for batch in batches[first : first + 20]:
                await spill.append(batch)
    async with running(spill_at(tmp_path)) as spill:
        assert await drained(spill) == batches
        assert spill.is_empty


async def test_two_processes_share_a_folder_and_the_living_takes_over_from_the_dead(tmp_path: Path) -> None:
    """Each has a slot of its own; a slot whose lock is gone is drained by whoever looks next, and only by one."""
    first, second, third = (spill_at(tmp_path) for _ in range(3))
    await first.start()
    await second.start()
    await third.start()
    for number, spill in enumerate((first, second, third)):
        await spill.append(batch_number(number))
    assert [len(spill.stores()) for spill in (first, second, third)] == [1, 1, 1]
    await second.stop()  # its lock goes, as it would with the process
    await first.adopt()
    await third.adopt()
    assert [len(spill.stores()) for spill in (first, third)] == [2, 1]
    assert first.batches(Signal.TRACES) == 2
    assert await drained(first) == [batch_number(0), batch_number(1)]
    assert len(first.stores()) == 1
    await first.stop()
    async with running(spill_at(tmp_path)) as again:
        await again.append(batch_number(9))
        assert sorted(os.listdir(tmp_path)) == ["0", "1", "2"]
    await third.stop()


async def test_an_unusable_folder_stops_the_start(tmp_path: Path) -> None:
    """One line says which folder, why, and what to set."""
    (tmp_path / "file").write_text("")
    for root in (tmp_path / "file", tmp_path / "file" / "spill"):
        with pytest.raises(StartError, match=r"cannot keep the spill in .*MODELWATCH_DATA_DIR") as caught:
            await spill_at(root).start()
        assert "\n" not in str(caught.value)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
@pytest.mark.parametrize("part", ["spill", "spill/0", "spill/0/lock", "spill/0/*.spill"])
def test_a_folder_of_somebody_else_stops_the_start(part: str) -> None:
    """Whichever part of it another user may not use: what was acknowledged must not be left lying unseen."""

    async def leave_something(root: Path) -> None:
        async with running(spill_at(root)) as spill:
            await spill.append(batch_number(1))

    with tempfile.TemporaryDirectory() as folder:  # pytest's own folders are closed to others all the way up
        root = Path(folder) / "spill"
        asyncio.run(leave_something(root))
        for path in (root.parent, root, *root.rglob("*")):
            path.chmod(0o777)
        next(iter(root.parent.glob(part))).chmod(0o500)
        command = [sys.executable, "-c", _START_AS_NOBODY, str(root)]
        done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=30, check=True)
    assert "cannot keep the spill in" in done.stdout, done
    assert "MODELWATCH_DATA_DIR" in done.stdout


_START_AS_NOBODY = """
import asyncio, os, sys
from pathlib import Path
from rabbit_exporter.settings import RabbitExporterSettings
from rabbit_exporter.spill import Spill
from telemetry import Counters, StartError
os.setgid(65534)
os.setuid(65534)
try:
    asyncio.run(Spill(Path(sys.argv[1]), RabbitExporterSettings(), Counters()).start())
except StartError as error:
    print(error)
"""


async def test_other_users_cannot_read_what_is_spilled(tmp_path: Path) -> None:
    """It is the senders' data."""
    async with running(spill_at(tmp_path / "spill")) as spill:
        await spill.append(batch_number(1))
        modes = {str(path): path.stat().st_mode & 0o077 for path in (tmp_path / "spill").rglob("*")}
        assert modes
        assert not any(modes.values()), modes
