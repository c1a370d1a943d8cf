"""The spill's files under damage: cut anywhere, flipped anywhere, unreadable in part, mixed up."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rabbit_exporter.quarantine import Quarantine
from rabbit_exporter.segment_name import SegmentName, segments_in
from rabbit_exporter.segment_reader import Found, PositionalRead, SegmentReader
from rabbit_exporter.segment_writer import SegmentWriter
from rabbit_exporter.spill_record import HEAD_BYTES, RecordForm, record_bytes_of
from rabbit_exporter.spill_store import Held, SpillStore
from telemetry import Batch, Signal
from tests.support.small_disk import files_of_at_most

MIXED = [
    Batch.of(Signal.TRACES, b"first", item_count=3, received_unix_nano=1),
    Batch.of(Signal.METRICS, b"", item_count=0, received_unix_nano=2**63),
    Batch.of(Signal.LOGS, bytes(40), item_count=2**40, received_unix_nano=3, forwarded_by=("0123456789abcdef",)),
    Batch.of(Signal.TRACES, b"last", item_count=1, received_unix_nano=4),
]

EARLIER_RECORD = (
    "043f0ac83ab43137020000000400000005000000000000000600000000000000e5aeeed82ef55e5d"
    "19200c0173c9899f8b2da810c40d2dcd10dfaf3a1790f019698d762494d2b9a0626f6479"
)

batches_of_any_kind = st.lists(
    st.builds(
        lambda signal, body, items, received, trail: Batch.of(
            signal, body, item_count=items, received_unix_nano=received, forwarded_by=trail
        ),
        st.sampled_from(Signal),
        st.binary(max_size=200),
        st.integers(0, 2**64 - 1),
        st.integers(0, 2**64 - 1),
        st.sampled_from([(), ("0123456789abcdef",), ("00" * 8, "ff" * 8) * 8]),
    ),
    max_size=8,
)
quick = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


def store_of(folder: Path, segment_bytes: int = 1024**2, quarantine_bytes: int = 1024**2) -> SpillStore:
    writer = SegmentWriter(folder, segment_bytes, lambda _: None)
    store = SpillStore(folder, writer, Quarantine(folder, quarantine_bytes))
    store.load()
    return store


def written(folder: Path, batches: list[Batch], segment_bytes: int = 1024**2) -> list[Path]:
    """Write batches, each in a group of its own; return the segments."""
    folder.mkdir(exist_ok=True)
    store = store_of(folder, segment_bytes)
    for batch in batches:
        store.add([batch])
    store.close()
    return [folder / str(name) for name in segments_in(folder)]


def replayed(store: SpillStore) -> list[Batch]:
    """Drain the store as if RabbitMQ confirmed everything, and check that nothing is left of it."""
    got: list[Held] = []
    while turn := store.read(3, 1024**2):
        store.finish(turn)
        got += turn
    store.retire()
    assert store.held_bytes == 0
    assert not any(store.batches.values())
    store.close()
    return [held.batch for held in got if held.batch is not None]


def spans_of(batches: Iterable[Batch]) -> list[range]:
    """Return which bytes of the one segment belong to which batch."""
    spans, at = [], 0
    for batch in batches:
        spans.append(range(at, at + record_bytes_of(batch)))
        at = spans[-1].stop
    return spans


@quick
@given(batches=batches_of_any_kind, segment_bytes=st.integers(1, 800))
def test_what_was_written_is_read_again_in_order(
    tmp_path_factory: pytest.TempPathFactory, batches: list[Batch], segment_bytes: int
) -> None:
    """Equal in every field, over any number of segments, and counted before it is read; then the disk is empty."""
    folder = tmp_path_factory.mktemp("slot")
    written(folder, batches, segment_bytes)
    store = store_of(folder)
    assert sum(store.batches.values()) == len(batches)
    assert store.held_bytes == sum(record_bytes_of(batch) for batch in batches)
    assert replayed(store) == batches
    assert segments_in(folder) == []


def test_a_spill_cut_at_any_byte_keeps_every_record_before_the_cut(tmp_path: Path) -> None:
    """A kill while writing leaves such a file: its last record is no damage, and nothing is quarantined."""
    (segment,) = written(tmp_path / "whole", MIXED)
    content = segment.read_bytes()
    spans = spans_of(MIXED)
    for cut in range(len(content) + 1):
        folder = tmp_path / f"cut {cut}"
        folder.mkdir()
        (folder / segment.name).write_bytes(content[:cut])
        store = store_of(folder)
        assert replayed(store) == [batch for batch, span in zip(MIXED, spans, strict=True) if span.stop <= cut]
        assert store.damaged == 0
        assert not (folder / "quarantine").exists()


@pytest.mark.parametrize("flip", [0x01, 0x80, 0xFF])
def test_a_flipped_byte_costs_the_record_that_it_is_in_and_no_other(tmp_path: Path, flip: int) -> None:
    """Marker, lengths, checksums, body: whichever byte it is, the others arrive in order and the bad one is kept.

    A batch whose tail alone is bad arrives as well, without it.
    """
    (segment,) = written(tmp_path / "whole", MIXED)
    content = segment.read_bytes()
    spans = spans_of(MIXED)
    for at in range(len(content)):
        folder = tmp_path / f"flip {at}"
        folder.mkdir()
        (folder / segment.name).write_bytes(content[:at] + bytes([content[at] ^ flip]) + content[at + 1 :])
        store = store_of(folder)
        hit = next(span for span in spans if at in span)
        struck = MIXED[spans.index(hit)]
        if struck.forwarded_by and at >= hit.start + HEAD_BYTES + len(struck.body):
            assert replayed(store) == [replace(one, forwarded_by=()) if one is struck else one for one in MIXED]
            assert store.damaged == 0
            continue
        assert replayed(store) == [batch for batch, span in zip(MIXED, spans, strict=True) if span is not hit]
        assert store.damaged == 1
        (kept,) = (folder / "quarantine").iterdir()
        assert kept.name == f"{1:012}-{hit.start}.damaged"
        assert len(kept.read_bytes()) == len(hit)


@quick
@given(data=st.data(), batches=batches_of_any_kind)
def test_any_damage_leaves_what_it_did_not_touch_and_invents_nothing(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, batches: list[Batch]
) -> None:
    """Bytes overwritten, taken out and put in: what comes out is a part of what went in, in its order."""
    folder = tmp_path_factory.mktemp("slot")
    untouched: list[Batch] = []
    for path, inside in zip(written(folder, batches, segment_bytes=300), in_segments(batches, 300), strict=True):
        content = bytearray(path.read_bytes())
        begin = data.draw(st.integers(0, len(content)))
        end = data.draw(st.integers(begin, len(content)))
        content[begin:end] = data.draw(st.binary(max_size=100))
        path.write_bytes(content)
        for batch, span in zip(inside, spans_of(inside), strict=True):
            if span.stop <= begin or span.start >= end:
                untouched.append(batch)
    got = replayed(store_of(folder))
    assert is_part_in_order(without_trails(got), without_trails(batches)), (
        "something was invented, or came out of order"
    )
    assert all(one in batches for one in got if one.forwarded_by), "a trail was invented"
    assert is_part_in_order(untouched, got), "something that was intact is missing"


def without_trails(batches: list[Batch]) -> list[Batch]:
    return [replace(batch, forwarded_by=()) for batch in batches]


def in_segments(batches: list[Batch], segment_bytes: int) -> list[list[Batch]]:
    """Divide batches as the writer does: a segment is closed once it has `segment_bytes`."""
    segments: list[list[Batch]] = []
    size = segment_bytes
    for batch in batches:
        if size >= segment_bytes:
            segments.append([])
            size = 0
        segments[-1].append(batch)
        size += record_bytes_of(batch)
    return segments


def is_part_in_order(part: list[Batch], whole: list[Batch]) -> bool:
    rest = iter(whole)
    return all(batch in rest for batch in part)


@quick
@given(junk=st.binary(max_size=400))
def test_a_file_of_anything_holds_nothing(tmp_path_factory: pytest.TempPathFactory, junk: bytes) -> None:
    """A segment whose whole content is foreign is passed over, not fatal."""
    folder = tmp_path_factory.mktemp("slot")
    (folder / str(SegmentName.fresh(7))).write_bytes(junk)
    assert replayed(store_of(folder)) == []


def test_a_record_within_a_body_is_no_record(tmp_path: Path) -> None:
    """Whoever sends a segment's bytes as data does not get them taken for a record when the real one is damaged."""
    (inner,) = written(tmp_path / "inner", MIXED)
    trap = Batch.of(Signal.TRACES, inner.read_bytes(), item_count=1, received_unix_nano=0)
    (segment,) = written(tmp_path / "outer", [trap, MIXED[3]])
    content = bytearray(segment.read_bytes())
    content[10] ^= 1
    segment.write_bytes(content)
    assert replayed(store_of(tmp_path / "outer")) == [MIXED[3]]


