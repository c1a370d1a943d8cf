"""When the resources of a service are called short, leaking or idle; `docs/bottlenecks.md` tells how they are judged.

Part of `QuerySettings`.
"""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, Field, model_validator


class ResourceSettings(BaseModel, frozen=True, extra="forbid"):
    """Thresholds of the verdicts on containers and processes, and when nothing is known of one any more."""

    stale_after_s: int = Field(
        60,
        ge=10,
        le=3_600,
        description="Seconds without a measurement after which a container or process counts as stale, or as stopped "
        "where others of its host are still told of. More than what the reporters' interval is.",
    )
    cpu_degraded: float = Field(
        0.9, gt=0, le=1, description="Share of the CPU that may be used, 0 to 1, from which on a service is CPU-bound."
    )
    cpu_critical: float = Field(0.98, gt=0, le=1, description="The same from which on that is critical.")
    throttled_degraded: float = Field(
        0.05, gt=0, le=1, description="Share of the periods of a CPU quota in which it was used up, 0 to 1: throttled."
    )
    throttled_critical: float = Field(0.25, gt=0, le=1, description="The same from which on that is critical.")
    memory_degraded: float = Field(
        0.9, gt=0, le=1, description="Share of the memory limit that is in use, 0 to 1, which is near the limit."
    )
    memory_critical: float = Field(0.97, gt=0, le=1, description="The same from which on that is critical.")
    leak_degraded_s: int = Field(
        86_400,
        ge=60,
        description="Memory that has grown steadily for an hour is leaking if it reaches its limit within this many "
        "seconds at that slope.",
    )
    leak_critical_s: int = Field(3_600, ge=60, description="The same from which on down that is critical.")
    idle_below: float = Field(
        0.05,
        ge=0,
        le=1,
        description="A container with a CPU limit of its own is idle if it used less than this share of it, 0 to 1, in "
        "95 % of the minutes of the last hour.",
    )

    @model_validator(mode="after")
    def _thresholds_rise(self) -> Self:
        for name in ("cpu", "throttled", "memory"):
            if getattr(self, f"{name}_critical") < getattr(self, f"{name}_degraded"):
                raise ValueError(f"{name}_critical must not be below {name}_degraded")
        if self.leak_critical_s > self.leak_degraded_s:
            raise ValueError("leak_critical_s must not be above leak_degraded_s")
        return self
