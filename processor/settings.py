"""The processor's settings: how often it commits, and how much it holds at most.

Read by `processor.component`; `modelwatch/settings.py` joins them with those of the other rooms.
"""

from __future__ import annotations

from pydantic import BaseModel, Field

from processor.trace_settings import TraceSettings


class ProcessorSettings(BaseModel, frozen=True, extra="forbid"):
    """How batches become committed RED points."""

    commit_interval_s: float = Field(
        0.25,
        gt=0,
        le=60,
        description="Longest time in seconds that batches wait for others to share a commit with. What comes after a "
        "pause, or fills a group, does not wait; longer intervals cost freshness and save writes.",
    )
    group_items: int = Field(
        8192, ge=1, description="A group is full, and is committed without waiting, when it holds this many spans."
    )
    group_batches: int = Field(
        64, ge=1, description="A group is also full when it holds this many batches, however small they are."
    )
    max_waiting_bytes: int = Field(
        64 * 2**20,
        ge=1,
        description="Most bytes of batches that wait for their commit; beyond it batches are refused as retryable. "
        "A single larger batch is accepted when nothing else waits.",
    )
    max_waiting_batches: int = Field(
        4096, ge=1, description="Most batches that wait for their commit; beyond it they are refused as retryable."
    )
    max_future_s: float = Field(
        600,
        ge=0,
        le=31_536_000,
        description="Spans that end, and metrics of a time, more than this many seconds ahead of this machine's clock "
        "are set aside as invalid: they are counted, but in no figure.",
    )
    max_late_s: float = Field(
        169_200,
        ge=3600,
        le=31_536_000,
        description="Spans that ended, and metrics of a time, more than this many seconds ago are set aside as late: "
        "they are counted, but in no figure. The default is 47 hours, an hour less than points of the finest "
        "resolution are kept.",
    )
    excluded_routes: tuple[str, ...] = Field(
        (
            *("/health", "/health/*", "/healthz", "/healthcheck", "/livez", "/live", "/liveness"),
            *("/readyz", "/ready", "/readiness", "/startupz", "/startup", "/ping", "/metrics", "/v2/health/*"),
        ),
        description="Routes of SERVER spans that are left out of all RED figures: probes and scrapes. `*` stands for "
        "any characters.",
    )
    max_path_templates: int = Field(
        100,
        ge=0,
        le=10_000,
        description="Most routes that are made up for one service from the paths of spans that name no route; further "
        "ones have no route.",
    )
    max_series: int = Field(
        50_000,
        ge=1,
        description="Most series that one processor keeps apart at a time, over all services; what comes beyond it is "
        "added up in one series per service named otel.metric.overflow, with exact totals.",
    )
    max_late_services: int = Field(
        1_000,
        ge=0,
        le=100_000,
        description="Most services that have such a series of their own although they first came when the limit was "
        "reached, so that no series of theirs is kept apart; further ones are added up together.",
    )
    max_series_per_service: int = Field(5_000, ge=1, description="The same for a single service.")
    series_idle_s: int = Field(
        900, ge=60, description="A series that had no calls for this many seconds makes room for another."
    )
    max_metric_series: int = Field(
        50_000,
        ge=1,
        description="Most series of metrics that one processor keeps apart at a time, over all services. Beyond it "
        "gauges, deltas and their histograms are added up in one series per service and metric; cumulative points "
        "cannot be, and are not kept.",
    )
    max_metric_series_per_service: int = Field(10_000, ge=1, description="The same for a single service.")
    metric_series_idle_s: int = Field(
        3_600, ge=60, description="A series of metrics that had no points for this many seconds makes room for another."
    )
    metric_resource_labels: tuple[str, ...] = Field(
        (
            *("host.name", "container.id", "container.name", "container.image.name", "container.runtime.name"),
            *("container.label.com.docker.compose.project", "container.label.com.docker.compose.service"),
            *("k8s.namespace.name", "k8s.pod.name", "k8s.container.name", "k8s.node.name"),
            *("process.pid", "process.executable.name"),
        ),
        description="Attributes of a resource that become labels of its metrics, beside those of the service. What "
        "tells two reporters of the same metric apart must be among them.",
    )
    text_limit_chars: int = Field(
        256,
        ge=16,
        le=1024,
        description="Names of services, models, routes and the like are cut to this many characters; attributes of "
        "metrics as well, with a digest of what is cut off.",
    )
    attribute_cache_size: int = Field(
        16384, ge=16, description="Most distinct attributes whose meaning is remembered between spans."
    )
    resource_cache_size: int = Field(
        4096, ge=1, description="Most distinct resources (instances of services) that are remembered between batches."
    )
    combination_cache_size: int = Field(
        65536,
        ge=16,
        description="Most distinct combinations of resource, kind, status and attributes whose series is remembered.",
    )
    metric_series_cache_size: int = Field(
        65536, ge=16, description="Most series of metrics that are recognised by the bytes of their attributes."
    )
    progress_interval_s: float = Field(
        2.0,
        gt=0,
        le=60,
        description="Seconds between two notes of how far behind the processor is, by which alerts know what to trust.",
    )
    stop_timeout_s: float = Field(
        4,
        gt=0,
        description="Most seconds that a stop waits for the commit of what is in hand; what is not committed by then "
        "is handed back as retryable.",
    )
    traces: TraceSettings = TraceSettings()