def test_zeros_at_the_end_are_a_torn_end(tmp_path: Path) -> None:
    """A power cut may leave a file longer than what was written to it."""
    (segment,) = written(tmp_path / "slot", MIXED)
    with segment.open("ab") as file:
        file.write(bytes(10_000))
    store = store_of(tmp_path / "slot")
    assert replayed(store) == MIXED
    assert store.damaged == 0


def test_what_the_disk_cannot_read_costs_only_the_records_in_it(tmp_path: Path) -> None:
    """Reading around a bad block, byte ranges that fail are as damaged as flipped ones."""
    batches = [Batch.of(Signal.LOGS, bytes([i]) * 3000, item_count=1, received_unix_nano=i) for i in range(8)]
    (segment,) = written(tmp_path / "slot", batches)
    bad = range(3 * 4096, 4 * 4096)

    def read(descriptor: int, size: int, offset: int) -> bytes:
        if offset < bad.stop and bad.start < offset + size:
            raise OSError(errno.EIO, "the disk says no")
        return os.pread(descriptor, size, offset)

    got = [found.batch for found in found_in(segment, read) if found.batch is not None]
    spans = spans_of(batches)
    assert got == [
        b for b, span in zip(batches, spans, strict=True) if span.stop <= bad.start or span.start >= bad.stop
    ]


