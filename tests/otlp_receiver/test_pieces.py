"""Taking a large request apart changes neither what is in it nor whether it is valid."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otlp_receiver import pieces
from otlp_receiver.errors import MalformedError, TooLargeError
from otlp_receiver.inspection import Inspection
from otlp_receiver.pieces import Sieve
from otlp_receiver.rules import Sifted
from otlp_receiver.signals import METRICS, TRACES, SignalRoute
from tests.support.otlp import merged_request, resource, server_span, server_spans, trace_request
from tests.support.otlp_metrics import gauge, histogram, histogram_point, metric_request, number_point, total
from tests.support.wire import field

INSPECTIONS = {route.signal: Inspection(route) for route in (TRACES, METRICS)}

POINT_COUNT = 100
POINTS = b"".join(field(1, number_point(index=at).SerializeToString()) for at in range(POINT_COUNT))
CUMULATIVE = b"\x10\2"

GROUPS = st.lists(st.integers(0, 12), max_size=5)
PIECE_BYTES = st.integers(1, 3000)


def sieve_of(route: SignalRoute, piece_bytes: int, seen: Callable[[bytes], object] = len) -> Sieve:
    """Return a sieve with the route's own rules, that lets `seen` see each piece."""

    def inspect(piece: bytes) -> tuple[Sifted, bytes]:
        seen(piece)
        return INSPECTIONS[route.signal].sift(piece)

    return Sieve(route.levels, piece_bytes, inspect)


def request_of(groups: list[int]) -> ExportTraceServiceRequest:
    """Return a request with a resource for each number, which is the number of its spans."""
    return merged_request([(resource(f"service-{at}"), server_spans(count)) for at, count in enumerate(groups)])


def span_ids(request: ExportTraceServiceRequest) -> list[bytes]:
    return [one.span_id for of in request.resource_spans for scope in of.scope_spans for one in scope.spans]


def is_valid(body: bytes) -> bool:
    try:
        ExportTraceServiceRequest.FromString(body)
    except DecodeError:
        return False
    return True


def is_valid_in_pieces(body: bytes, piece_bytes: int) -> bool:
    try:
        sieve_of(TRACES, piece_bytes).kept(body)
    except MalformedError:
        return False
    return True


@given(GROUPS, PIECE_BYTES)
def test_the_pieces_hold_the_same_spans_in_the_same_order(groups: list[int], piece_bytes: int) -> None:
    """Whatever the size of the pieces, parsing them one by one yields each span once, in order."""
    request = request_of(groups)
    seen: list[bytes] = []
    body = request.SerializeToString()
    sieve = sieve_of(TRACES, piece_bytes, seen.append)
    assert sieve.kept(body) is body
    assert sieve.sifted == Sifted(sum(groups))
    assert [one for piece in seen for one in span_ids(ExportTraceServiceRequest.FromString(piece))] == span_ids(request)


@settings(max_examples=400)
@given(GROUPS, PIECE_BYTES, st.data())
def test_a_damaged_request_is_valid_in_pieces_only_if_it_is_valid_whole(
    groups: list[int], piece_bytes: int, data: st.DataObject
) -> None:
    """After any bytes were changed, and the end perhaps cut off, both ways of checking agree with protobuf's own."""
    body = bytearray(request_of(groups).SerializeToString())
    if body:
        for _ in range(data.draw(st.integers(1, 3))):
            body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
        del body[data.draw(st.integers(0, len(body))) :]
    damaged = bytes(body)
    assert is_valid_in_pieces(damaged, piece_bytes) == is_valid_in_pieces(damaged, 10**9) == is_valid(damaged)


@settings(max_examples=400)
@given(st.binary(max_size=300), PIECE_BYTES)
def test_arbitrary_bytes_are_judged_the_same(body: bytes, piece_bytes: int) -> None:
    """Bytes that never were a request are valid in pieces only if they are valid whole."""
    assert is_valid_in_pieces(body, piece_bytes) == is_valid(body)


