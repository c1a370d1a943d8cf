"""How soon processes know of a setting that was changed while they run.

Part of the settings tree in `modelwatch/`.
"""

from __future__ import annotations

from pydantic import BaseModel, Field


class TuningSettings(BaseModel, frozen=True, extra="forbid"):
    """Settings that change while ModelWatch runs."""

    refresh_interval_s: float = Field(
        2.0, ge=0.2, le=60, description="Seconds until every process takes up a setting that was changed on the page."
    )
