"""A span that is kept as it was, beside the figures that it counts in: what traces are made of.

The processor chooses which spans are kept, storage keeps them, query finds them again.
"""

from __future__ import annotations

import zlib
from enum import StrEnum
from typing import Final, NamedTuple

NS_PER_S: Final = 1_000_000_000
_ZLIB_FORM: Final = b"\x01"
_MAX_DETAIL_BYTES: Final = 1 << 20


class KeptAs(StrEnum):
    """Why a span was kept, in the order in which the budget is spent.

    BESIDE is a span of a trace of which another was kept for an error or its slowness. SAMPLE is one of a trace that
    was chosen by its id, out of few or of all.
    """

    ERROR = "error"
    SLOW = "slow"
    BESIDE = "beside"
    SAMPLE = "sample"


class KeptSpan(NamedTuple):
    """The fields are those of the table that keeps them. Texts that a span lacks are empty.

    `start_s` is the second in which it *ended*, which is where RED figures count it. `detail` is what `pack_detail`
    made of an OTLP `Span` that has only what is not a field here: attributes, events, links, status.
    """

    start_s: int
    end_ns: int
    trace_id: bytes
    span_id: bytes
    parent_span_id: bytes
    duration_ns: int
    service_name: str
    service_version: str
    service_instance_id: str
    deployment_environment: str
    model_name: str
    model_version: str
    span_kind: str
    name: str
    http_method: str
    http_route: str
    peer: str
    operation: str
    http_status_code: int
    """0 if there was none."""
    is_error: int
    """1 or 0, by the rule that errors are counted by."""
    kept_as: str
    detail: bytes


def pack_detail(span: bytes) -> bytes:
    """Return the bytes of an OTLP `Span` as they are kept."""
    return _ZLIB_FORM + zlib.compress(span, 1) if span else b""


def unpack_detail(detail: bytes) -> bytes:
    """Return the bytes of an OTLP `Span`; empty if there are none, or they cannot be read."""
    if detail[:1] != _ZLIB_FORM:
        return b""
    try:
        return zlib.decompressobj().decompress(detail[1:], _MAX_DETAIL_BYTES)
    except zlib.error:
        return b""
