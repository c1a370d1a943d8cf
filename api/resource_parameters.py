"""What may be asked about resources in a URL; see `api/parameters.py`."""

from __future__ import annotations

from typing import Final

from pydantic import Field

from api.paging import PageParameters
from api.parameters import Duration, End, Service, Time
from query import ResourceFilter, ResourceGrouping

_LABEL: Final = 1_024


class ResourcesParameters(PageParameters, extra="forbid"):
    """The parameters of `/api/v1/resources`."""

    service: str | None = Field(
        None,
        max_length=_LABEL,
        description="Only what belongs to this service (`service.name`), and beside it its `traffic`.",
        examples=["churn-classifier"],
    )
    environment: str | None = Field(
        None,
        max_length=_LABEL,
        description="Only what belongs to instances of this environment (`deployment.environment.name`).",
        examples=["production"],
    )
    window: Duration = Field(
        "5m",
        validate_default=True,
        description="How far back from `end` to look: `30s`, `5m`, `24h` or seconds. `start` takes its place.",
    )
    start: Time | None = Field(
        None,
        description="Start of the range, moved down to a multiple of the step. Without it, `window` before `end`.",
        examples=["2026-11-22T09:00:00Z", "1795338000"],
    )
    end: End = None
    step: Duration | None = Field(
        None,
        description="Width of a step. Without it, the range is cut into at most 60 round steps. It is widened to a "
        "multiple of the buckets that the history has of that time.",
        examples=["1m"],
    )
    group_by: ResourceGrouping = Field(
        "resource",
        examples=["service", "image"],
        description="What `groups` add up: `service`, `image`, `compose_project` or `host`.",
    )

    def start_s(self, end_s: int) -> int:
        """Return the start of the range that ends at `end_s`."""
        if self.start is not None:
            return self.start
        return max(end_s - self.window, 0)

    def resource_filter(self) -> ResourceFilter:
        """Return the filter that these parameters describe."""
        return ResourceFilter(self.service, self.environment)


class InstancesParameters(PageParameters, extra="forbid"):
    """The parameters of `/api/v1/instances`."""

    service: Service = None
    window: Duration = Field(
        "1h",
        validate_default=True,
        description="How far back from now an instance may have been heard of last.",
    )
