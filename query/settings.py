"""What may be asked at once, how long derived figures are kept, and from when on a service is in trouble.

Read by `query/component.py`; part of the settings tree in `modelwatch/`.
"""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import BaseModel, Field, model_validator

from query.resources.settings import ResourceSettings


class QuerySettings(BaseModel, frozen=True, extra="forbid"):
    """Bounds, caches and thresholds of the questions."""

    settle_s: int = Field(
        2, ge=0, le=60, description="Seconds after which a second's live figures are expected to be complete."
    )
    verify_after_s: int = Field(
        15,
        ge=1,
        le=300,
        description="Seconds after the end of a history bucket when the live figures are compared with it, once. "
        "Senders export every 5 s unless told otherwise; after three times that, hardly anything is still to come.",
    )
    max_range_s: int = Field(
        731 * 86_400,
        ge=60,
        description="The longest time that one question may span, in seconds; two years, as the history keeps hours. "
        "What a question may cost is bounded by its steps and the points that it reads.",
    )
    max_steps: int = Field(2_000, ge=10, description="The most steps that one answer may have.")
    max_groups: int = Field(
        1_000,
        ge=1,
        description="The most services or groups that one answer holds; "
        "the smallest beyond it are added up into one named otel.metric.overflow.",
    )
    max_points: int = Field(
        3_000_000,
        ge=1_000,
        le=10**12,
        description="The most stored points (series times buckets) that one question may read.",
    )
    max_metric_values: int = Field(
        200_000, ge=1_000, description="The most values (groups times steps) that one answer about a metric holds."
    )
    history_cache_s: float = Field(
        1.0, ge=0, le=10, description="Seconds for which an answer from the history is given again without asking anew."
    )
    history_recheck_s: float = Field(
        5.0,
        ge=0,
        description="Seconds after which figures more than a minute old are read from the history again, "
        "so that spans that came late are seen; ten times what the reading took, if that is longer. Until then two "
        "answers about the same time may differ by what came late, each being right for the moment of its reading.",
    )
    cached_cells: int = Field(
        150_000, ge=0, description="Derived figures (one group in one step) kept in memory, about 1 KB each."
    )
    health_window_s: int = Field(60, ge=10, le=3_600, description="Seconds over which a service's health is judged.")
    health_min_calls: int = Field(
        20,
        ge=1,
        le=10**9,
        description="Calls in the health window below which latency is not judged; below 20, one slow call is the P95.",
    )
    health_min_errors: int = Field(
        3,
        ge=1,
        le=10**9,
        description="Errors in the health window below which the error rate is not judged; a model that is seldom "
        "called and always fails is not an unlucky call or two.",
    )
    p95_degraded_s: float = Field(0.5, gt=0, description="P95 in seconds above which a service is degraded.")
    p95_critical_s: float = Field(1.0, gt=0, description="P95 in seconds above which a service is critical.")
    error_rate_degraded: float = Field(
        0.01, gt=0, lt=1, description="Error rate, 0 to 1, above which a service is surely degraded."
    )
    error_rate_critical: float = Field(
        0.05, gt=0, lt=1, description="Error rate, 0 to 1, above which a service is surely critical."
    )

    apdex_target_s: float = Field(
        0.5,
        ge=0.001,
        le=3_600,
        description="Seconds within which an answer satisfies: the T of Apdex; up to four times that it is tolerated.",
    )
    apdex_targets_s: dict[str, Annotated[float, Field(ge=0.001, le=3_600)]] = Field(
        default={},
        description='The same for services of their own, by name, such as {"summarizer": 8}.',
    )

    max_found_traces: int = Field(500, ge=1, le=5_000, description="The most requests that one page of traces lists.")
    max_trace_spans: int = Field(
        2_000, ge=10, le=20_000, description="The most spans of one trace that are read; of more the earliest."
    )
    max_counted_spans: int = Field(
        10_000, ge=1, description="Up to so many kept requests are counted exactly; of more it is said that they are."
    )

    resources: ResourceSettings = ResourceSettings()

    def apdex_target_of(self, service: str | None) -> float:
        """Return the seconds within which an answer of a service satisfies."""
        return self.apdex_targets_s.get(service or "", self.apdex_target_s)

    @model_validator(mode="after")
    def _thresholds_rise(self) -> Self:
        if self.p95_critical_s < self.p95_degraded_s:
            raise ValueError("p95_critical_s must not be below p95_degraded_s")
        if self.error_rate_critical < self.error_rate_degraded:
            raise ValueError("error_rate_critical must not be below error_rate_degraded")
        return self
