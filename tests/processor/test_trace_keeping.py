"""Which spans are kept for traces: whole traces, errors and slow ones, within a budget, and nothing secret of them."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from processor.component import build_decoder
from processor.settings import ProcessorSettings
from processor.trace_keeper import TraceKeeper
from processor.trace_sampling import SampleLevel, is_sampled, trace_hashes
from processor.trace_settings import TraceSettings
from telemetry import KeptAs, KeptSpan
from telemetry.kept_span import unpack_detail
from tests.support.doubles import ManualClock
from tests.support.otlp import END_NS, merged_request, resource, span

NS_PER_S = 1_000_000_000
Spans = list[Span]


def request_of(trace: int, *, spans: int = 3, **root: Any) -> Spans:
    """Return a request with steps inside it: a SERVER span and INTERNAL ones."""
    trace_id = random.Random(trace).randbytes(16)
    ids = [random.Random(f"{trace}/{place}").randbytes(8) for place in range(spans)]
    attributes = {"http.route": "/items", "http.request.method": "GET", **root.pop("attributes", {})}
    first = span(
        "GET /items", kind=Span.SPAN_KIND_SERVER, trace_id=trace_id, span_id=ids[0], attributes=attributes, **root
    )
    steps = [span("step", trace_id=trace_id, span_id=one, parent_span_id=ids[0]) for one in ids[1:]]
    return [*steps, first]


@pytest.fixture
def keep() -> Callable[..., list[KeptSpan]]:
    """Decode the spans, each list a batch, and keep what is to be kept of them."""

    def keep(keeper: TraceKeeper, *batches: Spans, service: str = "shop") -> list[KeptSpan]:
        decoder = build_decoder(ProcessorSettings(), keeper)
        bodies = [merged_request([(resource(service), spans)]).SerializeToString() for spans in batches]
        return [one for body in bodies for one in decoder.decode(body, latest_end_ns=END_NS + NS_PER_S).kept]

    return keep


def keeper_of(clock: ManualClock | None = None, **settings: Any) -> TraceKeeper:
    return TraceKeeper(TraceSettings(**settings), 256, clock or ManualClock(1_000))


def detail_of(kept: KeptSpan) -> Span:
    return Span.FromString(unpack_detail(kept.detail))


def test_every_span_is_kept_while_there_are_few(keep: Callable[..., list[KeptSpan]]) -> None:
    """Below the budget all spans have a record: with service, route, status, times and what they belong to."""
    spans = request_of(1, attributes={"http.response.status_code": 200}, duration_ns=5_000)
    kept = {one.span_id: one for one in keep(keeper_of(), spans)}
    assert kept.keys() == {one.span_id for one in spans}
    root = kept[spans[-1].span_id]
    assert (root.service_name, root.http_route, root.http_method, root.http_status_code) == (
        "shop",
        "/items",
        "GET",
        200,
    )
    assert (root.trace_id, root.end_ns, root.duration_ns, root.is_error) == (spans[0].trace_id, END_NS, 5_000, 0)
    step = kept[spans[0].span_id]
    assert (step.parent_span_id, step.service_name, step.span_kind) == (root.span_id, "shop", "INTERNAL")


def test_two_processors_keep_the_same_traces_whole(keep: Callable[..., list[KeptSpan]]) -> None:
    """Spans of the same traces, divided between two processors at random, are kept by both or by neither."""
    requests = [request_of(trace, spans=4) for trace in range(4_000)]
    dealer = random.Random(7)
    shares: tuple[Spans, Spans] = ([], [])
    for one in (one for spans in requests for one in spans):
        shares[dealer.randrange(2)].append(one)
    keepers = [keeper_of(max_slow_per_route=0) for _ in shares]
    kept = [one for keeper, share in zip(keepers, shares, strict=True) for one in keep(keeper, share)]
    assert keepers[0].ratio == keepers[1].ratio < 1
    assert kept
    assert set(Counter(one.trace_id for one in kept).values()) == {4}


@given(ids=st.lists(st.binary(min_size=16, max_size=16), min_size=1, max_size=50), level=st.integers(0, 20))
def test_what_is_kept_of_fewer_is_kept_of_more(ids: list[bytes], level: int) -> None:
    """A trace that is among one in 2**n is among one in 2**(n-1), whatever stands beside it."""
    hashes = trace_hashes(ids)
    assert not (is_sampled(hashes, level + 1) & ~is_sampled(hashes, level)).any()
    assert trace_hashes(ids[:1])[0] == hashes[0]


def test_poor_ids_are_sampled_as_evenly_as_good_ones() -> None:
    """Of ids that count upwards, in either half, one in eight is kept, give or take four standard deviations."""
    for ids in ([n.to_bytes(16, "big") for n in range(80_000)], [n.to_bytes(8, "little") * 2 for n in range(80_000)]):
        assert abs(int(is_sampled(trace_hashes(ids), 3).sum()) - 10_000) < 4 * 94


def test_an_error_is_kept_with_its_trace_however_few_are(keep: Callable[..., list[KeptSpan]]) -> None:
    """Among thousands of which hardly any are kept, the one that failed is, and what was done for it."""
    keeper = keeper_of(max_spans_per_s=20, max_slow_per_route=0)
    failed = request_of(77, attributes={"http.response.status_code": 500})
    kept = keep(keeper, [one for trace in range(100, 3_000) for one in request_of(trace)], failed)
    assert {one.span_id for one in failed} <= {one.span_id for one in kept}
    assert {one.kept_as for one in kept if one.trace_id == failed[0].trace_id} == {KeptAs.ERROR, KeptAs.BESIDE}
    parent = span("POST", kind=Span.SPAN_KIND_CLIENT, trace_id=failed[0].trace_id)
    assert [one.kept_as for one in keep(keeper, [parent])] == [KeptAs.BESIDE]


def test_the_slowest_of_a_route_is_kept(keep: Callable[..., list[KeptSpan]]) -> None:
    """The request that took longest in a group has a record, whatever its trace id."""
    slow = request_of(5, duration_ns=3 * NS_PER_S)
    kept = keep(keeper_of(max_spans_per_s=20), [one for trace in range(100, 3_000) for one in request_of(trace)] + slow)
    assert [one.kept_as for one in kept if one.span_id == slow[-1].span_id] == [KeptAs.SLOW]


def test_a_route_that_always_fails_leaves_room_for_others(keep: Callable[..., list[KeptSpan]]) -> None:
    """Of one route's errors as many are kept as are allowed in ten seconds; then there are more again."""
    clock = ManualClock(1_000)
    keeper = keeper_of(clock, max_errors_per_route=3, max_slow_per_route=0)
    failing = [request_of(trace, spans=1, attributes={"http.response.status_code": 500})[0] for trace in range(20_000)]
    errors = [one for one in keep(keeper, failing[:10_000]) if one.kept_as == KeptAs.ERROR]
    assert len(errors) == 3
    clock.advance(10)
    assert sum(one.kept_as == KeptAs.ERROR for one in keep(keeper, failing[10_000:])) == 3


