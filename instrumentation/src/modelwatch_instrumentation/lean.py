"""The SERVER span of a request in the stable HTTP conventions, at half the cost of OpenTelemetry's middleware.

It takes that middleware's place where nothing is asked of it beyond spans: it reads the headers once, writes what it
knows in one go, and watches the response in the same step. `asgi.trace_app` decides; both leave the same spans, but for
what the middleware has wrong: a port within `server.address`, and 200 as the status of a WebSocket.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from opentelemetry import context, propagate, trace
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware, asgi_setter
from opentelemetry.instrumentation.propagators import get_global_response_propagator
from opentelemetry.instrumentation.utils import is_http_instrumentation_enabled
from opentelemetry.propagators.textmap import Getter
from opentelemetry.semconv.attributes.error_attributes import ERROR_TYPE
from opentelemetry.semconv.attributes.http_attributes import HTTP_RESPONSE_STATUS_CODE
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from opentelemetry.util.http import ExcludeList, detect_synthetic_user_agent, sanitize_method

from modelwatch_instrumentation.errors import record_exception
from modelwatch_instrumentation.request import SCOPE_KEY, RequestSpan, Scope

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = dict[str, list[str]]

_logger = logging.getLogger(__name__)

_STATUSES = {"websocket.accept": 101, "websocket.close": 403}
"""What the server answers to the request for a WebSocket, if these come first."""
_STARTS = frozenset({"http.response.start", "websocket.http.response.start", *_STATUSES})
_WELL_KNOWN = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY"})
_INTERNAL_SERVER_ERROR = 500
_MAX_CHARS = 4096
"""Of what a client writes: a scanner's longest URLs must not fill the memory while spans wait for the collector."""
_NO_AUTHORITY = re.compile(r"[/?#]")
"""Within a Host header it would make a probe's URL of any request's."""


class LeanTracing:
    """Traces the requests of one application.

    `app` is OpenTelemetry's middleware although it is never called: FastAPI looks for it there, and keeps its own spans
    back when it finds it.
    """

    def __init__(self, app: App, standard: OpenTelemetryMiddleware, excluded_urls: ExcludeList) -> None:
        self.app = standard
        self._traced = app
        self._tracer = standard.tracer
        self._excluded_urls = excluded_urls

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket") or not is_http_instrumentation_enabled():
            return await self._traced(scope, receive, send)
        if (started := self._start(scope)) is None:
            return await self._traced(scope, receive, send)
        span, token = started
        request = scope[SCOPE_KEY] = RequestSpan(span, scope)
        response = Response(request, send) if span.is_recording() else None
        try:
            await self._traced(scope, receive, response.send if response else send)
        except BaseException as error:
            if response is not None:
                response.fail(error, is_http=scope["type"] == "http")
            raise
        else:
            if response is not None:
                response.finish(is_http=scope["type"] == "http")
        finally:
            context.detach(token)
            if span.is_recording():
                span.end()

    def _start(self, scope: Scope) -> tuple[Span, Any] | None:
        """Start the span; None for an excluded URL, and for a request that is understood by the application at best."""
        try:
            headers = _headers(scope)
            if self._excluded_urls.url_disabled(_url(scope, headers)):
                return None
            return self._start_span(scope, headers)
        except Exception:
            _logger.debug("a request is not traced", exc_info=True)
            return None

    def _start_span(self, scope: Scope, headers: Headers) -> tuple[Span, Any]:
        """Start the span, as a child of the caller's, or of what this process is doing already."""
        is_outermost = trace.get_current_span() is trace.INVALID_SPAN
        parent = propagate.extract(headers, getter=_GETTER) if is_outermost else context.get_current()
        method = _method(scope)
        span = self._tracer.start_span(
            "WS" if scope["type"] == "websocket" else "HTTP" if method == "_OTHER" else method,
            context=parent,
            kind=SpanKind.SERVER if is_outermost else SpanKind.INTERNAL,
            attributes=_attributes(scope, headers, method),
        )
        return span, context.attach(trace.set_span_in_context(span, parent))


