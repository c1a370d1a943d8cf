"""The settings of the demo.

`modelwatch/` fills them from `modelwatch.yaml` and from `MODELWATCH_DEMO__…`.
"""

from __future__ import annotations

from pydantic import BaseModel, Field


class DemoSettings(BaseModel, frozen=True, extra="forbid"):
    """Where the demo's model APIs listen, and how busy they are."""

    first_port: int = Field(
        default=8101, ge=1024, le=65533, description="Port of the demo's first model API; the others take the next two."
    )
    rate_per_s: float = Field(
        default=30.0, gt=0, le=500, description="Requests per second that the demo sends to its three APIs together."
    )
