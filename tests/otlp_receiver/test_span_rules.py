"""Which spans are invalid by themselves, and that the others of their request are kept as they were."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from otlp_receiver.inspection import Inspection
from otlp_receiver.signals import TRACES
from tests.support.otlp import merged_request, resource, server_span, server_spans, trace_request
from tests.support.wire import field

INSPECTION = Inspection(TRACES)

TRACE_ID, SPAN_ID = bytes(range(16)), bytes(range(8))
BAD_TRACE_IDS = [b"", bytes(16), TRACE_ID[:15], TRACE_ID + b"x", SPAN_ID]
BAD_SPAN_IDS = [b"", bytes(8), SPAN_ID[:7], SPAN_ID + b"x", TRACE_ID]
IDS = st.tuples(st.sampled_from([TRACE_ID, *BAD_TRACE_IDS]), st.sampled_from([SPAN_ID, *BAD_SPAN_IDS]))


def is_valid(span: Span) -> bool:
    """The rule, plainly."""
    return len(span.trace_id) == 16 and any(span.trace_id) and len(span.span_id) == 8 and any(span.span_id)


def spans_of(body: bytes) -> list[Span]:
    request = ExportTraceServiceRequest.FromString(body)
    return [span for of in request.resource_spans for scope in of.scope_spans for span in scope.spans]


@pytest.mark.parametrize(
    ("trace_id", "span_id", "reason"),
    [(bad, SPAN_ID, "trace_id") for bad in BAD_TRACE_IDS] + [(TRACE_ID, bad, "span_id") for bad in BAD_SPAN_IDS],
)
def test_a_span_with_an_invalid_id_is_taken_out(trace_id: bytes, span_id: bytes, reason: str) -> None:
    """An id that is empty, all zeros or of another length makes its span invalid; the neighbours stay, in order."""
    bad = server_span(trace_id=trace_id, span_id=span_id)
    good = server_spans(3)
    sifted, kept = INSPECTION.sift(trace_request([good[0], bad, good[1], bad, good[2]]).SerializeToString())
    assert (sifted.good, list(sifted.bad.values())) == (3, [2])
    assert reason in next(iter(sifted.bad))
    assert spans_of(kept) == good


def test_what_is_not_a_matter_of_ids_is_valid() -> None:
    """No name, no times, an end before the start, attributes twice over, and no parent are all taken as they come."""
    odd = [
        Span(trace_id=TRACE_ID, span_id=SPAN_ID),
        server_span(name="", duration_ns=-5),
        server_span(parent_span_id=b"odd"),
        Span(trace_id=TRACE_ID, span_id=SPAN_ID, attributes=2 * server_span().attributes[:]),
    ]
    body = trace_request(odd).SerializeToString()
    assert INSPECTION.count_valid(body) == 4
    assert INSPECTION.sift(body)[1] is body


@settings(max_examples=200)
@given(st.lists(st.lists(st.lists(IDS, max_size=6), max_size=3), max_size=3))
def test_good_and_bad_are_told_apart_exactly(resources: list[list[list[tuple[bytes, bytes]]]]) -> None:
    """However they are spread over resources and scopes: the counts are exact and what is kept are the good ones."""
    request = ExportTraceServiceRequest()
    for at, scopes in enumerate(resources):
        of = request.resource_spans.add(resource=resource(f"service-{at}"))
        for ids in scopes:
            spans = [server_span(index=n, trace_id=ids[n][0], span_id=ids[n][1]) for n in range(len(ids))]
            of.scope_spans.add(spans=spans)
    body = request.SerializeToString()
    spans = spans_of(body)
    good = [span for span in spans if is_valid(span)]
    sifted, kept = INSPECTION.sift(body)
    assert (sifted.good, sifted.bad.total()) == (len(good), len(spans) - len(good))
    assert spans_of(kept) == good
    assert INSPECTION.count_valid(body) == (len(good) if len(good) == len(spans) else None)


FIELDS = st.sampled_from(
    [field(1, TRACE_ID), field(2, SPAN_ID), field(1, b""), field(2, bytes(8)), field(1, SPAN_ID), field(5, b"name")]
)


@settings(max_examples=300)
@given(st.lists(st.lists(FIELDS, max_size=5), max_size=5))
def test_fields_in_another_order_or_repeated_count_as_protobuf_reads_them(spans: list[list[bytes]]) -> None:
    """The last id of a span is the one that counts, and it may stand anywhere among the fields."""
    body = field(1, field(2, b"".join(field(2, b"".join(fields)) for fields in spans)))
    read = spans_of(body)
    good = [span for span in read if is_valid(span)]
    sifted, kept = INSPECTION.sift(body)
    assert (sifted.good, sifted.bad.total()) == (len(good), len(read) - len(good))
    assert spans_of(kept) == good
    assert INSPECTION.count_valid(body) in (None, len(read))


def test_unknown_fields_of_what_is_kept_stay() -> None:
    """A request that has to be written anew keeps what its spans, scopes and resources hold of newer schemas."""
    new = field(999, b"new")
    span = server_span().SerializeToString() + new
    body = field(1, field(2, field(2, span) + field(2, b"") + new) + new) + new
    sifted, kept = INSPECTION.sift(body)
    assert (sifted.good, sifted.bad.total()) == (1, 1)
    assert kept.count(new) == 4
    assert spans_of(kept) == spans_of(field(1, field(2, field(2, span))))


def test_resources_and_scopes_of_what_is_kept_stay() -> None:
    """Only spans are taken out; what they belong to is the same afterwards."""
    good, bad = server_span(), server_span(trace_id=b"")
    groups = [(resource("one"), [bad, good]), (resource("two"), [bad]), (resource("three"), [good])]
    expected = merged_request((of, [span for span in spans if span is good]) for of, spans in groups)
    _, kept = INSPECTION.sift(merged_request(groups).SerializeToString())
    assert ExportTraceServiceRequest.FromString(kept) == expected