@pytest.mark.parametrize(
    "unknown",
    [
        pytest.param(b"\xfb\x3e" + field(1, bytes(9)) + b"\x08\x07" + b"\xfc\x3e", id="a group"),
        pytest.param(b"\xfb\x3e\x0b\x0c\xfc\x3e", id="a group in a group"),
        pytest.param(b"\xfb\x3e\x0c\xfc\x3e", id="an end of another group"),
        pytest.param(b"\xfb\x3e\x08", id="a group without an end"),
        pytest.param(b"\xfc\x3e", id="an end without a group"),
        pytest.param(b"\x0b" * 200 + b"\x0c" * 200, id="groups too deep"),
    ],
)
def test_groups_are_followed(unknown: bytes) -> None:
    """Unknown groups, which protobuf once had, are skipped where they are well formed, and malformed where not."""
    spans = trace_request(server_spans(4)).SerializeToString()
    for body in (unknown + spans, spans + unknown):
        assert is_valid_in_pieces(body, 100) == is_valid(body)


@settings(max_examples=200)
@given(st.lists(st.lists(st.booleans(), max_size=12), max_size=4), PIECE_BYTES)
def test_invalid_spans_are_taken_out_of_every_piece(groups: list[list[bool]], piece_bytes: int) -> None:
    """What is kept is the request as it would be without them: resources and scopes hold together what they held."""

    def request(are_kept: Callable[[bool], bool]) -> ExportTraceServiceRequest:
        return merged_request(
            (
                resource(f"service-{at}"),
                [server_span(index=n, span_id=None if ok else b"") for n, ok in enumerate(oks) if are_kept(ok)],
            )
            for at, oks in enumerate(groups)
        )

    sieve = sieve_of(TRACES, piece_bytes)
    kept = sieve.kept(request(lambda _: True).SerializeToString())
    oks = [ok for of in groups for ok in of]
    assert (sieve.sifted.good, sieve.sifted.bad.total()) == (oks.count(True), oks.count(False))
    assert ExportTraceServiceRequest.FromString(kept) == request(bool)


@settings(max_examples=200)
@given(st.lists(st.tuples(st.sampled_from("gst"), st.lists(st.booleans(), max_size=12)), max_size=5), PIECE_BYTES)
def test_points_are_judged_by_the_temporality_of_their_metric(
    metrics: list[tuple[str, list[bool]]], piece_bytes: int
) -> None:
    """Points that are cut off from the temporality at the end of their metric are judged as if they stood beside it."""

    def request(are_kept: Callable[[bool], bool]) -> ExportMetricsServiceRequest:
        made = []
        for kind, oks in metrics:
            kept = [ok for ok in oks if are_kept(ok)]
            if kind == "g":
                made.append(gauge(*(number_point(1 if ok else None) for ok in kept)))
            elif kind == "s":
                made.append(total(*(number_point(1.5 if ok else None) for ok in kept)))
            else:
                made.append(histogram(*(histogram_point([1, 1], [0.5] if ok else []) for ok in kept)))
        return metric_request(made)

    sieve = sieve_of(METRICS, piece_bytes)
    kept = sieve.kept(request(lambda _: True).SerializeToString())
    oks = [ok for _, of in metrics for ok in of]
    assert (sieve.sifted.good, sieve.sifted.bad.total()) == (oks.count(True), oks.count(False))
    assert ExportMetricsServiceRequest.FromString(kept) == request(bool)


def test_one_scope_with_many_spans_is_cut() -> None:
    """Pieces stay near the size asked for although all spans are in a single scope of a single resource."""
    sizes: list[int] = []
    body = trace_request(server_spans(2000)).SerializeToString()
    sieve_of(TRACES, 10_000, lambda piece: sizes.append(len(piece))).kept(body)
    assert len(sizes) > 20
    assert max(sizes) < 10_500


