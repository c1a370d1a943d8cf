"""What waits on disk: found again after any end, and deleted when nobody waits for it."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from pathlib import Path

import pytest

from otlp_exporter.disk_bodies import FOLDER
from otlp_exporter.disk_queue import DiskQueue
from otlp_exporter.disk_tables import DiskTables, read_batch
from otlp_exporter.target_settings import TargetSettings
from telemetry import Batch, Counters, Signal
from tests.otlp_exporter.conftest import DiskCarrier
from tests.otlp_exporter.test_forwarding import numbered
from tests.support.otlp_target import GrpcTarget
from tests.support.small_disk import files_of_at_most
from tests.support.waiting import eventually

OTHER = "fedcba9876543210"
A, B = (TargetSettings.model_validate({"name": name, "endpoint": "http://localhost:1"}) for name in "ab")


def bodies_in(folder: Path) -> list[Path]:
    return sorted((folder / FOLDER).iterdir())


def test_a_body_is_there_once_and_as_long_as_somebody_waits(tmp_path: Path) -> None:
    """Two targets share it; its file goes with the last of them, at the latest when the files are opened again."""
    tables = DiskTables.open(tmp_path / "forwarding.db", [A, B])
    one, two = numbered(2, spans=9)
    tables.write([(one, ["a", "b"]), (two, ["a", "b"])], [])
    assert sum(path.stat().st_size for path in bodies_in(tmp_path)) == len(one.body) + len(two.body)
    entries = {target: tables.read(target, 0, 9) for target in "ab"}
    for target in "ab":
        assert [read_batch(tmp_path, entry) for entry in entries[target]] == [one, two]
    tables.write([], [("a", entry.number) for entry in entries["a"]])
    assert tables.held("a") == (0, 0)
    assert read_batch(tmp_path, entries["b"][1]) == two
    tables.close()
    tables = DiskTables.open(tmp_path / "forwarding.db", [A, B])
    assert [read_batch(tmp_path, entry) for entry in tables.read("b", 0, 9)] == [one, two]
    tables.write([], [("b", entry.number) for entry in entries["b"]])
    assert bodies_in(tmp_path) == []
    tables.close()


def test_the_disk_is_given_back_while_others_wait(tmp_path: Path) -> None:
    """What waits for one target alone is not in one file with what others wait for: a dead one keeps its own."""
    tables = DiskTables.open(tmp_path / "forwarding.db", [A, B])
    large = [Batch.of(Signal.METRICS, bytes([n]) * 10**6, item_count=1, received_unix_nano=n) for n in range(40)]
    [kept] = numbered(1)
    tables.write([(kept, ["b"])], [])
    for batch in large:
        tables.write([(batch, ["a"])], [])
        tables.write([], [("a", entry.number) for entry in tables.read("a", 0, 9)])
    assert sum(path.stat().st_size for path in bodies_in(tmp_path)) < 20 * 10**6
    assert [read_batch(tmp_path, entry) for entry in tables.read("b", 0, 9)] == [kept]
    tables.close()


def test_what_cannot_be_written_leaves_the_rest_as_it_was(tmp_path: Path) -> None:
    """A full disk is an error of the batch that did not fit; what was there is read, and what comes later is kept."""
    tables = DiskTables.open(tmp_path / "forwarding.db", [A])
    first, second = numbered(2)
    large = Batch.of(Signal.LOGS, bytes(3 * 10**6), item_count=1, received_unix_nano=1)
    tables.write([(first, ["a"])], [])
    with files_of_at_most(10**6), pytest.raises(OSError, match="File too large"):
        tables.write([(large, ["a"])], [])
    tables.write([(second, ["a"])], [])
    assert [read_batch(tmp_path, entry) for entry in tables.read("a", 0, 9)] == [first, second]
    tables.close()


async def test_a_full_disk_forgets_nothing_that_is_finished(tmp_path: Path) -> None:
    """It is taken out though what came at the same time did not fit, or later, when the disk takes anything again."""
    queue = DiskQueue(tmp_path, [A], counters := Counters())
    await queue.start()
    first, second, third = numbered(3)
    large = Batch.of(Signal.LOGS, bytes(3 * 10**6), item_count=1, received_unix_nano=time.time_ns())
    for batch in (first, second):
        await queue.offer(batch, ["a"])
    entries = await queue.read("a", 0, 9)
    with files_of_at_most(10**6):
        queue.finish("a", entries[0].number)
        await queue.offer(large, ["a"])
        assert counters.total("forward_dropped_items") == 1
        await eventually(lambda: held(counters) == 1)
    with files_of_at_most(4_096):
        queue.finish("a", entries[1].number)
        await queue.offer(large, ["a"])
        assert held(counters) == 1
    await queue.offer(third, ["a"])
    await eventually(lambda: held(counters) == 1)
    assert [await queue.batch_of(entry) for entry in await queue.read("a", 0, 9)] == [third]
    await queue.stop()


def held(counters: Counters) -> int:
    return int(counters.gauges()["forward_backlog_batches", (("target", "a"),)])


async def test_a_damaged_body_is_counted_and_holds_up_nothing(disk: DiskCarrier) -> None:
    """One that was changed on the disk is not sent, nor one whose file is gone; the next one is."""
    async with GrpcTarget() as target:
        endpoint = f"http://localhost:{target.port}"
        tables = DiskTables.open(disk.folder / "forwarding.db", [A])
        for batch in (one := numbered(2, spans=3)):
            tables.write([(batch, ["a"])], [])
        tables.close()
        [path] = bodies_in(disk.folder)
        content = bytearray(path.read_bytes())
        content[7] ^= 1
        path.write_bytes(content)
        await disk.start({"name": "a", "endpoint": endpoint})
        await eventually(lambda: disk.counters.total("forward_sent_items") == 3)
        assert target.bodies == [one[1].body]
        assert disk.counters.total("forward_dropped_items") == 3
        await disk.stop()


@pytest.mark.parametrize("own_process", [False, True])
async def test_what_cannot_be_read_now_is_read_later(disk: DiskCarrier, own_process: bool) -> None:
    """A file that is there and does not open is no reason to drop what is in it."""
    async with GrpcTarget() as target:
        tables = DiskTables.open(disk.folder / "forwarding.db", [A])
        [batch] = numbered(1)
        tables.write([(batch, ["a"])], [])
        tables.close()
        [path] = bodies_in(disk.folder)
        aside = path.rename(disk.folder / "aside")
        path.symlink_to(path)  # ELOOP, whoever runs this
        await disk.start({"name": "a", "endpoint": f"http://localhost:{target.port}"}, own_process=own_process)
        await eventually(lambda: disk.gauge("forward_backlog_batches", "a") == 1)
        await asyncio.sleep(0.3)
        path.unlink()
        aside.rename(path)
        await eventually(lambda: disk.counters.total("forward_sent_items") == 1, timeout_s=40)
        assert target.bodies == [batch.body]
        assert disk.counters.total("forward_dropped_items") == 0
        await disk.stop()


def test_an_older_file_is_read_on(tmp_path: Path) -> None:
    """What an earlier version left within the SQLite file is forwarded, in its order, to whom it waits for."""
    path = tmp_path / "forwarding.db"
    old, newer, gone = numbered(3)
    with contextlib.closing(sqlite3.connect(path)) as older:
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
        tables = DiskTables.open(path, [A, B])
        assert [read_batch(tmp_path, entry) for entry in tables.read("b", 0, 9)] == [old]
        tables.close()
    tables = DiskTables.open(path, [A, B])
    tables.write([(newer, ["a"])], [])
    assert [read_batch(tmp_path, entry) for entry in tables.read("a", 0, 9)] == [old, newer]
    tables.close()
