"""What waits on disk: found again after any end, decided when it was not, and deleted when nobody waits for it."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
import structlog

from otlp_exporter import disk_segments
from otlp_exporter.disk_feed import ForwardingConsumer
from otlp_exporter.disk_files import FOLDER
from otlp_exporter.disk_line import Record
from otlp_exporter.disk_queue import DiskQueue
from otlp_exporter.disk_undecided import Deciding
from otlp_exporter.target_settings import TargetSettings
from telemetry import Batch, Counters, PermanentError, RetryableError, Signal, StartError
from tests.otlp_exporter.conftest import DiskCarrier
from tests.otlp_exporter.test_forwarding import fresh, numbered
from tests.support.doubles import RecordingConsumer
from tests.support.otlp_target import GrpcTarget
from tests.support.rabbit import batch_number
from tests.support.small_disk import files_of_at_most
from tests.support.waiting import eventually

A, B = (TargetSettings.model_validate({"name": name, "endpoint": "http://localhost:1"}) for name in "ab")


class Undecided:
    """A consumer that answers when it is told to, with what it is told."""

    def __init__(self) -> None:
        self.answers: dict[bytes, Exception | None] = {}
        self.has_answers = asyncio.Event()

    async def consume(self, batch: Batch) -> None:
        await self.has_answers.wait()
        if error := self.answers.get(batch.batch_id):
            raise error


class RefusingWhenWritten:
    """A history that has no room on the same disk, and says so after all else was tried."""

    def __init__(self, queue: DiskQueue) -> None:
        self._queue = queue

    async def consume(self, batch: Batch) -> None:
        await eventually(lambda: self._queue._writer is not None and self._queue._writer.is_idle)
        raise RetryableError("the disk is full")


@contextlib.asynccontextmanager
async def running(
    folder: Path, targets: Sequence[TargetSettings] = (A, B), counters: Counters | None = None
) -> AsyncIterator[DiskQueue]:
    queue = DiskQueue(folder, targets, counters or Counters())
    await queue.start()
    try:
        yield queue
    finally:
        await queue.stop()


def segments_in(folder: Path) -> list[Path]:
    return sorted((folder / FOLDER).glob("*.segment"))


def copy_of(folder: Path) -> Path:
    """Return what a process would leave that is killed now."""
    copy = folder / f"killed-{time.monotonic_ns()}"
    (copy / FOLDER).mkdir(parents=True)
    for path in (folder / FOLDER).iterdir():
        (copy / FOLDER / path.name).write_bytes(path.read_bytes())
    return copy


def taken(queue: DiskQueue, target: str) -> list[Record]:
    return list(iter(lambda: queue.take(target), None))


async def batches(queue: DiskQueue, records: Sequence[Record]) -> list[Batch | None]:
    return [await queue.batch_of(record) for record in records]


async def waiting(folder: Path, target: str) -> list[Batch | None]:
    """Return what a process finds for a target that starts on this folder."""
    async with running(folder) as queue:
        assert queue.undecided == []
        return await batches(queue, taken(queue, target))


async def taken_in_time(queue: DiskQueue, target: str, count: int) -> list[Record]:
    found: list[Record] = []

    def has_all() -> bool:
        found.extend(taken(queue, target))
        return len(found) >= count

    await eventually(has_all)
    return found


def safe_when_killed(folder: Path, first: int) -> set[int]:
    """Return the numbers of batches for which a process had an OK before it was killed."""
    command = [sys.executable, "-m", "tests.support.forwarding_process", str(folder), str(first)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        told = [process.stdout.readline() for _ in range(150)]
        process.kill()
        told += process.stdout.readlines()
    return {int(line) for line in told if line.endswith("\n")}


def held(counters: Counters) -> int:
    return int(counters.gauges()["forward_backlog_batches", (("target", "a"),)])


async def test_a_body_is_there_once_and_as_long_as_somebody_waits(tmp_path: Path) -> None:
    """Two targets share it; its file goes with the last of them, at the latest when the files are closed."""
    one, two = numbered(2, spans=9)
    async with running(tmp_path) as queue:
        for batch in (one, two):
            await queue.offer(batch, ["a", "b"])
        size = len(one.body) + len(two.body)
        assert size < sum(path.stat().st_size for path in segments_in(tmp_path)) < size + 4_500
        assert await batches(queue, taken(queue, "b")) == [one, two]
        for record in taken(queue, "a"):
            queue.finish("a", record.number)
    async with running(tmp_path) as queue:
        assert queue.take("a") is None
        records = taken(queue, "b")
        assert await batches(queue, records) == [one, two]
        queue.finish("b", records[0].number)
        assert await queue.batch_of(records[1]) == two
        queue.finish("b", records[1].number)
    assert list((tmp_path / FOLDER).iterdir()) == []


async def test_the_disk_is_given_back_while_others_wait(tmp_path: Path) -> None:
    """What waits for one target alone is not in one file with what others wait for: a dead one keeps its own."""
    large = [Batch.of(Signal.METRICS, bytes([n]) * 10**6, item_count=1, received_unix_nano=n) for n in range(60)]
    [kept] = numbered(1)
    async with running(tmp_path) as queue:
        await queue.offer(kept, ["b"])
        for batch in large:
            await queue.offer(batch, ["a"])
            record = queue.take("a")
            assert record is not None
            assert await queue.batch_of(record) == batch
            queue.finish("a", record.number)

        def size() -> int:
            return sum(path.stat().st_size for path in (tmp_path / FOLDER).iterdir())

        await eventually(lambda: len(segments_in(tmp_path)) == 2)
        assert size() < 80 * 10**6
        assert await batches(queue, taken(queue, "b")) == [kept]
    assert await waiting(tmp_path, "b") == [kept]
    assert size() < 10**6


async def test_a_file_that_is_used_again_has_nothing_of_before(tmp_path: Path) -> None:
    """Old records behind the new ones, whole and with a right hash, are found by nobody."""
    large = [Batch.of(Signal.LOGS, bytes([n]) * 6 * 10**6, item_count=1, received_unix_nano=n) for n in range(3)]
    async with running(tmp_path) as queue:
        for batch in large:
            await queue.offer(batch, ["a"])
        for record in taken(queue, "a"):
            queue.finish("a", record.number)
        [new] = numbered(1)
        await queue.offer(new, ["b"])  # closes nothing
        await queue.offer(new, ["a"])
        await eventually(lambda: any((tmp_path / FOLDER).glob("*.spare")))
        await queue.offer(new, ["a", "b"])  # in the spare one
        assert not any((tmp_path / FOLDER).glob("*.spare"))
        killed = copy_of(tmp_path)
        assert max(path.stat().st_size for path in segments_in(killed)) > 18 * 10**6
    assert await waiting(killed, "a") == [new, new]
    assert await waiting(tmp_path, "b") == [new, new]


async def test_a_disk_that_is_nearly_full_keeps_nothing_for_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither files laid aside nor the one that is open: what is waited for stays, and what comes is written."""
    large = [fresh(Batch.of(Signal.LOGS, bytes([n]) * 6 * 10**6, item_count=1, received_unix_nano=0)) for n in range(6)]
    one, two = numbered(2)

    def files() -> list[str]:
        return sorted(path.suffix for path in (tmp_path / FOLDER).iterdir() if path.suffix != ".marks")

    async with running(tmp_path) as queue:
        await queue.offer(one, ["b"])
        for batch in large:
            await queue.offer(batch, ["a"])
        for record in taken(queue, "a"):
            queue.finish("a", record.number)
        await eventually(lambda: files() == [".segment", ".segment", ".spare"])
        monkeypatch.setattr(disk_segments, "_LITTLE_BYTES", 2**62)
        await eventually(lambda: files() == [".segment"])
        await queue.offer(two, ["a"])
        assert await batches(queue, taken(queue, "a")) == [two]
    assert await waiting(tmp_path, "b") == [one]


