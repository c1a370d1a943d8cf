"""Which spans are kept for traces, how many, and what of them.

Part of `ProcessorSettings`; `docs/traces.md` tells how they are chosen.
"""

from __future__ import annotations

from pydantic import BaseModel, Field


class TraceSettings(BaseModel, frozen=True, extra="forbid"):
    """The budget of one processor, and what must not be kept."""

    is_enabled: bool = Field(True, description="Keep spans, so that single requests can be looked at.")
    max_spans_per_s: float = Field(
        100,
        gt=0,
        le=100_000,
        description="Spans per second that one processor keeps, on average over ten seconds. While there are fewer, "
        "every one is kept; of more, all of a half, a quarter, an eighth... of the traces.",
    )
    max_bytes_per_s: int = Field(
        131_072, ge=1_024, description="Bytes per second of their attributes and events, compressed, likewise."
    )
    max_errors_per_route: int = Field(
        20, ge=0, le=10_000, description="Errors of one service and route that are kept in ten seconds in any case."
    )
    max_slow_per_route: int = Field(
        5,
        ge=0,
        le=10_000,
        description="Requests of one service and route that are kept in ten seconds in any case, each slower than "
        "those before.",
    )
    keep_attributes: bool = Field(
        True, description="Keep attributes, events and status messages. Without, only names, times and outcomes."
    )
    denied_attributes: tuple[str, ...] = Field(
        (
            *("authorization", "cookie", "password", "passwd", "pwd", "secret", "secrets", "token", "api_key"),
            *("apikey", "private_key", "access_key", "credential", "credentials", "session_id", "sessionid"),
            *("csrf", "xsrf", "jwt", "bearer", "signature", "url.query"),
        ),
        description="Attributes that are never kept: those whose key has these words, one after the other, whatever "
        "stands between them (`api_key` is in `http.request.header.x-api-key` and in `userApiKey`).",
    )
    max_attribute_chars: int = Field(
        1_024,
        ge=16,
        le=65_536,
        description="Texts of attributes are cut to this many characters; stack traces to 8192.",
    )
    max_span_bytes: int = Field(
        16_384,
        ge=256,
        le=262_144,
        description="Most bytes of one span's attributes and events; the largest go first, and are counted as dropped.",
    )
