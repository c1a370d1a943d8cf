"""The application that the instrumentations are compared on: FastAPI with 30 routes, each answering an integer.

WATCHED_BY names what the application's own code sets up; what is set up from outside, by environment, needs nothing.
"""

from __future__ import annotations

import os

from fastapi import FastAPI

ROUTES = 30


def make(telemetry: dict[str, bool] | None = None) -> FastAPI:
    app = FastAPI(telemetry=telemetry)  # type: ignore[arg-type]
    for index in range(ROUTES):

        @app.get(f"/model-{index}/{{item_id}}")
        async def predict(item_id: int) -> int:
            return item_id

    return app


def _prometheus(app: FastAPI) -> None:
    from prometheus_fastapi_instrumentator import Instrumentator

    Instrumentator().instrument(app).expose(app)


def _serve() -> FastAPI:
    by = os.environ.get("WATCHED_BY", "")
    if by == "sentry":
        import sentry_sdk

        sentry_sdk.init(dsn=os.environ["SENTRY_SINK"], traces_sample_rate=1.0)
    app = make()
    if by == "prometheus":
        _prometheus(app)
    return app


app = _serve()
