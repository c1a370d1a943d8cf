"""Batches, series, RED points and counters."""

from __future__ import annotations

import random
import threading

from telemetry import Batch, Counters, ExponentialHistogram, RedPoint, SeriesKey, Signal, merge_red_points
from telemetry.series import series_id_of


def test_equal_requests_have_equal_ids() -> None:
    """A batch's id depends on signal and body alone, so a retry is recognised whichever way it comes."""
    first = Batch.of(Signal.TRACES, b"body", item_count=1, received_unix_nano=1)
    again = Batch.of(Signal.TRACES, b"body", item_count=1, received_unix_nano=2)
    assert first.batch_id == again.batch_id
    assert len(first.batch_id) == 16
    assert Batch.of(Signal.LOGS, b"body", item_count=1, received_unix_nano=1).batch_id != first.batch_id
    assert Batch.of(Signal.TRACES, b"bodz", item_count=1, received_unix_nano=1).batch_id != first.batch_id


def test_series_ids_do_not_confuse_fields() -> None:
    """Text that moves from one field to the next makes another series with another id."""
    assert series_id_of(SeriesKey("ab", "c")) != series_id_of(SeriesKey("a", "bc"))
    assert series_id_of(SeriesKey("a")) == series_id_of(SeriesKey("a"))
    assert -(2**63) <= series_id_of(SeriesKey("a")) < 2**63


def test_points_add_up_in_any_order() -> None:
    """Merging to wider buckets gives the same sums whatever the order of the points."""
    points = [
        RedPoint(SeriesKey(f"s{i % 3}"), 100 + i, 2, i % 2, ExponentialHistogram.of([i + 1, i + 2])) for i in range(40)
    ]
    in_order = {(p.series, p.start_s): p for p in merge_red_points(points, 10)}
    random.Random(1).shuffle(points)
    shuffled = {(p.series, p.start_s): p for p in merge_red_points(points, 10)}
    assert in_order == shuffled
    assert sum(point.calls for point in shuffled.values()) == 80
    assert all(point.start_s % 10 == 0 for point in shuffled.values())
    assert all(point.durations.count == point.calls for point in shuffled.values())


def test_counters_count_from_many_threads() -> None:
    """No addition is lost when threads add to the same counter at once."""
    counters = Counters()

    def add() -> None:
        for _ in range(1_000):
            counters.add("processor_received_items", 2, signal="traces")

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counters.total("processor_received_items") == 8_000
    assert counters.snapshot() == {("processor_received_items", (("signal", "traces"),)): 8_000}


def test_series_keep_the_ids_that_they_were_stored_under() -> None:
    """The ids are in databases: fields added to the key must not change those of series that do not use them."""
    known = SeriesKey("fraud-model", "1.4.2", "i-1", "production", "fraud", "7", "SERVER", "POST", "/predict", "2xx")
    assert series_id_of(known) == 8723980961057512199
    assert len({series_id_of(known._replace(**{field: "x"})) for field in ("peer", "operation", "overflow")}) == 3
