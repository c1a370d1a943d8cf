"""Where pages and API listen, and how long they wait.

Part of the settings tree in `modelwatch/`; read by `api/component.py` and `api/web_server.py`.
"""

from __future__ import annotations

from pydantic import BaseModel, Field


class ApiSettings(BaseModel, frozen=True, extra="forbid"):
    """The web server of pages and API."""

    host: str = Field("127.0.0.1", min_length=1, description="Address that pages and API listen on.")
    port: int = Field(8050, ge=0, le=65_535, description="Port of pages and API; 0 takes any free one.")
    allow_unauthenticated: bool = Field(
        False,
        description="Listen on an address other than loopback although there is neither user nor token. "
        "Only where something in front checks who comes in.",
    )
    check_timeout_s: float = Field(2.0, gt=0, le=60, description="Seconds that one readiness check may take.")
    shutdown_s: int = Field(
        3, ge=1, le=60, description="Seconds that open requests and connections are given when the server stops."
    )
    metrics_max_groups: int = Field(
        500,
        ge=0,
        le=10_000,
        description="The most groups (service, version, environment and route) whose durations are at `/metrics`, the "
        "smallest beyond it added up into one named otel.metric.overflow; 0 leaves them all out.",
    )
    metrics_timeout_s: float = Field(
        5.0, gt=0, le=60, description="Seconds that a part of `/metrics` may take before it is left out, which is said."
    )
    live_max_connections: int = Field(
        100, ge=0, le=10_000, description="The most WebSockets at `/api/v1/live` at once; further ones are refused."
    )
    live_max_subscriptions: int = Field(20, ge=1, le=1_000, description="The most subscriptions of one of them.")
