"""Spans as the bytes of an OTLP request, written directly: what OpenTelemetry's encoder takes 50 µs a span for.

Encoding happens in the application's process and holds its interpreter lock, so its time is latency of requests. Most
of a span's attributes are those of the spans before it, and are encoded once. Field numbers are those of
opentelemetry/proto/trace/v1/trace.proto; the tests compare every kind of span with OpenTelemetry's encoder.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.trace import Link, SpanContext

_MAX_CACHED = 4096
_MAX_CACHED_CHARACTERS = 128
_HAS_IS_REMOTE, _IS_REMOTE = 0x100, 0x200
"""SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK and SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK."""
_fixed64 = struct.Struct("<Q").pack
_fixed32 = struct.Struct("<L").pack
_double = struct.Struct("<d").pack


class UnusualValueError(Exception):
    """An attribute's value is of a type that only OpenTelemetry's own encoder knows."""


class SpanEncoder:
    """Encodes batches of spans; remembers what repeats, within bounds. For one thread at a time."""

    def __init__(self) -> None:
        self._attributes: dict[tuple[str, type, Any], bytes] = {}
        self._envelopes: dict[tuple[int, int], _Envelope] = {}

    def encode(self, spans: Iterable[ReadableSpan]) -> bytes:
        """Return the bytes of an ExportTraceServiceRequest, with spans grouped by their resource and scope."""
        groups: dict[tuple[int, int], tuple[_Envelope, list[bytes]]] = {}
        for span in spans:
            key = (id(span.resource), id(span.instrumentation_scope))
            if key not in groups:
                groups[key] = (self._envelope(key, span), [])
            groups[key][1].append(_field(b"\x12", self._span(span)))
        return b"".join(_field(b"\x0a", envelope.around(encoded)) for envelope, encoded in groups.values())

    def _envelope(self, key: tuple[int, int], span: ReadableSpan) -> _Envelope:
        envelope = self._envelopes.get(key)
        if envelope is None:
            if len(self._envelopes) >= _MAX_CACHED:
                self._envelopes.clear()
            envelope = self._envelopes[key] = _Envelope(span)
        return envelope

    def _span(self, span: ReadableSpan) -> bytes:
        try:
            return self._usual_span(span)
        except UnusualValueError:
            return encode_spans([span]).resource_spans[0].scope_spans[0].spans[0].SerializeToString()

    def _usual_span(self, span: ReadableSpan) -> bytes:
        context, parent, status = span.get_span_context(), span.parent, span.status
        assert context is not None
        parts = [
            *(b"\x0a\x10", context.trace_id.to_bytes(16, "big"), b"\x12\x08", context.span_id.to_bytes(8, "big")),
            _text(b"\x1a", ",".join(f"{key}={value}" for key, value in context.trace_state.items())),
            b"\x22\x08" + parent.span_id.to_bytes(8, "big") if parent else b"",
            _text(b"\x2a", span.name),
            *(b"\x30", _varint(span.kind.value + 1)),
            *(b"\x39", _fixed64(span.start_time or 0), b"\x41", _fixed64(span.end_time or 0)),
            self._pairs(b"\x4a", span.attributes),
            _count(b"\x50", span.dropped_attributes),
        ]
        if events := span.events:
            parts += [_field(b"\x5a", self._event(event)) for event in events]
        parts.append(_count(b"\x60", span.dropped_events))
        if links := span.links:
            parts += [_field(b"\x6a", self._link(link)) for link in links]
        parts.append(_count(b"\x70", span.dropped_links))
        message = _text(b"\x12", status.description or "")
        parts += [_field(b"\x7a", message + _count(b"\x18", status.status_code.value))]
        parts += [b"\x85\x01", _flags(parent)]
        return b"".join(parts)

    def _event(self, event: Event) -> bytes:
        head = b"\x09" + _fixed64(event.timestamp) + _text(b"\x12", event.name)
        return head + self._pairs(b"\x1a", event.attributes) + _count(b"\x20", event.dropped_attributes)

    def _link(self, link: Link) -> bytes:
        of = link.context
        ids = b"\x0a\x10" + of.trace_id.to_bytes(16, "big") + b"\x12\x08" + of.span_id.to_bytes(8, "big")
        dropped = _count(b"\x28", link.dropped_attributes)
        return ids + self._pairs(b"\x22", link.attributes) + dropped + b"\x35" + _flags(of)

    def _pairs(self, tag: bytes, attributes: Mapping[str, Any] | None) -> bytes:
        if not attributes:
            return b""
        cache = self._attributes
        parts: list[bytes] = []
        pairs = attributes.copy() if hasattr(attributes, "copy") else attributes
        for key, value in pairs.items():
            kind = type(value)
            pair = cache.get((key, kind, value)) if kind in _CACHED else None
            if pair is None:
                pair = _pair(key, value)
                if kind in _CACHED and (kind is not str or len(value) <= _MAX_CACHED_CHARACTERS):
                    if len(cache) >= _MAX_CACHED:
                        cache.clear()
                    cache[key, kind, value] = pair
            parts += (tag, pair)
        return b"".join(parts)


class _Envelope:
    """What stands around spans of one resource and one scope; it keeps the two, so that their ids stay theirs."""

    def __init__(self, span: ReadableSpan) -> None:
        self._kept = (span.resource, span.instrumentation_scope)
        (of_resource,) = encode_spans([span]).resource_spans
        (of_scope,) = of_resource.scope_spans
        self._resource = _field(b"\x0a", of_resource.resource.SerializeToString())
        self._resource_schema = _text(b"\x1a", of_resource.schema_url)
        self._scope = _field(b"\x0a", of_scope.scope.SerializeToString())
        self._scope_schema = _text(b"\x1a", of_scope.schema_url)

    def around(self, spans: list[bytes]) -> bytes:
        scope_spans = b"".join((self._scope, *spans, self._scope_schema))
        return self._resource + _field(b"\x12", scope_spans) + self._resource_schema


_CACHED = frozenset({str, int, bool})
"""What repeats: floats hardly ever do. `True` and `1` are equal, so the type is a part of the key."""


def _pair(key: str, value: Any) -> bytes:
    """Return a KeyValue's length and bytes."""
    body = _text(b"\x0a", key) + _field(b"\x12", _any(value))
    return _varint(len(body)) + body


