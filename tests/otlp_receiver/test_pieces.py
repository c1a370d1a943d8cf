"""Cutting a large request for checking changes neither what is in it nor whether it is valid."""

from __future__ import annotations

from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otlp_receiver.pieces import pieces
from tests.support.otlp import merged_request, resource, server_spans, trace_request

GROUPS = st.lists(st.integers(0, 12), max_size=5)
PIECE_BYTES = st.integers(1, 3000)


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


@given(GROUPS, PIECE_BYTES)
def test_the_pieces_hold_the_same_spans_in_the_same_order(groups: list[int], piece_bytes: int) -> None:
    """Whatever the size of the pieces, parsing them one by one yields each span once, in order."""
    request = request_of(groups)
    cut = [ExportTraceServiceRequest.FromString(piece) for piece in pieces(request.SerializeToString(), piece_bytes)]
    assert [found for piece in cut for found in span_ids(piece)] == span_ids(request)


@settings(max_examples=400)
@given(GROUPS, PIECE_BYTES, st.data())
def test_a_damaged_request_is_valid_in_pieces_only_if_it_is_valid_whole(
    groups: list[int], piece_bytes: int, data: st.DataObject
) -> None:
    """After any bytes were changed, and the end perhaps cut off, both ways of checking agree."""
    body = bytearray(request_of(groups).SerializeToString())
    if body:
        for _ in range(data.draw(st.integers(1, 3))):
            body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
        del body[data.draw(st.integers(0, len(body))) :]
    damaged = bytes(body)
    assert all(map(is_valid, pieces(damaged, piece_bytes))) == is_valid(damaged)


@given(st.binary(max_size=300), PIECE_BYTES)
def test_arbitrary_bytes_are_judged_the_same(body: bytes, piece_bytes: int) -> None:
    """Bytes that never were a request are valid in pieces only if they are valid whole."""
    assert all(map(is_valid, pieces(body, piece_bytes))) == is_valid(body)


def test_one_scope_with_many_spans_is_cut() -> None:
    """Pieces stay near the size asked for although all spans are in a single scope of a single resource."""
    body = trace_request(server_spans(2000)).SerializeToString()
    sizes = [len(piece) for piece in pieces(body, 10_000)]
    assert len(sizes) > 20
    assert max(sizes) < 10_500


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
        assert all(map(is_valid, pieces(body, 500))) == is_valid(body)
        verdicts.add(is_valid(body))
    assert verdicts == {True, False}


def field(number: int, payload: bytes) -> bytes:
    """Return a length-delimited protobuf field."""
    length, encoded = len(payload), b""
    while length > 0x7F:
        encoded += bytes([length & 0x7F | 0x80])
        length >>= 7
    return bytes([number << 3 | 2]) + encoded + bytes([length]) + payload