async def test_a_write_that_fails_gives_the_disk_what_is_laid_aside(tmp_path: Path) -> None:
    """As far as others have to wait for room, however much of it the disk says that there is."""
    large = [
        fresh(Batch.of(Signal.LOGS, bytes([n]) * 17 * 10**6, item_count=1, received_unix_nano=0)) for n in range(3)
    ]
    async with running(tmp_path) as queue:
        for batch in large:
            await queue.offer(batch, ["a"])
        for record in taken(queue, "a"):
            queue.finish("a", record.number)
        await eventually(lambda: len(list((tmp_path / FOLDER).glob("*.spare"))) == 2)
        with files_of_at_most(10**6):
            await queue.offer(large[0], ["a"])
        assert list((tmp_path / FOLDER).glob("*.spare")) == []


async def test_what_cannot_be_written_leaves_the_rest_as_it_was(tmp_path: Path) -> None:
    """A full disk costs the batch that did not fit, counted; what was there is read, and what comes later is kept."""
    first, second = numbered(2)
    large = Batch.of(Signal.LOGS, bytes(3 * 10**6), item_count=7, received_unix_nano=1)
    counters = Counters()
    async with running(tmp_path, counters=counters) as queue:
        await queue.offer(first, ["a"])
        with files_of_at_most(10**6):
            await queue.offer(large, ["a"])
        assert counters.total("forward_dropped_items") == 7
        await queue.offer(second, ["a"])
    assert await waiting(tmp_path, "a") == [first, second]