def test_the_budget_is_kept_to(keep: Callable[..., list[KeptSpan]]) -> None:
    """A flood of spans in one trace and a flood of errors leave no more records than ten seconds of the budget."""
    one_trace = [span(index=n, trace_id=b"t" * 16) for n in range(10_000)]
    errors = [
        span(f"e{n}", kind=Span.SPAN_KIND_SERVER, is_error=True, attributes={"http.route": f"/{n}"})
        for n in range(5_000)
    ]
    for flood in (one_trace, errors):
        assert len(keep(keeper_of(max_spans_per_s=30), flood)) <= 300


def test_the_share_follows_the_rate_and_recovers() -> None:
    """It falls at once when there are too many, and is whole again after a pause."""
    level = SampleLevel(100)
    assert level.note(300, 0) == 0
    assert level.note(30_000, 10**9) > 3
    high = level.level
    assert level.note(1, 6 * 10**9) <= high
    assert level.note(1, 600 * 10**9) == 0


def test_probes_are_not_kept(keep: Callable[..., list[KeptSpan]]) -> None:
    """Neither a route that is left out of the figures, nor what was done for it."""
    assert keep(keeper_of(), request_of(1, attributes={"http.route": "/healthz"})) == []


def test_secrets_are_not_kept(keep: Callable[..., list[KeptSpan]]) -> None:
    """Attributes that are named like secrets are gone on every level, and so are queries and users in addresses."""
    attributes = {
        "http.request.header.authorization": "Bearer 1",
        "http.request.header.x-api-key": "2",
        "userPassword": "3",
        "session": {"token": "4", "kind": "basic"},
        "url.full": "https://me:5@host/items?key=6",
        "url.query": "key=7",
        "gen_ai.usage.input_tokens": 8,
    }
    detail = detail_of(keep(keeper_of(), request_of(1, spans=1, attributes=attributes))[0])
    left = {one.key: one.value for one in detail.attributes}
    assert not left.keys() & {"http.request.header.authorization", "http.request.header.x-api-key", "userPassword"}
    assert "url.query" not in left
    assert left["url.full"].string_value == "https://host/items"
    assert [one.key for one in left["session"].kvlist_value.values] == ["kind"]
    assert left["gen_ai.usage.input_tokens"].int_value == 8


