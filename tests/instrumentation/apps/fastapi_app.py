"""A FastAPI application with every kind of answer that a model API gives."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator

from fastapi import APIRouter, BackgroundTasks, FastAPI, HTTPException, WebSocket
from fastapi.responses import StreamingResponse
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.types import Receive, Scope, Send

STREAM_CHUNKS = 4
STREAM_PAUSE_S = 0.05
TASK_S = 0.5


class ModelError(Exception):
    """What a model raises that nobody expected."""


app = FastAPI()
included = APIRouter()
mounted = FastAPI()


@app.get("/items/{item_id}")
async def item(item_id: int) -> dict[str, int]:
    return {"item_id": item_id}


@app.get("/pid")
async def pid() -> PlainTextResponse:
    return PlainTextResponse(str(os.getpid()))


@app.get("/threaded")
def threaded() -> str:
    return "run in a worker thread"


@app.get("/teapot")
async def teapot() -> None:
    raise HTTPException(418)


@app.get("/unavailable")
async def unavailable() -> None:
    raise HTTPException(503)


@app.get("/broken/{item_id}")
async def broken(item_id: int) -> None:
    raise ModelError("no such feature")


async def _chunks(*, is_broken: bool) -> AsyncIterator[bytes]:
    for index in range(STREAM_CHUNKS):
        yield f"{index}\n".encode()
        await asyncio.sleep(STREAM_PAUSE_S)
    if is_broken:
        raise ModelError("lost the thread")


@app.get("/stream")
async def stream() -> StreamingResponse:
    return StreamingResponse(_chunks(is_broken=False))


@app.get("/stream/broken")
async def broken_stream() -> StreamingResponse:
    return StreamingResponse(_chunks(is_broken=True))


@app.get("/background")
async def background(tasks: BackgroundTasks) -> str:
    tasks.add_task(asyncio.sleep, TASK_S)
    return "answered before the task is done"


@app.websocket("/socket/{room}")
async def socket(websocket: WebSocket, room: str) -> None:
    await websocket.accept()
    await websocket.send_text(await websocket.receive_text())
    await websocket.close()


@included.post("/predict/{model}")
async def predict(model: str) -> str:
    return model


@mounted.get("/items/{item_id}")
async def mounted_item(item_id: int) -> int:
    return item_id


@mounted.get("/broken")
async def mounted_broken() -> None:
    raise ModelError("in the mounted application")


async def leaf(_: Request) -> Response:
    return PlainTextResponse("leaf")


async def asgi_leaf(scope: Scope, receive: Receive, send: Send) -> None:
    await PlainTextResponse("asgi leaf")(scope, receive, send)


app.include_router(included, prefix="/v1")
app.include_router(included, prefix="/v2")
app.mount("/mounted", mounted)
app.mount("/tenants/{tenant}", mounted)
app.mount("/asgi", asgi_leaf)
app.router.routes.append(Mount("/deep", routes=[Mount("/deeper", routes=[Route("/leaf/{name}", leaf)])]))