async def test_what_the_disk_refuses_is_counted_when_it_is_lost(tmp_path: Path) -> None:
    """Not while ModelWatch itself does not take it, as it is sent again then; and the log says once why."""
    large = Batch.of(Signal.LOGS, bytes(3 * 10**6), item_count=7, received_unix_nano=1)
    counters = Counters()
    async with running(tmp_path, counters=counters) as queue:
        with structlog.testing.capture_logs() as logs, files_of_at_most(10**6):
            for _ in range(3):
                with pytest.raises(RetryableError):
                    await ForwardingConsumer(RefusingWhenWritten(queue), queue, [A]).consume(large)
            assert counters.total("forward_dropped_items") == 0
            await ForwardingConsumer(RecordingConsumer(), queue, [A]).consume(large)
        assert counters.total("forward_dropped_items") == 7
        assert [one["event"] for one in logs if one["log_level"] == "error"] == ["cannot write what is to be forwarded"]


async def test_a_full_disk_forgets_nothing_that_is_finished(tmp_path: Path) -> None:
    """It is taken out though the disk took no mark of it, as soon as that takes anything again."""
    counters = Counters()
    first, second, third = numbered(3)
    async with running(tmp_path, counters=counters) as queue:
        consumer = ForwardingConsumer(RecordingConsumer(), queue, [A])
        for batch in (first, second, third):
            await consumer.consume(batch)
        await eventually(lambda: any((tmp_path / FOLDER).glob("*.marks")))
        [marks] = (tmp_path / FOLDER).glob("*.marks")
        aside = marks.rename(tmp_path / "aside")
        marks.mkdir()  # nothing is written there
        for _ in range(2):
            record = queue.take("a")
            assert record is not None
            queue.finish("a", record.number)
        await asyncio.sleep(0.6)  # it tries to write that in the meantime
        assert held(counters) == 1
        marks.rmdir()
        aside.rename(marks)
    assert await waiting(tmp_path, "a") == [third]


async def test_the_end_of_a_process_loses_nothing(tmp_path: Path) -> None:
    """What is left when one is killed at any time: all that was taken over, and no more than was offered."""
    sent = numbered(30, spans=3)
    async with running(tmp_path) as queue:
        consumer = ForwardingConsumer(RecordingConsumer(), queue, [A])
        for number, batch in enumerate(sent):
            await consumer.consume(batch)
            if number % 10 == 5:
                async with running(copy_of(tmp_path)) as after:
                    deciding = Deciding(RecordingConsumer(), after, Counters())
                    await deciding.start()
                    found = await taken_in_time(after, "a", number + 1)
                    assert {one.body for one in await batches(after, found) if one} == {
                        one.body for one in sent[: number + 1]
                    }
                    await deciding.stop()


async def test_a_process_killed_at_any_time_loses_nothing(tmp_path: Path) -> None:
    """SIGKILL amid writing, three times on one folder: each batch with an OK waits, once, and none that nobody sent."""
    safe, last = set[int](), 0
    for _ in range(3):
        safe |= await asyncio.to_thread(safe_when_killed, tmp_path, last + 1)
        last = max(safe) + 8
    async with running(tmp_path) as queue:
        deciding = Deciding(RecordingConsumer(), queue, Counters())
        await deciding.start()
        found = await taken_in_time(queue, "a", len(safe))
        await deciding.stop()
        found += taken(queue, "a")
        bodies = [batch.body for batch in await batches(queue, found) if batch is not None]
    numbers = {batch_number(number).body: number for number in range(1, last + 1)}
    assert safe <= {numbers[body] for body in bodies}
    assert len(set(bodies)) == len(bodies) == len(found)


