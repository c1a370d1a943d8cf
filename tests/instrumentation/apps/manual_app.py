"""A FastAPI application whose own code calls OpenTelemetry's instrumentor."""

from __future__ import annotations

from fastapi import FastAPI
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor

app = FastAPI()


@app.get("/items/{item_id}")
async def item(item_id: int) -> int:
    return item_id


FastAPIInstrumentor.instrument_app(app)
