"""The web application: REST routes, metrics and health, on one FastAPI app that pages are mounted onto afterwards.

Made in `modelwatch/` from a query and the counters; a `WebServer` runs it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.openapi.utils import get_openapi
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute

from alerting.channels.desk import ChannelDesk
from alerting.desk import AlertDesk
from api import health, models, problems
from api.alert_routes import build_alert_router
from api.body_limit import BodyLimit
from api.channel_routes import build_channel_router
from api.exposition.watched import Watched
from api.figures import figure_families
from api.head_requests import HeadRequests
from api.live.socket import add_live
from api.metric_routes import build_metric_router
from api.resource_routes import build_resource_router
from api.routes import build_router
from api.security_schemes import describe_security
from api.setting_routes import build_setting_router
from api.settings import ApiSettings
from api.trace_routes import build_trace_router
from query import MetricQuery, Query, ResourceQuery, TraceQuery
from query.pipeline import PipelineQuery
from telemetry import Counters, NowNs
from tuning.desk import TuningDesk

VERSION: Final = "0.1.0"
_DESCRIPTION: Final = (
    "Request rate, errors and durations of machine-learning model APIs, and their metrics. Times are RFC 3339 in UTC, "
    "durations are seconds and end in `_s`, ratios are 0 to 1; every call is counted exactly once."
)


def build(
    settings: ApiSettings,
    query: Query,
    metrics: MetricQuery,
    resources: ResourceQuery,
    counters: Counters,
    checks: health.Checks,
    now_ns: NowNs = time.time_ns,
    alerts: AlertDesk | None = None,
    channels: ChannelDesk | None = None,
    pipeline: PipelineQuery | None = None,
    traces: TraceQuery | None = None,
    tuning: TuningDesk | None = None,
) -> FastAPI:
    """Return the app. `checks` are what `/readyz` reports by name; pages may be mounted onto the app afterwards.

    Without `alerts` there are no routes of alerts, without `channels` none of where those go,
    without `traces` none of single requests, without `tuning` none of settings.
    """
    app = FastAPI(
        title="ModelWatch",
        version=VERSION,
        description=_DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.add_middleware(BodyLimit)
    app.add_middleware(HeadRequests)
    problems.register(app)
    app.include_router(build_router(query, resources, counters, now_ns, pipeline))
    app.include_router(build_metric_router(metrics, now_ns))
    app.include_router(build_resource_router(resources, now_ns))
    if traces is not None:
        app.include_router(build_trace_router(traces, now_ns))
    if alerts is not None:
        app.include_router(build_alert_router(alerts, now_ns))
    if channels is not None:
        app.include_router(build_channel_router(channels))
    if tuning is not None:
        app.include_router(build_setting_router(tuning))
    _add_health(app, settings, counters, checks, Watched(settings, query, resources, alerts, now_ns))

    add_live(app, settings, counters)

    @app.get("/api", include_in_schema=False)
    @app.get("/api/{path:path}", include_in_schema=False)
    async def unknown(request: Request) -> Response:
        # Pages answer every other path, so that a mistyped API path would be answered with a page.
        return problems.problem(404, f"there is nothing at {request.url.path}; /openapi.json lists what there is")

    _document(app, app.routes, settings.base_path)
    return app


def _add_health(
    app: FastAPI, settings: ApiSettings, counters: Counters, checks: health.Checks, watched: Watched
) -> None:
    tags = ["ModelWatch itself"]

    @app.get("/healthz", response_model=models.Liveness, summary="Is the process alive", tags=list(tags))
    async def healthz() -> Response:
        return health.liveness()

    not_ready: dict[int | str, dict[str, Any]] = {503: {"model": models.Readiness, "description": "A check fails."}}

    @app.get("/readyz", response_model=models.Readiness, responses=not_ready, summary="Is it ready", tags=list(tags))
    async def readyz() -> Response:
        """Asks everything that the process depends on, such as the database."""
        return await health.readiness(checks, settings.check_timeout_s)

    @app.get("/metrics", response_class=PlainTextResponse, summary="Figures for Prometheus", tags=list(tags))
    async def metrics(request: Request) -> Response:
        """The watched services, their resources and alerts, and what this process counted of itself.

        In OpenMetrics 1.0 where `Accept` asks for it, else in Prometheus' text format 0.0.4; see docs/prometheus.md.
        """
        families = [*await watched.families(), *figure_families(counters.figures())]
        return await asyncio.to_thread(health.metrics, families, request.headers.get("accept"))


def _document(app: FastAPI, routes: Iterable[BaseRoute], base_path: str) -> None:
    """Make the OpenAPI document of these routes only, as the pages' own routes are nobody's API."""
    document = get_openapi(title=app.title, version=app.version, description=app.description, routes=list(routes))
    schemas = document["components"]["schemas"]
    template = "#/components/schemas/{model}"
    for name, schema in models.ProblemDetails.model_json_schema(ref_template=template).pop("$defs", {}).items():
        schemas[name] = schema
    problem = models.ProblemDetails.model_json_schema(ref_template=template)
    problem.pop("$defs", None)
    schemas[models.ProblemDetails.__name__] = problem
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    describe_security(document)
    if base_path:
        document["servers"] = [{"url": base_path}]
    app.openapi = lambda: document  # type: ignore[method-assign]