async def test_what_was_undecided_is_asked_again(tmp_path: Path) -> None:
    """Killed before the history had answered: forwarded if that takes it now, never if it refuses it for good."""
    good, bad, late = numbered(3)
    async with running(tmp_path) as queue:
        consumer = ForwardingConsumer(Undecided(), queue, [A])
        tasks = [asyncio.create_task(consumer.consume(batch)) for batch in (good, bad, late)]
        await eventually(lambda: segments_in(tmp_path) != [])
        await eventually(lambda: queue._writer is not None and queue._writer.is_idle)
        assert queue.take("a") is None
        killed = copy_of(tmp_path)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    assert list((tmp_path / FOLDER).iterdir()) == [], "what nobody got an OK for is withdrawn"
    again = Undecided()
    again.answers = {bad.batch_id: PermanentError("no"), late.batch_id: RetryableError("later", retry_after_s=0.01)}
    again.has_answers.set()
    async with running(killed) as queue:
        assert len(queue.undecided) == 3
        counters = Counters()
        deciding = Deciding(again, queue, counters)
        await deciding.start()
        assert await batches(queue, await taken_in_time(queue, "a", 1)) == [good]
        again.answers[late.batch_id] = None
        assert await batches(queue, await taken_in_time(queue, "a", 1)) == [late]
        await deciding.stop()
        assert counters.total("forward_asked_again_items") == good.item_count + late.item_count
    assert await waiting(killed, "a") == [good, late]


async def test_what_the_consumer_refuses_is_forwarded_never(tmp_path: Path) -> None:
    """Neither now nor after any end; what it takes when it is sent again is there once."""
    first, second = numbered(2)
    refusing = Undecided()
    refusing.has_answers.set()
    async with running(tmp_path) as queue:
        consumer = ForwardingConsumer(refusing, queue, [A])
        refusing.answers = {first.batch_id: RetryableError("later"), second.batch_id: PermanentError("no")}
        for batch, error in ((first, RetryableError), (second, PermanentError)):
            with pytest.raises(error):
                await consumer.consume(batch)
        refusing.answers = {}
        await consumer.consume(first)
        record = queue.take("a")
        assert record is not None
        assert await queue.batch_of(record) == first
        assert queue.take("a") is None
    assert await waiting(tmp_path, "a") == [first]


async def test_a_torn_end_is_no_batch(tmp_path: Path) -> None:
    """A file cut off at any byte, as by a machine that lost its power: what was before the cut is read, and no more."""
    one, two = numbered(2)
    async with running(tmp_path) as queue:
        await queue.offer(one, ["a"])
        before = segments_in(tmp_path)[0].stat().st_size
        await queue.offer(two, ["a"])
        killed = copy_of(tmp_path)
    [path] = segments_in(killed)
    whole = path.read_bytes()
    for end in range(before, len(whole), 7):
        path.write_bytes(whole[:end])
        assert await waiting(killed, "a") == [one]
        path.write_bytes(whole)
    for end in (0, 5, 27, 30):
        path.write_bytes(whole[:end])
        assert await waiting(killed, "a") == []


async def test_a_restart_drops_nothing_of_a_queue_within_its_limit(tmp_path: Path) -> None:
    """What was in hand at its end was beside the limit, and is so again when the next batch comes."""
    small = A.model_copy(update={"queue_max_bytes": 2**20})
    large = [fresh(Batch.of(Signal.LOGS, bytes([n]) * 500_000, item_count=1, received_unix_nano=0)) for n in range(4)]
    counters = Counters()
    async with running(tmp_path, [small], counters) as queue:
        await queue.offer(large[0], ["a"])
        assert queue.take("a") is not None
        for batch in large[1:3]:
            await queue.offer(batch, ["a"])
    async with running(tmp_path, [small], counters) as queue:
        assert counters.total("forward_dropped_items") == 0
        assert await batches(queue, [one for one in [queue.take("a")] if one]) == [large[0]]
        await queue.offer(large[3], ["a"])
        assert counters.total("forward_dropped_items") == 1, "one is in hand, two are within the limit"


async def test_one_process_has_the_folder(tmp_path: Path) -> None:
    """A second one is told so at its start."""
    async with running(tmp_path):
        with pytest.raises(StartError, match="cannot keep what is to be forwarded"):
            await DiskQueue(tmp_path, [A], Counters()).start()


async def test_what_an_earlier_version_left_and_is_damaged_is_named(tmp_path: Path) -> None:
    """With what to do about it: the folder is not at fault."""
    (tmp_path / "forwarding.db").write_bytes(b"this is no database" * 400)
    with pytest.raises(StartError, match=r"forwarding\.db .*or move this file") as raised:
        await DiskQueue(tmp_path, [A], Counters()).start()
    assert "folder" not in str(raised.value)
    (tmp_path / "forwarding.db").unlink()
    assert await waiting(tmp_path, "a") == []


