"""Which spans are invalid by themselves: those whose ids are (`trace.proto`, `Span.trace_id` and `Span.span_id`).

Applied by the inspection of trace requests. Everything else about a span is taken as it comes: an empty name stands
for an unknown one, and an end before the start is for whoever derives durations.
"""

from __future__ import annotations

import re
from typing import Any, Final

from otlp_receiver.rules import Sifted, take_out
from otlp_receiver.schemas import BYTES, Description, described

_SPANS: Final[Description] = {
    "ScopeSpans": ((2, "spans", "Span", "many"),),
    "Span": ((1, "trace_id", BYTES, "one"), (2, "span_id", BYTES, "one")),
}
_SIFTED: Final[Description] = _SPANS | {
    "Request": ((1, "resources", "ResourceSpans", "many"),),
    "ResourceSpans": ((2, "scopes", "ScopeSpans", "many"),),
}
# Resources and scopes merge, so that all spans of a request are in one list.
_COUNTED: Final[Description] = _SPANS | {
    "Request": ((1, "resources", "ResourceSpans", "one"),),
    "ResourceSpans": ((2, "scopes", "ScopeSpans", "one"),),
}

# A span of which nothing but valid ids is left, as protobuf writes it whatever the order it was read in: field 2 of 28
# bytes; in it field 1 of 16 and field 2 of 8, neither of them all zeros.
_VALID_SPAN_BYTES: Final = 30
_VALID_SPANS: Final = rb"(?:\x12\x1c\x0a\x10(?!\0{16}).{16}\x12\x08(?!\0{8}).{8})*+"

_TRACE_ID_FAULT: Final = "their trace_id is not 16 bytes, or all zeros"
_SPAN_ID_FAULT: Final = "their span_id is not 8 bytes, or all zeros"


class SpanRules:
    """`Rules` of traces."""

    def __init__(self) -> None:
        self.sifted_class = described(_SIFTED)
        self._counted_class = described(_COUNTED)
        self._are_valid = re.compile(_VALID_SPANS, re.DOTALL).fullmatch

    def count_valid(self, body: bytes) -> int | None:
        request = self._counted_class.FromString(body)
        request.DiscardUnknownFields()
        ids = request.resources.scopes.SerializeToString()
        return len(ids) // _VALID_SPAN_BYTES if self._are_valid(ids) else None

    def sift(self, request: Any) -> Sifted:
        sifted = Sifted()
        for resource in request.resources:
            for scope in resource.scopes:
                sifted.add(take_out(scope.spans, [_fault(span) for span in scope.spans]))
        return sifted


def _fault(span: Any) -> str | None:
    trace_id, span_id = span.trace_id, span.span_id
    if len(trace_id) != 16 or not any(trace_id):
        return _TRACE_ID_FAULT
    if len(span_id) != 8 or not any(span_id):
        return _SPAN_ID_FAULT
    return None