class Response:
    """Follows one response: its start completes the span, its last byte ends it."""

    __slots__ = ("_has_body", "_has_trailers", "_request", "_send")

    def __init__(self, request: RequestSpan, send: Send) -> None:
        self._request = request
        self._send = send
        self._has_body = self._has_trailers = False

    async def send(self, message: Message) -> None:
        kind = message["type"]
        if kind == "http.response.body":
            if message.get("more_body"):
                if not self._has_body and message.get("body"):
                    self._has_body = True
                    self._request.record_first_byte()
                return await self._send(message)
            self._request.end_body()
            await self._send(message)
            if not self._has_trailers:
                self._request.span.end()
            return None
        if kind in _STARTS and not self._request.has_started:
            self._start(message)
        await self._send(message)
        if kind == "http.response.trailers" and not message.get("more_trailers"):
            self._request.span.end()
        return None

    def _start(self, message: Message) -> None:
        request = self._request
        request.has_started = True
        self._has_trailers = bool(message.get("trailers"))
        error, request.error = request.error, None
        describe(request, message.get("status") or _STATUSES.get(message["type"]), error)
        if error is not None:
            record_exception(request.span, error)
        if propagator := get_global_response_propagator():  # type: ignore[no-untyped-call]
            propagator.inject(message, context=trace.set_span_in_context(request.span), setter=asgi_setter)

    def fail(self, error: BaseException, *, is_http: bool) -> None:
        """Complete the span of a request whose response was not finished; without a start, the server answers 500.

        A request that is cancelled, as some servers do when its client is gone, has no answer and is no failure.
        """
        request = self._request
        if not request.span.is_recording():
            return
        if isinstance(error, asyncio.CancelledError):
            request.describe()
            return
        describe(request, _INTERNAL_SERVER_ERROR if is_http and not request.has_started else None, error)
        record_exception(request.span, error)

    def finish(self, *, is_http: bool) -> None:
        """Complete the span of a request that was left without a response: the server answers 500 for it, too."""
        if is_http and not self._request.has_started:
            describe(self._request, _INTERNAL_SERVER_ERROR, None)


def describe(request: RequestSpan, status: Any, error: BaseException | None) -> None:
    """Write route, status and error onto the span."""
    try:
        code = int(status)
    except (TypeError, ValueError):
        code = None
    attributes: dict[str, Any] = {} if code is None else {HTTP_RESPONSE_STATUS_CODE: code}
    if error is None and code is not None and code >= _INTERNAL_SERVER_ERROR:
        attributes[ERROR_TYPE] = str(code)
        request.span.set_status(Status(StatusCode.ERROR))
    request.describe(attributes)
    if error is not None:
        request.record_error(error)


def _attributes(scope: Scope, headers: Headers, method: str) -> dict[str, Any]:
    """Return what is known of a request before it is handled, as the stable HTTP conventions name it."""
    server, client = scope.get("server"), scope.get("client")
    attributes = {
        "url.scheme": scope.get("scheme"),
        "url.path": (scope.get("path") or "")[:_MAX_CHARS],
        "http.request.method": method,
        "network.protocol.version": scope.get("http_version"),
    }
    if method == "_OTHER":
        attributes["http.request.method_original"] = scope.get("method", "")[:_MAX_CHARS]
    if server:
        attributes["server.address"], attributes["server.port"] = server[0], server[1]
    if client:
        attributes["client.address"], attributes["client.port"] = client[0], client[1]
    if query := scope.get("query_string"):
        attributes["url.query"] = query[:_MAX_CHARS].decode("utf-8", "replace")
    if agent := headers.get("user-agent"):
        attributes["user_agent.original"] = agent[0][:_MAX_CHARS]
        if synthetic := detect_synthetic_user_agent(agent[0]):
            attributes["user_agent.synthetic.type"] = synthetic
    return {key: value for key, value in attributes.items() if value}


def _method(scope: Scope) -> str:
    method = scope.get("method", "")
    return method if method in _WELL_KNOWN else sanitize_method(method.strip()) if method else ""


def _headers(scope: Scope) -> Headers:
    headers: Headers = {}
    for name, value in scope.get("headers") or ():
        headers.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
    return headers


def _url(scope: Scope, headers: Headers) -> str:
    """Return the URL without its query, as the patterns of excluded URLs expect it."""
    host = headers.get("host")
    if host and not _NO_AUTHORITY.search(host[0]):
        authority = host[0]
    else:
        server = scope.get("server") or ("0.0.0.0", 80)
        authority = f"{server[0]}:{server[1]}"
    return f"{scope.get('scheme', 'http')}://{authority}{scope.get('path', '')}"


class _HeaderGetter(Getter[Mapping[str, list[str]]]):
    def get(self, carrier: Mapping[str, list[str]], key: str) -> list[str] | None:
        return carrier.get(key.lower())

    def keys(self, carrier: Mapping[str, list[str]]) -> list[str]:
        return list(carrier)


_GETTER = _HeaderGetter()