def found_in(segment: Path, read: PositionalRead) -> list[Found]:
    descriptor = os.open(segment, os.O_RDONLY)
    try:
        salt = segments_in(segment.parent)[0].salt
        reader, found, offset = SegmentReader(descriptor, salt, read), list[Found](), 0
        while one := reader.find(offset, segment.stat().st_size):
            found.append(one)
            offset = one.end
        return found
    finally:
        os.close(descriptor)


def test_a_segment_that_is_gone_or_locked_away_is_passed_over(tmp_path: Path) -> None:
    """The line goes on with the next one, and the loss is counted."""
    segments = written(tmp_path / "slot", MIXED, segment_bytes=1)
    store = store_of(tmp_path / "slot")
    segments[1].unlink()
    assert replayed(store) == [MIXED[0], *MIXED[2:]]
    assert store.damaged == 1


@pytest.mark.parametrize("finished", range(len(MIXED) + 1))
def test_a_restart_goes_on_where_the_drain_was(tmp_path: Path, finished: int) -> None:
    """What was noted as done is not read again, in one segment or in many."""
    for segment_bytes in (1, 1024**2):
        folder = tmp_path / str(segment_bytes)
        written(folder, MIXED, segment_bytes)
        store = store_of(folder)
        store.finish(store.read(finished, 1024**2) if finished else [])
        store.close()
        store = store_of(folder)
        assert sum(store.batches.values()) == len(MIXED) - finished
        assert replayed(store) == MIXED[finished:]


def test_a_damaged_or_foreign_cursor_only_repeats(tmp_path: Path) -> None:
    """Whatever byte of it is wrong, nothing is skipped."""
    folder = tmp_path / "slot"
    written(folder, MIXED)
    store = store_of(folder)
    store.finish(store.read(3, 1024**2))
    store.close()
    content = (folder / "cursor").read_bytes()
    for at in range(len(content)):
        (folder / "cursor").write_bytes(content[:at] + bytes([content[at] ^ 0x10]) + content[at + 1 :])
        assert sum(store_of(folder).batches.values()) == len(MIXED)
    (folder / "cursor").write_bytes(content)
    (segment,) = folder.glob("*.spill")
    other = RecordForm(bytes(16))
    renamed = folder / str(SegmentName(1, bytes(16)))
    renamed.write_bytes(b"".join(other.head_of(batch) + batch.body + other.tail_of(batch) for batch in MIXED))
    segment.unlink()
    assert replayed(store_of(folder)) == MIXED


def test_a_failed_write_leaves_the_records_before_it_and_takes_the_next(tmp_path: Path) -> None:
    """A disk that is full for a while costs refusals, not what is held."""
    folder = tmp_path / "slot"
    folder.mkdir()
    store = store_of(folder)
    store.add([MIXED[0]])
    before = store.held_bytes
    with files_of_at_most(before + HEAD_BYTES + 10), pytest.raises(OSError, match="File too large"):
        store.add([MIXED[2], MIXED[3]])
    assert store.held_bytes == before == sum(path.stat().st_size for path in folder.glob("*.spill"))
    store.add([MIXED[3]])
    assert replayed(store) == [MIXED[0], MIXED[3]]


