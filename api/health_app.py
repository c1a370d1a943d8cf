"""A tiny app with health and metrics, for the roles that do not serve the API.

Run by a `WebServer` on the role's own health port.
"""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from api import health
from telemetry import Counters


def build_health_app(
    counters: Counters, checks: health.Checks, check_timeout_s: float = health.CHECK_TIMEOUT_S
) -> Starlette:
    """Return an app that answers `/healthz`, `/readyz` and `/metrics` for GET and HEAD."""

    async def healthz(request: Request) -> Response:
        return health.liveness()

    async def readyz(request: Request) -> Response:
        return await health.readiness(checks, check_timeout_s)

    async def metrics(request: Request) -> Response:
        return health.metrics(counters)

    return Starlette(routes=[Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", metrics)])