def _any(value: Any) -> bytes:
    kind = type(value)
    if kind is str:
        return _field(b"\x0a", value.encode(errors="replace"))
    if kind is bool:
        return b"\x10\x01" if value else b"\x10\x00"
    if kind is int and -(1 << 63) <= value < 1 << 63:
        return b"\x18" + _varint(value & 0xFFFF_FFFF_FFFF_FFFF)
    if kind is float:
        return b"\x21" + _double(value)
    if kind is tuple or kind is list:
        return _field(b"\x2a", b"".join(_field(b"\x0a", _any(one)) for one in value))
    raise UnusualValueError


def _flags(context: SpanContext | None) -> bytes:
    return _fixed32(_HAS_IS_REMOTE | _IS_REMOTE if context and context.is_remote else _HAS_IS_REMOTE)


def _count(tag: bytes, count: int) -> bytes:
    return tag + _varint(count) if count else b""


def _text(tag: bytes, text: str) -> bytes:
    return _field(tag, text.encode(errors="replace")) if text else b""


def _field(tag: bytes, payload: bytes) -> bytes:
    return tag + _varint(len(payload)) + payload


def _varint(number: int) -> bytes:
    if number < 128:
        return _BYTES[number]
    parts = bytearray()
    while number >= 128:
        parts.append(number & 127 | 128)
        number >>= 7
    parts.append(number)
    return bytes(parts)


_BYTES: Sequence[bytes] = tuple(bytes([number]) for number in range(128))