def test_one_metric_with_many_points_is_cut() -> None:
    """Pieces stay near the size asked for although all points are of a single metric."""
    sizes: list[int] = []
    body = metric_request([total(*(number_point(index=at) for at in range(3000)))]).SerializeToString()
    sieve_of(METRICS, 10_000, lambda piece: sizes.append(len(piece))).kept(body)
    assert len(sizes) > 5
    assert max(sizes) < 10_500


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param(field(7, POINTS) + field(7, CUMULATIVE), id="the temporality in a part of its own"),
        pytest.param(field(5, POINTS) + field(7, POINTS + CUMULATIVE), id="of two kinds"),
    ],
)
def test_a_large_metric_with_its_data_in_several_parts_is_too_large(parts: bytes) -> None:
    """What such parts merge to cannot be said of a piece of one; small enough to be read whole, they merge."""
    body = field(1, field(2, field(2, parts)))
    with pytest.raises(TooLargeError, match="several parts"):
        sieve_of(METRICS, 500).kept(body)
    whole = sieve_of(METRICS, 10_000)
    assert whole.kept(body) is body
    assert whole.sifted == Sifted(POINT_COUNT)


@pytest.mark.parametrize("broken", [b"\xe8\xfc", b"\x10", b"\x0a\x05calls", b"\x13"])
def test_data_that_breaks_off_is_malformed_in_pieces_too(broken: bytes) -> None:
    """The temporality that is added to each piece completes nothing: not a field's number, its value or its end."""
    body = field(1, field(2, field(2, field(7, POINTS + CUMULATIVE + broken))))
    with pytest.raises(DecodeError):
        ExportMetricsServiceRequest.FromString(body)
    with pytest.raises(MalformedError):
        sieve_of(METRICS, 300).kept(body)


def test_what_only_has_the_number_of_the_temporality_is_none() -> None:
    """An unknown field of another wire type after the temporality does not take its place in any piece."""
    body = field(1, field(2, field(2, field(7, POINTS + CUMULATIVE + field(2, b"unknown")))))
    sieve = sieve_of(METRICS, 100)
    assert sieve.kept(body) is body
    assert sieve.sifted == Sifted(POINT_COUNT)


def test_what_only_has_the_number_of_the_temporality_stays_where_it_is() -> None:
    """A gauge has no temporality: an unknown field of that number is in one piece, and there once."""
    unknown = field(
        1, field(2, field(2, field(5, POINTS + CUMULATIVE + field(1, number_point(None).SerializeToString()))))
    )
    sieve = sieve_of(METRICS, 100)
    kept = sieve.kept(unknown)
    assert sieve.sifted.bad.total() == 1
    assert kept.count(CUMULATIVE) == unknown.count(CUMULATIVE)


def test_pieces_are_nested_as_deep_as_the_request() -> None:
    """An attribute nested too deep for the parser is too deep in its piece too; the deepest that is not is neither."""
    verdicts = set()
    for depth in range(30, 60):
        value = field(1, b"leaf")
        for _ in range(depth):
            value = field(5, field(1, value))  # AnyValue.array_value, ArrayValue.values
        deep_span = field(9, field(1, b"key") + field(2, value))  # Span.attributes
        spans = b"".join(field(2, one.SerializeToString()) for one in server_spans(50))
        body = field(1, field(2, field(2, deep_span) + spans))
        assert is_valid_in_pieces(body, 500) == is_valid(body)
        verdicts.add(is_valid(body))
    assert verdicts == {True, False}


def test_more_parts_than_work_can_be_spent_on_are_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request of countless tiny parts is rejected after as many as real requests can have."""
    monkeypatch.setattr(pieces, "MAX_FIELDS", 1000)
    with pytest.raises(TooLargeError, match="parts"):
        sieve_of(TRACES, 100).kept(b"\x0a\x00" * 2000)
    assert sieve_of(TRACES, 100).kept(b"\x0a\x00" * 900)
