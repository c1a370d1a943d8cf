"""A Starlette application with middleware that hands on a copy of the scope, as some middleware does."""

from __future__ import annotations

import os

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send


class CopyingMiddleware:
    """Passes a copy of the scope, so that nothing the router writes there is seen outside."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(dict(scope), receive, send)


async def item(request: Request) -> Response:
    return PlainTextResponse(str(request.path_params["item_id"]))


async def pid(_: Request) -> Response:
    return PlainTextResponse(str(os.getpid()))


async def gone(_: Request) -> Response:
    raise HTTPException(410)


async def broken(_: Request) -> Response:
    raise ValueError("not a number")


async def handled(_: Request) -> Response:
    raise LookupError("answered by a handler of the application")


async def on_lookup_error(_: Request, __: Exception) -> Response:
    return PlainTextResponse("not here", 409)


routes = [
    Route("/items/{item_id:int}", item),
    Route("/pid", pid),
    Route("/gone", gone),
    Route("/broken", broken),
    Route("/handled", handled),
]
app = Starlette(
    routes=[*routes, Mount("/mounted", app=Starlette(routes=routes))],
    middleware=[Middleware(CopyingMiddleware)],
    exception_handlers={LookupError: on_lookup_error},
)
