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
