"""What is kept of a span beside its fields: attributes, events, links and status, without secrets and within bounds.

Used by `trace_keeper.py` for the few spans that are kept. What is taken out here never reaches the disk.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

from google.protobuf.message import DecodeError
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from processor import derivation
from processor.trace_settings import TraceSettings
from telemetry import conventions as names
from telemetry.kept_span import pack_detail

_MAX_ATTRIBUTES: Final = 128
_MAX_EVENTS: Final = 32
_MAX_LINKS: Final = 16
_STACK_TRACE: Final = "exception.stacktrace"
_STACK_TRACE_CHARS: Final = 8_192
_ADDRESSES: Final = frozenset({"url.full", "http.url", "http.target", "url.original"})
_WORDS: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+|[^\W\d_a-zA-Z]+")
_USER: Final = re.compile(r"//[^/@?#]*@")
_MAX_KEY_CHARS: Final = 256
_REMEMBERED_KEYS: Final = 10_000


class SpanDetails:
    """Takes out what the settings say. For one thread at a time."""

    def __init__(self, settings: TraceSettings) -> None:
        self._settings = settings
        denied = "|".join(re.escape(_words(key)) for key in settings.denied_attributes if _words(key))
        self._denies = re.compile(f"(?:{denied})").search if denied else None
        self._is_denied: dict[str, bool] = {}

    def parse(self, raw: bytes) -> Any | None:
        """Return the whole span, `None` if it cannot be read."""
        try:
            return Span.FromString(raw)
        except DecodeError:
            return None

    def http_status_code_of(self, span: Any) -> int:
        """Return the HTTP status of a span, 0 if it has none."""
        keys = (names.HTTP_RESPONSE_STATUS_CODE, names.HTTP_STATUS_CODE_OLD)
        found = {one.key: _scalar(one.value) for one in span.attributes if one.key in keys}
        code = derivation.http_status_code_of({key: value for key, value in found.items() if value is not None})
        return code if code is not None and 0 < code < 1_000 else 0

    def of(self, span: Any) -> bytes:
        """Return what is kept of a span, packed; the span is changed."""
        for field in ("trace_id", "span_id", "parent_span_id", "trace_state", "name", "kind"):
            span.ClearField(field)
        span.ClearField("start_time_unix_nano")
        span.ClearField("end_time_unix_nano")
        if self._settings.keep_attributes:
            self._bound(span)
        else:
            _bare(span)
        return pack_detail(span.SerializeToString())

    def _bound(self, span: Any) -> None:
        span.dropped_events_count = _cut(span.events, _MAX_EVENTS, span.dropped_events_count)
        span.dropped_links_count = _cut(span.links, _MAX_LINKS, span.dropped_links_count)
        span.status.message = span.status.message[: self._settings.max_attribute_chars]
        for owner in (span, *span.events, *span.links):
            owner.dropped_attributes_count = _cut(owner.attributes, _MAX_ATTRIBUTES, owner.dropped_attributes_count)
            self._clean(owner.attributes)
        for event in span.events:
            event.name = event.name[:_MAX_KEY_CHARS]
        for link in span.links:
            link.ClearField("trace_state")
        self._shrink(span)

    def _clean(self, attributes: Any) -> None:
        """Take out what is denied, on every level, and cut what is long."""
        kept = [one for one in attributes if len(one.key) <= _MAX_KEY_CHARS and not self._is_secret(one.key)]
        if len(kept) < len(attributes):
            copies = [type(one).FromString(one.SerializeToString()) for one in kept]
            del attributes[:]
            attributes.extend(copies)
        for one in attributes:
            self._clean_value(one.key, one.value)

    def _clean_value(self, key: str, value: Any) -> None:
        most = _STACK_TRACE_CHARS if key == _STACK_TRACE else self._settings.max_attribute_chars
        kind = value.WhichOneof("value")
        if kind == "string_value":
            text = value.string_value
            if key in _ADDRESSES:
                text = _USER.sub("//", text.partition("?")[0])
            value.string_value = text[:most]
        elif kind is not None and value.ByteSize() > 4 * most:
            value.CopyFrom(AnyValue(string_value=f"({value.ByteSize()} bytes, not kept)"))
        elif kind == "kvlist_value":
            self._clean(value.kvlist_value.values)
        elif kind == "array_value":
            for one in value.array_value.values:
                self._clean_value(key, one)

    def _is_secret(self, key: str) -> bool:
        if self._denies is None:
            return False
        found = self._is_denied.get(key)
        if found is None:
            if len(self._is_denied) >= _REMEMBERED_KEYS:
                self._is_denied.clear()
            found = self._is_denied[key] = self._denies(_words(key)) is not None
        return found

    def _shrink(self, span: Any) -> None:
        """Drop the largest parts until the rest fits."""
        if span.ByteSize() <= self._settings.max_span_bytes:
            return
        owners = (("attributes", "attributes"), ("events", "events"), ("links", "links"))
        parts = [
            (one.ByteSize(), field, place) for field, _ in owners for place, one in enumerate(getattr(span, field))
        ]
        beyond, dropped = span.ByteSize() - self._settings.max_span_bytes, set()
        for size, field, place in sorted(parts, reverse=True):
            if beyond <= 0:
                break
            beyond -= size
            dropped.add((field, place))
        for field, place in sorted(dropped, reverse=True):
            del getattr(span, field)[place]
            count = f"dropped_{field}_count"
            setattr(span, count, min(getattr(span, count) + 1, 2**32 - 1))


def _words(key: str) -> str:
    """Return the words of a key, each between two spaces, so that words are found whole."""
    return "".join(f" {word.lower()} " for word in _WORDS.findall(key))


def _cut(items: Any, most: int, dropped: int) -> int:
    """Shorten a repeated field; return how many were dropped of it in all."""
    beyond = max(len(items) - most, 0)
    del items[most:]
    return min(dropped + beyond, 2**32 - 1)


def _bare(span: Any) -> None:
    del span.attributes[:]
    del span.links[:]
    del span.events[_MAX_EVENTS:]
    span.status.message = ""
    for event in span.events:
        del event.attributes[:]


def _scalar(value: Any) -> derivation.Scalar | None:
    kind = value.WhichOneof("value")
    kinds: Iterable[str] = ("string_value", "int_value", "double_value", "bool_value")
    return getattr(value, kind) if kind in kinds else None