async def test_a_target_that_comes_back_gets_nothing_of_before(tmp_path: Path) -> None:
    """What waited for it when it was taken out was dropped and counted then, once; the others have theirs."""
    old, new = numbered(2, spans=5)
    counters = Counters()
    async with running(tmp_path) as queue:
        await queue.offer(old, ["a", "b"])
    async with running(tmp_path, [B], counters) as queue:
        await queue.offer(new, ["b"])
    async with running(tmp_path, [B], counters):
        labels = (("reason", "removed"), ("signal", "traces"), ("target", "a"))
        assert counters.snapshot()["forward_dropped_items", labels] == counters.total("forward_dropped_items") == 5
    async with running(tmp_path) as queue:
        assert queue.take("a") is None
        assert await batches(queue, taken(queue, "b")) == [old, new]


async def test_a_damaged_record_costs_itself(disk: DiskCarrier) -> None:
    """A body that was changed on the disk is counted and not sent; of a changed head one item is; the rest is sent."""
    async with GrpcTarget() as target:
        sent = numbered(3, spans=3)
        async with running(disk.folder) as queue:
            await queue.offer(sent[0], ["a"])
            [path] = segments_in(disk.folder)
            first_end = path.stat().st_size
            for batch in sent[1:]:
                await queue.offer(batch, ["a"])
        content = bytearray(path.read_bytes())
        content[first_end - 7] ^= 1
        content[first_end + 20] ^= 1
        path.write_bytes(content)
        await disk.start({"name": "a", "endpoint": f"http://localhost:{target.port}"})
        await eventually(lambda: disk.counters.total("forward_sent_items") == 3)
        assert target.bodies == [sent[2].body]
        assert disk.counters.total("forward_dropped_items") == 3 + 1
        await disk.stop()


async def test_a_damaged_head_costs_nothing(tmp_path: Path) -> None:
    """Neither of the two that a segment has; without both, its file is kept, which is said and counted."""
    sent = numbered(3, spans=30)
    async with running(tmp_path) as queue:
        for batch in sent:
            await queue.offer(batch, ["a", "b"])
        killed = copy_of(tmp_path)
    [path] = segments_in(killed)
    whole = path.read_bytes()
    for at in (20, 4096 + 20):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        assert await waiting(killed, "a") == sent
    content = bytearray(whole)
    for at in (20, 4096 + 20):
        content[at] ^= 1
    path.write_bytes(content)
    for expected in (2, 0):
        counters = Counters()
        async with running(killed, counters=counters) as queue:
            assert queue.take("a") is None
        assert counters.total("forward_dropped_items") == expected
        assert path.with_suffix(".damaged").read_bytes() == bytes(content)


async def test_what_is_skipped_is_counted_once(tmp_path: Path) -> None:
    """A head that is damaged before an intact one, and an end that is gone though its sender got an OK."""
    one, two, three = numbered(3, spans=7)
    ends: list[int] = []
    async with running(tmp_path) as queue:
        consumer = ForwardingConsumer(RecordingConsumer(), queue, [A, B])
        for batch in (one, two, three):
            await consumer.consume(batch)
            ends.append(segments_in(tmp_path)[0].stat().st_size)
        record = queue.take("b")
        assert record is not None
        queue.finish("b", record.number)  # of the first, which is lost for one of them alone
        await eventually(lambda: any(path.stat().st_size == 4 * 8 for path in (tmp_path / FOLDER).glob("*.marks")))
        killed = copy_of(tmp_path)
    [path] = segments_in(killed)
    content = bytearray(path.read_bytes())
    content[ends[0] - len(one.body) - 30] ^= 1
    path.write_bytes(content[: ends[2] - 9])
    for expected in ({("a", "unknown"): 1, ("a", "traces"): 7, ("b", "traces"): 7}, {}):
        counters = Counters()
        async with running(killed, counters=counters) as queue:
            assert await batches(queue, taken(queue, "a")) == [two]
        found = {
            (dict(labels)["target"], dict(labels)["signal"]): count
            for (name, labels), count in counters.snapshot().items()
            if name == "forward_dropped_items" and count
        }
        assert found == expected


