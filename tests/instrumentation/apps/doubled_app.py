"""A FastAPI application whose author wraps it in OpenTelemetry's middleware by hand, on top of what instruments it."""

from __future__ import annotations

from fastapi import FastAPI
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware

api = FastAPI()


@api.get("/items/{item_id}")
async def item(item_id: int) -> int:
    return item_id


app = OpenTelemetryMiddleware(api)