def test_after_a_failed_sync_nothing_more_is_added_to_that_file(tmp_path: Path) -> None:
    """The kernel tells of lost pages once: the refused group is taken away, and a new segment begun."""
    folder = tmp_path / "slot"
    folder.mkdir()
    failures = [False, True, False]

    def sync(descriptor: int) -> None:
        if failures.pop(0):
            raise OSError(errno.EIO, "the disk says no")
        os.fdatasync(descriptor)

    store = SpillStore(folder, SegmentWriter(folder, 1024**2, sync), Quarantine(folder, 0))
    store.load()
    store.add([MIXED[0]])
    with pytest.raises(OSError, match="the disk says no"):
        store.add([MIXED[1]])
    store.add([MIXED[2]])
    assert [path.stat().st_size for path in sorted(folder.glob("*.spill"))] == [
        record_bytes_of(MIXED[0]),
        record_bytes_of(MIXED[2]),
    ]
    assert replayed(store) == [MIXED[0], MIXED[2]]


def test_the_quarantine_is_bounded(tmp_path: Path) -> None:
    """What does not fit any more is counted all the same."""
    folder = tmp_path / "slot"
    (segment,) = written(folder, MIXED)
    content = bytearray(segment.read_bytes())
    content[0] ^= 1
    content[-1] ^= 1
    segment.write_bytes(content)
    store = store_of(folder, quarantine_bytes=record_bytes_of(MIXED[0]))
    assert replayed(store) == MIXED[1:3]
    assert store.damaged == 2
    assert len(list((folder / "quarantine").iterdir())) == 1


def test_a_file_that_somebody_deleted_takes_no_more(tmp_path: Path) -> None:
    """A sync of it succeeds, but nobody will find it again."""
    folder = tmp_path / "slot"
    folder.mkdir()
    store = store_of(folder)
    store.add([MIXED[0]])
    (folder / str(segments_in(folder)[0])).unlink()
    with pytest.raises(OSError, match="deleted"):
        store.add([MIXED[1]])
    store.add([MIXED[2]])
    assert replayed(store) == [MIXED[2]]
    assert store.damaged == 1


def test_records_of_earlier_versions_are_read(tmp_path: Path) -> None:
    """Those bytes were written before there were tails; what has none is written the same today."""
    salt = bytes(range(16))
    batch = Batch.of(Signal.METRICS, b"body", item_count=5, received_unix_nano=6)
    record = bytes.fromhex(EARLIER_RECORD)
    assert RecordForm(salt).head_of(batch) + batch.body + RecordForm(salt).tail_of(batch) == record
    path = tmp_path / "segment"
    path.write_bytes(record)
    with path.open("rb") as file:
        found = SegmentReader(file.fileno(), salt).find(0, len(record))
    assert found == Found(0, len(record), batch)


def test_the_tail_of_another_batch_is_no_tail() -> None:
    """A damaged file may put an intact tail behind an intact body that came another way."""
    form = RecordForm(bytes(16))
    ours, other = (
        Batch.of(Signal.LOGS, body, item_count=1, received_unix_nano=3, forwarded_by=(trail,))
        for body, trail in ((b"ours", "0123456789abcdef"), (b"other", "fedcba9876543210"))
    )
    head = form.read_head(form.head_of(ours))
    assert head is not None
    assert form.batch_of(head, ours.body + form.tail_of(ours)) == ours
    assert form.batch_of(head, ours.body + form.tail_of(other)) == replace(ours, forwarded_by=())


def test_bytes_that_are_missing_from_a_tail_cost_no_other_record(tmp_path: Path) -> None:
    """The next record begins earlier then; both arrive, the first without its tail."""
    first, second = (
        Batch.of(Signal.LOGS, body, item_count=1, received_unix_nano=3, forwarded_by=("0123456789abcdef",))
        for body in (b"first", b"second")
    )
    (segment,) = written(tmp_path / "slot", [first, second])
    content = segment.read_bytes()
    end = record_bytes_of(first)
    for missing in range(1, end - HEAD_BYTES - len(first.body) + 1):
        segment.write_bytes(content[: end - missing] + content[end:])
        assert [found.batch for found in found_in(segment, os.pread)] == [replace(first, forwarded_by=()), second]
