"""A FastAPI application without telemetry of its own, as every one was before FastAPI had any."""

from __future__ import annotations

import os

from fastapi import FastAPI
from starlette.responses import PlainTextResponse

app = FastAPI(telemetry={"tracing": False, "metrics": False, "logs": False})


@app.get("/pid")
async def pid() -> PlainTextResponse:
    return PlainTextResponse(str(os.getpid()))


@app.get("/items/{item_id}")
async def item(item_id: int) -> int:
    return item_id


@app.get("/broken/{item_id}")
async def broken(item_id: int) -> None:
    raise ValueError("no such feature")
