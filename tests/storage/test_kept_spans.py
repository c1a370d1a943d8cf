"""Kept spans on either database: stored once, found by what they are, deleted by age and by size."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest

from storage.component import build_upkeep
from storage.history import SqlHistory
from storage.ports import AlreadyCommittedError
from storage.trace_ports import Place, SpanFilter
from telemetry import Counters, KeptSpan
from tests.support.doubles import ManualClock

NOW_S = 1_700_000_000
ALL = SpanFilter(NOW_S - 100_000, NOW_S + 1)


def kept_span(number: int = 0, **fields: Any) -> KeptSpan:
    end_ns = fields.pop("end_ns", (NOW_S - number) * 10**9)
    plain = KeptSpan(
        start_s=end_ns // 10**9,
        end_ns=end_ns,
        trace_id=number.to_bytes(16, "big"),
        span_id=number.to_bytes(8, "big"),
        parent_span_id=b"",
        duration_ns=1_000 * number,
        service_name="shop",
        service_version="1",
        service_instance_id="a",
        deployment_environment="prod",
        model_name="",
        model_version="",
        span_kind="SERVER",
        name="GET /items",
        http_method="GET",
        http_route="/items",
        peer="",
        operation="",
        http_status_code=200,
        is_error=0,
        kept_as="sample",
        detail=b"\x01detail",
    )
    return plain._replace(**fields)


async def everything(history: SqlHistory, where: SpanFilter, order: Any = "time", page: int = 7) -> list[KeptSpan]:
    found: list[KeptSpan] = []
    after: Place | None = None
    while True:
        part = await history.find_spans(where, order, page, after)
        found += part.spans
        after = part.after
        if after is None:
            return found


async def test_pages_hold_every_match_once_in_order(history: SqlHistory) -> None:
    """By time or by duration, with any condition, all pages together are what a plain search finds."""
    dice = random.Random(3)
    spans = [
        kept_span(
            number,
            end_ns=(NOW_S - dice.randrange(50)) * 10**9,
            duration_ns=dice.randrange(30),
            service_name=dice.choice(["shop", "bank"]),
            http_route=dice.choice(["/a", "/b"]),
            span_kind=dice.choice(["SERVER", "INTERNAL"]),
            http_status_code=dice.choice([200, 404, 500]),
            is_error=dice.randrange(2),
        )
        for number in range(200)
    ]
    await history.commit([], [], spans=spans)
    wanted = [
        (ALL, lambda one: True),
        (replace(ALL, service_name="shop"), lambda one: one.service_name == "shop"),
        (replace(ALL, is_error=True), lambda one: one.is_error),
        (replace(ALL, is_error=False, http_route="/a"), lambda one: not one.is_error and one.http_route == "/a"),
        (replace(ALL, status_codes=(400, 500)), lambda one: one.http_status_code == 404),
        (replace(ALL, span_kinds=frozenset({"SERVER"})), lambda one: one.span_kind == "SERVER"),
        (replace(ALL, min_duration_ns=10, max_duration_ns=20), lambda one: 10 <= one.duration_ns < 20),
        (replace(ALL, start_s=NOW_S - 20, end_s=NOW_S - 10), lambda one: NOW_S - 20 <= one.start_s < NOW_S - 10),
    ]
    for where, matches in wanted:
        plain = [one._replace(detail=b"") for one in spans if matches(one)]
        by_time = sorted(plain, key=lambda one: one[:4], reverse=True)
        by_duration = sorted(plain, key=lambda one: (one.duration_ns, *one[1:4]), reverse=True)
        assert await everything(history, where) == by_time
        assert await everything(history, where, "duration") == by_duration
        assert await history.count_spans(where, 1_000) == len(plain)


async def test_a_batch_that_comes_again_leaves_one_copy(history: SqlHistory) -> None:
    """Its id is known and nothing is written; and a span that came in two batches is there once."""
    await history.commit([b"1" * 16], [], spans=[kept_span(1), kept_span(1)])
    with pytest.raises(AlreadyCommittedError):
        await history.commit([b"1" * 16], [], spans=[kept_span(1), kept_span(2)])
    await history.commit([b"2" * 16], [], spans=[kept_span(1)])
    assert await everything(history, ALL) == [kept_span(1)._replace(detail=b"")]


async def test_a_trace_is_read_in_the_order_of_its_beginning(history: SqlHistory) -> None:
    """The earliest first, with what is kept of each; of more than may be read their number is told."""
    trace_id = b"t" * 16
    spans = [
        kept_span(number, trace_id=trace_id, end_ns=NOW_S * 10**9 + number, duration_ns=2 * number)
        for number in range(1, 30)
    ]
    await history.commit([], [], spans=[*spans, kept_span(99)])
    found = await history.trace(trace_id, 10)
    assert (list(found.spans), found.kept) == (spans[:-11:-1], 29)
    assert await history.trace(b"?" * 16, 10) == ([], 0)


async def test_hostile_text_is_stored_and_found(history: SqlHistory) -> None:
    """NUL and surrogates in any text neither fail the commit nor hide the span."""
    await history.commit([], [], spans=[kept_span(1, name="a\0b\ud800", service_name="x\0y")])
    (found,) = await everything(history, replace(ALL, service_name="x\0y"))
    assert (found.name, found.service_name) == ("a\ufffdb\ufffd", "x\ufffdy")


async def test_a_search_ends_at_its_bound_and_goes_on_from_there(store: Any) -> None:
    """What hardly anything matches is found in steps, each of which looks at a bounded number of spans."""
    history = store.history(max_found_spans=1_000)
    await history.start()
    spans = [kept_span(number, http_route="/rare" if number == 2_500 else "/common") for number in range(3_000)]
    await history.commit([], [], spans=spans)
    where = replace(ALL, http_route="/rare")
    first = await history.find_spans(where, "time", 50)
    assert (first.spans, first.searched) == ([], 1_000)
    assert first.after is not None
    assert [one.span_id for one in await everything(history, where)] == [spans[2_500].span_id]
    await history.stop()


async def test_old_spans_are_deleted(store: Any) -> None:
    """What is past its age goes, by the row or by the partition, and what is not stays; on either database."""
    clock = ManualClock(NOW_S - 7_200)
    history = store.history(traces_retention_s=3_600, min_free_bytes=0, now_ns=clock)
    await history.start()
    upkeep = build_upkeep(history._settings, history, Counters(), now_ns=clock)
    await upkeep.delete_expired()
    await history.commit([], [], spans=[kept_span(7_000), kept_span(6_990)])
    clock.advance(4_200)
    await upkeep.delete_expired()
    await history.commit([], [], spans=[kept_span(3_100), kept_span(5)])
    clock.advance(3_000)
    await upkeep.delete_expired()
    assert [NOW_S - one.start_s for one in await everything(history, ALL)] == [5, 3_100]
    assert await history.oldest_span_s() == NOW_S - 3_100
    await history.stop()


async def test_the_oldest_spans_go_when_there_are_too_many_bytes(store: Any) -> None:
    """Beyond the bytes that they may take the oldest are deleted before their age; the latest stay."""
    clock = ManualClock(NOW_S)
    history = store.history(max_traces_bytes=2**20, traces_retention_s=3_600, min_free_bytes=0, now_ns=clock)
    await history.start()
    upkeep = build_upkeep(history._settings, history, Counters(), now_ns=clock)
    await upkeep.delete_expired()
    clock.advance(600)
    await upkeep.delete_expired()
    noise = random.Random(1)
    old = [
        kept_span(number, end_ns=(NOW_S + number // 100) * 10**9, detail=noise.randbytes(500))
        for number in range(4_000)
    ]
    new = [kept_span(number, end_ns=(NOW_S + 600) * 10**9 + number) for number in range(5_000, 5_010)]
    await history.commit([], [], spans=[*old, *new])
    await upkeep.delete_expired()
    left = await everything(history, replace(ALL, end_s=NOW_S + 601), page=5_000)
    assert {one.span_id for one in new} <= {one.span_id for one in left}
    assert len(left) < 2_500
    await history.stop()