@pytest.mark.parametrize("own_process", [False, True])
async def test_what_cannot_be_read_now_is_read_later(disk: DiskCarrier, own_process: bool) -> None:
    """A file that is there and does not open is no reason to drop what is in it."""
    async with GrpcTarget() as target:
        port, [batch] = target.port, numbered(1)
        await disk.start({"name": "a", "endpoint": f"http://localhost:{port}"}, own_process=own_process)
        [queue] = [one for one in disk.running if isinstance(one, DiskQueue)]
        written = queue.begin(batch, ["a"])
        await written.written
        [path] = segments_in(disk.folder)
        aside = path.rename(disk.folder / "aside")
        path.symlink_to(path)  # ELOOP, whoever runs this
        await queue.keep(written)
        await eventually(lambda: disk.gauge("forward_backlog_batches", "a") == 1)
        await asyncio.sleep(0.3)
        path.unlink()
        aside.rename(path)
        await eventually(lambda: disk.counters.total("forward_sent_items") == 1, timeout_s=40)
        assert target.bodies == [batch.body]
        assert disk.counters.total("forward_dropped_items") == 0
        await disk.stop()


async def test_the_first_version_is_read_on(tmp_path: Path) -> None:
    """What it left within an SQLite file is forwarded, in its order, to whom it waits for."""
    old, newer, gone = numbered(3)
    with contextlib.closing(sqlite3.connect(tmp_path / "forwarding.db")) as older:
        older.executescript(
            "CREATE TABLE bodies (number INTEGER PRIMARY KEY AUTOINCREMENT, signal TEXT NOT NULL,"
            " batch_id BLOB NOT NULL, items INTEGER NOT NULL, received_ns INTEGER NOT NULL, waiting INTEGER NOT NULL,"
            " body BLOB NOT NULL);"
            "CREATE TABLE waiting (target TEXT NOT NULL, number INTEGER NOT NULL, PRIMARY KEY (target, number))"
            " WITHOUT ROWID;"
        )
        for number, batch in ((3, old), (4, gone)):
            fields = (batch.signal, batch.batch_id, batch.item_count, batch.received_unix_nano, 1, batch.body)
            older.execute("INSERT INTO bodies VALUES (?, ?, ?, ?, ?, ?, ?)", (number, *fields))
        older.executemany("INSERT INTO waiting VALUES (?, ?)", [("a", 3), ("b", 3), ("other", 4)])
        older.commit()
    for _ in range(2):
        assert await waiting(tmp_path, "b") == [old]
    async with running(tmp_path) as queue:
        await queue.offer(newer, ["a"])
    assert await waiting(tmp_path, "a") == [old, newer]
    assert not (tmp_path / "forwarding.db").exists()


async def test_the_second_version_is_read_on(tmp_path: Path) -> None:
    """What it left in files that SQLite had an index of is forwarded, with its trail; what is damaged is not."""
    (tmp_path / FOLDER).mkdir()
    first, second, third = numbered(3, spans=2)
    content = first.body + second.body + third.body
    (tmp_path / FOLDER / "000000000007.bodies").write_bytes(content[:-1])
    (tmp_path / FOLDER / "000000000009.bodies").write_bytes(b"nobody waits for this")
    with contextlib.closing(sqlite3.connect(tmp_path / "forwarding.db")) as older:
        older.executescript(
            "CREATE TABLE entries (number INTEGER PRIMARY KEY AUTOINCREMENT, signal TEXT NOT NULL,"
            " batch_id BLOB NOT NULL, items INTEGER NOT NULL, received_ns INTEGER NOT NULL,"
            " forwarded_by TEXT NOT NULL, file INTEGER NOT NULL, at INTEGER NOT NULL, size INTEGER NOT NULL);"
            "CREATE TABLE waiting (target TEXT NOT NULL, number INTEGER NOT NULL, PRIMARY KEY (target, number))"
            " WITHOUT ROWID;"
        )
        at = 0
        for number, batch in enumerate((first, second, third)):
            head = (number, batch.signal, batch.batch_id, 2, batch.received_unix_nano, "0123456789abcdef")
            older.execute("INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", (*head, 7, at, len(batch.body)))
            at += len(batch.body)
        older.executemany("INSERT INTO waiting VALUES (?, ?)", [("a", 0), ("b", 0), ("a", 1), ("a", 2), ("gone", 1)])
        older.commit()
    for _ in range(2):
        [one, two, damaged] = await waiting(tmp_path, "a")
        assert one is not None
        assert two is not None
        assert damaged is None
        assert (one.body, two.body) == (first.body, second.body)
        assert one.forwarded_by == ("0123456789abcdef",)
        [shared] = await waiting(tmp_path, "b")
        assert shared == one
    assert not (tmp_path / "forwarding.db").exists()
    assert list((tmp_path / FOLDER).glob("*.bodies")) == []
