"""How the pages behave: how often they ask, when they call figures old, which address they tell people to export to.

Read by `dash_app/component.py`; part of the settings tree in `modelwatch/`.
"""

from __future__ import annotations

from pydantic import BaseModel, Field


class DashSettings(BaseModel, frozen=True, extra="forbid"):
    """The pages."""

    otlp_endpoint: str = Field(
        "http://127.0.0.1:4317", description="The OTLP/gRPC address that an empty page tells people to export to."
    )
    refresh_interval_s: float = Field(
        1.0,
        ge=0.2,
        le=60,
        description="Seconds between two updates of an open page; ranges over 15 minutes are updated less often.",
    )
    stale_after_s: float = Field(
        30.0, gt=0, description="Seconds without any call at all after which the page says that its data is old."
    )
    answer_timeout_s: float = Field(
        5.0, gt=0, le=60, description="Seconds without an answer after which the page says so and greys its figures."
    )
    is_push_enabled: bool = Field(
        True,
        description="Feed open pages over a WebSocket each; without it, and where none can be had, they ask by HTTP.",
    )
    max_connections: int = Field(
        256, ge=1, le=10_000, description="WebSockets of open pages at once; pages beyond that ask by HTTP."
    )
    max_question_bytes: int = Field(
        65_536, ge=1_024, le=131_072, description="Largest message that an open page may send over its WebSocket."
    )
    max_questions_per_s: float = Field(
        20.0, gt=0, le=1_000, description="Questions a second that one WebSocket may ask; more of them wait their turn."
    )
    recheck_interval_s: float = Field(
        15.0,
        gt=0,
        le=3_600,
        description="Seconds after which a WebSocket that is in use is asked again whether it may be.",
    )
