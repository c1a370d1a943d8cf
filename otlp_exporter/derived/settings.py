"""Which derived metrics a target gets, and in which form; part of its settings."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Literal

from pydantic import BaseModel, Field, field_validator

from telemetry.conventions import HTTP_DURATION_BOUNDS_S

Derived = Literal["http", "spans", "alerts"]


class DerivedSettings(BaseModel, frozen=True, extra="forbid"):
    """The derived metrics of one target."""

    metrics: tuple[Derived, ...] = Field(
        ("spans", "alerts"),
        min_length=1,
        description="`http`: http.server.request.duration; `spans`: traces.span.metrics.*; `alerts`: alert states.",
    )
    temporality: Literal["cumulative", "delta"] = Field("cumulative", description="Of counts and histograms.")
    histogram: Literal["explicit", "exponential"] = Field("explicit", description="The kind of histogram.")
    bounds_s: tuple[float, ...] = Field(
        HTTP_DURATION_BOUNDS_S, min_length=1, max_length=200, description="Bounds of explicit buckets in seconds."
    )
    status_code: Literal["class", "none"] = Field(
        "class",
        description="What `http` has as `http.response.status_code`: the class as text, such as `5xx`, or nothing.",
    )
    interval_s: int = Field(60, ge=5, le=3600, description="Seconds between two exports.")
    max_groups: int = Field(1000, ge=1, le=20_000, description="Series; what is beyond is added up into one.")

    @field_validator("bounds_s")
    @classmethod
    def _rise(cls, bounds_s: tuple[float, ...]) -> tuple[float, ...]:
        if bounds_s[0] <= 0 or not all(map(math.isfinite, bounds_s)) or any(a >= b for a, b in pairwise(bounds_s)):
            raise ValueError("bounds_s must be positive, finite and rise")
        return bounds_s
