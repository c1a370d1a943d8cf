"""A tiny app with health and figures, for the roles that do not serve the API.

Run by a `WebServer` on the role's own health port.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from api import health
from api.figures import ReadFigures, Scope, figure_families
from telemetry import ProcessReport


def build_health_app(
    read: ReadFigures,
    checks: health.Checks,
    check_timeout_s: float = health.CHECK_TIMEOUT_S,
    *,
    scope: Scope = "process",
    own: Callable[[], Awaitable[ProcessReport]] | None = None,
) -> Starlette:
    """Return an app that answers `/healthz`, `/readyz`, `/metrics` and `/api/v1/pipeline` for GET and HEAD.

    `read` returns the figures of `scope`; it is asked anew for each answer. With `own` the report of the process is at
    `/api/v1/process`, where a dashboard collects it.
    """

    async def healthz(request: Request) -> Response:
        return health.liveness()

    async def readyz(request: Request) -> Response:
        return await health.readiness(checks, check_timeout_s)

    async def metrics(request: Request) -> Response:
        return health.metrics(figure_families(await read()), request.headers.get("accept"))

    async def pipeline(request: Request) -> Response:
        return health.pipeline(await read(), scope)

    async def process(request: Request) -> Response:
        return Response((await own()).to_text() if own else "{}", media_type="application/json")

    endpoints = {"/healthz": healthz, "/readyz": readyz, "/metrics": metrics, "/api/v1/pipeline": pipeline}
    if own is not None:
        endpoints["/api/v1/process"] = process
    return Starlette(routes=[Route(path, endpoint) for path, endpoint in endpoints.items()])
