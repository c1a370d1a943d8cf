"""The guard: nothing behind it is reached by anybody who is not let in, whatever the path.

An ASGI middleware around pages and API, for HTTP and WebSockets. What is open to everybody is a short list of exact
paths; all else needs a session, a token, or a machine of one's own.
"""

from __future__ import annotations

from typing import Final

import structlog
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from access.answers import problem, way_to_login
from access.client import Client, client_of, is_foreign, is_from_page
from access.door import Door
from access.gatekeeper import Gatekeeper, MisdirectedError
from access.identity import WHY_NOT, Identity, enter
from access.login_page import OPEN_ASSETS
from telemetry import ModelWatchError, RetryableError

log = structlog.get_logger(__name__)

_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_OPEN: Final = frozenset({"/healthz", "/readyz", *OPEN_ASSETS})
_METRICS: Final = "/metrics"
_QUESTIONS: Final = frozenset({"/_dash-update-component"})
"""Where viewers send too: pages ask by POST. Callbacks that change something call `require_editor` themselves."""
_DATA: Final = ("/api/", "/_", "/metrics", "/openapi.json")
_CHALLENGE: Final = {"WWW-Authenticate": 'Bearer realm="ModelWatch"'}
_FOREIGN: Final = "a page of another origin may not do anything here"
_POLICY_VIOLATION: Final = 1008


class Guard:
    """Lets requests through to `app` with `request.state.user`, which is `None` only where everybody may come."""

    def __init__(self, app: ASGIApp, gatekeeper: Gatekeeper, door: Door) -> None:
        self._app = app
        self._gatekeeper = gatekeeper
        self._door = door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        client = client_of(scope, self._gatekeeper.trusted_proxies)
        refusal: Response | None
        identity: Identity | None = None
        try:
            if scope["type"] == "http" and self._door.is_at(scope["path"]):
                refusal = await self._door.answer(Request(scope, receive), client)
            else:
                identity, refusal = await self._identity_or_refusal(scope, headers, client)
        except RetryableError as error:
            refusal = problem(503, str(error), {"Retry-After": str(max(round(error.retry_after_s), 1))})
        except MisdirectedError as error:
            refusal = problem(403, str(error))
        except ModelWatchError as error:
            refusal = problem(400, str(error))
        if refusal is not None:
            await _refuse(refusal, scope, receive, send)
            return
        leave = enter(identity)
        try:
            state = {**scope.get("state", {}), "user": identity}
            await self._app({**scope, "state": state}, receive, send)
        finally:
            leave()

    async def _identity_or_refusal(
        self, scope: Scope, headers: Headers, client: Client
    ) -> tuple[Identity | None, Response | None]:
        path, method = scope["path"], scope.get("method", "GET")
        is_open = path in _OPEN or (path == _METRICS and self._gatekeeper.opens_metrics(headers))
        if scope["type"] == "http" and is_open and method in _SAFE:
            return None, None
        identity = await self._gatekeeper.identify(headers, client)
        if identity is None:
            return None, _not_known(scope, headers)
        return identity, self._objection(scope, headers, client, identity)

    def _objection(self, scope: Scope, headers: Headers, client: Client, identity: Identity) -> Response | None:
        """Return why somebody who is known may not do this, if there is a reason."""
        is_change = scope["type"] == "websocket" or scope["method"] not in _SAFE
        if not is_change:
            return None
        # A browser sends cookies for foreign pages too, and on loopback needs none.
        is_ours = {
            "session": is_from_page(headers, client.host),
            "local": not is_foreign(headers, client.host),
            "token": True,
        }[identity.kind]
        if not is_ours:
            return problem(403, _FOREIGN)
        may_ask = scope["type"] == "websocket" or scope["path"] in _QUESTIONS
        if not may_ask and not identity.is_editor:
            return problem(403, WHY_NOT)
        if not may_ask:
            log.info("change asked for", user=identity.name, method=scope["method"], path=scope["path"])
        return None


def _not_known(scope: Scope, headers: Headers) -> Response:
    is_navigation = scope["type"] == "http" and scope["method"] in ("GET", "HEAD")
    if is_navigation and "text/html" in headers.get("accept", "") and not scope["path"].startswith(_DATA):
        return way_to_login(scope)
    return problem(401, "log in, or send a token: Authorization: Bearer mwt_...", _CHALLENGE)


async def _refuse(refusal: Response, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "http":
        await refusal(scope, receive, send)
        return
    # Before it is accepted, the server answers the handshake with 403.
    await receive()
    await send({"type": "websocket.close", "code": _POLICY_VIOLATION, "reason": ""})
