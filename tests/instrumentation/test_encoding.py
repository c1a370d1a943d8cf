"""Spans encoded by us are the spans that OpenTelemetry's encoder makes of them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from modelwatch_instrumentation import encoding
from modelwatch_instrumentation.encoding import SpanEncoder

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
values = st.one_of(
    texts,
    st.booleans(),
    st.integers(-(1 << 63), (1 << 63) - 1),
    st.floats(allow_nan=False),
    st.lists(texts, max_size=3).map(tuple),
    st.lists(st.integers(-5, 5), max_size=3),
    st.binary(max_size=5),
    st.dictionaries(st.sampled_from("ab"), st.booleans(), max_size=2),
)
attributes = st.dictionaries(st.sampled_from(["a", "b", "url.path", "é"]), values, max_size=4)
contexts = st.builds(
    SpanContext,
    st.integers(1, (1 << 128) - 1),
    st.integers(1, (1 << 64) - 1),
    st.booleans(),
    st.just(TraceFlags(1)),
    st.sampled_from([TraceState(), TraceState([("vendor", "x"), ("other", "y")])]),
)
times = st.integers(0, (1 << 64) - 1)
scopes = [None, InstrumentationScope("a"), InstrumentationScope("b", "1", "https://schema", {"k": 1})]
resources = [Resource({}), Resource({"service.name": "s", "process.pid": 7}, "https://schema")]
spans = st.builds(
    ReadableSpan,
    name=texts,
    context=contexts,
    parent=st.none() | contexts,
    resource=st.sampled_from(resources),
    attributes=attributes,
    events=st.lists(st.builds(Event, texts, attributes, times), max_size=2),
    links=st.lists(st.builds(Link, contexts, attributes), max_size=2),
    kind=st.sampled_from(SpanKind),
    status=st.sampled_from([Status(), Status(StatusCode.OK), Status(StatusCode.ERROR), Status(StatusCode.ERROR, "no")]),
    start_time=times,
    end_time=times,
    instrumentation_scope=st.sampled_from(scopes),
)


def decoded(encoder: SpanEncoder, batch: list[ReadableSpan]) -> list[tuple[Any, ...]]:
    return flat(ExportTraceServiceRequest.FromString(encoder.encode(batch)))


def flat(request: ExportTraceServiceRequest) -> list[tuple[Any, ...]]:
    """Return spans with all that stands around them, whatever the grouping, in an order of their own."""
    return sorted(
        tuple(
            str(one)
            for one in (of_resource.resource, of_resource.schema_url, of_scope.scope, of_scope.schema_url, span)
        )
        for of_resource in request.resource_spans
        for of_scope in of_resource.scope_spans
        for span in of_scope.spans
    )


@given(st.lists(spans, min_size=1, max_size=4))
def test_every_span_is_encoded_as_opentelemetry_does(batch: list[ReadableSpan]) -> None:
    """Also when most of it comes from the cache."""
    encoder = SpanEncoder()
    expected = flat(encode_spans(batch))
    assert decoded(encoder, batch) == expected
    assert decoded(encoder, batch) == expected


def a_span(**attributes: Any) -> ReadableSpan:
    return ReadableSpan("x", SpanContext(1, 2, False), attributes=attributes, resource=resources[0])


def test_equal_values_of_different_types_are_told_apart() -> None:
    """1, True and 1.0 are the same key of a dictionary, and different attributes."""
    batch = [a_span(a=1), a_span(a=True), a_span(a=1.0)]
    assert decoded(SpanEncoder(), batch) == flat(encode_spans(batch))


def test_text_that_has_no_utf8_costs_its_characters_and_not_the_batch() -> None:
    """A lone surrogate, as a broken header may leave it, becomes a question mark."""
    request = ExportTraceServiceRequest.FromString(SpanEncoder().encode([a_span(a="x\ud800"), a_span(a="y")]))
    assert [span.attributes[0].value.string_value for span in request.resource_spans[0].scope_spans[0].spans] == [
        *("x?", "y"),
    ]


@pytest.mark.parametrize("bound", [1, 3])
def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch, bound: int) -> None:
    """However many different values come by, memory does not grow and nothing is mixed up."""
    monkeypatch.setattr(encoding, "_MAX_CACHED", bound)
    encoder = SpanEncoder()
    for number in range(20):
        batch = [a_span(a=number, b=str(number)), a_span(a=number)]
        assert decoded(encoder, batch) == flat(encode_spans(batch))
        assert len(encoder._attributes) <= bound