def test_without_attributes_only_names_and_times_are_kept(keep: Callable[..., list[KeptSpan]]) -> None:
    """No attribute, no message; the outcome is there all the same."""
    failed = request_of(1, spans=1, is_error=True, attributes={"user": "a"})[0]
    failed.status.message = "no such user a"
    failed.events.add(name="exception").attributes.add(key="exception.message").value.string_value = "a"
    kept = keep(keeper_of(keep_attributes=False), [failed])[0]
    detail = detail_of(kept)
    assert (kept.is_error, len(detail.attributes), detail.status.message) == (1, 0, "")
    assert [(one.name, len(one.attributes)) for one in detail.events] == [("exception", 0)]


def test_an_endless_span_is_kept_within_bounds(keep: Callable[..., list[KeptSpan]]) -> None:
    """Four megabytes in one attribute, thousands of events and NUL make a record of the size that is allowed."""
    huge = request_of(1, spans=1, attributes={"payload": "x" * 4_000_000, "list": ["y" * 900] * 100, "a\0b": "c\0d"})[0]
    huge.name = "GET\0"
    for number in range(5_000):
        huge.events.add(name=f"event {number}")
    huge.attributes.extend([type(huge.attributes[0])(key=f"k{number}") for number in range(5_000)])
    kept = keep(keeper_of(max_span_bytes=2_000), [huge])[0]
    detail = detail_of(kept)
    assert len(detail.SerializeToString()) <= 2_000
    assert "\0" not in kept.name
    assert detail.dropped_events_count + len(detail.events) == 5_000
    assert detail.dropped_attributes_count + len(detail.attributes) == len(huge.attributes)


def test_nothing_is_kept_when_that_is_turned_off(keep: Callable[..., list[KeptSpan]]) -> None:
    """No record, and the share says so."""
    keeper = keeper_of(is_enabled=False)
    assert keep(keeper, request_of(1)) == []
    assert keeper.ratio == 0


def test_spans_without_proper_ids_are_not_kept(keep: Callable[..., list[KeptSpan]]) -> None:
    """Ids of other lengths, which only a queue may hold, make no record and spoil none."""
    bad = [span("bad", trace_id=b"short", span_id=b"x"), span("bad", trace_id=bytes(16))]
    root = span("root", parent_span_id=bytes(8))
    kept = keep(keeper_of(), [*bad, root, *request_of(1)])
    assert len(kept) == 4
    assert [one.parent_span_id for one in kept if one.name == "root"] == [b""]


def test_a_trace_without_end_leaves_room_for_the_errors_of_others(keep: Callable[..., list[KeptSpan]]) -> None:
    """Thousands of spans beside an error do not use up what is left for errors."""
    keeper = keeper_of(max_spans_per_s=10, max_slow_per_route=0)
    failed = request_of(1, spans=5_000, attributes={"http.response.status_code": 500})
    others = [request_of(trace, spans=1, attributes={"http.response.status_code": 500}) for trace in range(2, 12)]
    keep(keeper, failed)
    assert len([one for one in keep(keeper, *others) if one.kept_as == KeptAs.ERROR]) == 10


def test_a_budget_that_is_changed_counts_from_the_next_batch_on(keep: Callable[..., list[KeptSpan]]) -> None:
    """More is kept, or nothing, without a restart."""
    keeper = keeper_of(max_spans_per_s=1, max_slow_per_route=0)
    requests = [request_of(trace) for trace in range(400)]
    few = keep(keeper, *requests[:200])
    keeper.use(TraceSettings(max_spans_per_s=10_000))
    many = keep(keeper, *requests[200:])
    assert len(few) < 12
    assert len(many) == 600
    keeper.use(TraceSettings(is_enabled=False))
    assert keep(keeper, request_of(401)) == []
