"""Exactly one SERVER span around an ASGI application, by OpenTelemetry's middleware or by less.

The hooks into frameworks and servers call `trace_app`. From the outside in: `OncePerRequest`, then `LeanTracing`, or
OpenTelemetry's middleware and `ResponseWatch` where more than spans is asked for, then the application;
`ExceptionWitness` stands within the application's own error handling.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from opentelemetry.instrumentation._semconv import (
    _OpenTelemetrySemanticConventionStability,
    _OpenTelemetryStabilitySignalType,
    _StabilityMode,
)
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware, set_status_code
from opentelemetry.metrics import MeterProvider, NoOpMeterProvider
from opentelemetry.util.http import ExcludeList, get_excluded_urls

from modelwatch_instrumentation.errors import record_exception
from modelwatch_instrumentation.lean import App, LeanTracing, Message, Receive, Send
from modelwatch_instrumentation.request import RequestSpan, Scope, open_request, request_of, span_method

_STARTS = frozenset({"http.response.start", "websocket.accept", "websocket.close", "websocket.http.response.start"})
_INTERNAL_SERVER_ERROR = 500


def trace_app(app: App, excluded_urls: ExcludeList) -> App:
    """Return the application with one SERVER span around each request that is not traced further out already."""
    standard = OpenTelemetryMiddleware(
        ResponseWatch(app),
        excluded_urls=excluded_urls,
        default_span_details=lambda scope: (span_method(scope), {}),
        server_request_hook=open_request,
        exclude_spans=["send", "receive"],
        meter_provider=_meter_provider(),
    )
    return OncePerRequest(
        app, LeanTracing(app, standard, excluded_urls) if _asks_for_spans_alone(standard) else standard
    )


def _asks_for_spans_alone(standard: OpenTelemetryMiddleware) -> bool:
    """Tell whether neither old conventions, nor headers, nor metrics are wanted, which are the middleware's own."""
    captured = standard.http_capture_headers_server_request or standard.http_capture_headers_server_response
    return _convention_mode() is _StabilityMode.HTTP and not captured and _meter_provider() is not None


def trace_served(app: App) -> App:
    """Return what a server is to call in place of an application: traced, unless a hook within traces it already."""
    if isinstance(app, OncePerRequest | OpenTelemetryMiddleware) or _is_starlette(app):
        return app
    return trace_app(app, get_excluded_urls("ASGI"))


def _is_starlette(app: object) -> bool:
    applications = sys.modules.get("starlette.applications")
    return applications is not None and isinstance(app, applications.Starlette)


class OncePerRequest:
    """Lets a request that is traced already pass by the tracing: applications within applications are one request.

    The tracing hangs on `app`: FastAPI finds OpenTelemetry's middleware by following that name through the stack, and
    then keeps its own spans back.
    """

    def __init__(self, app: App, traced: App) -> None:
        self.app = traced
        self._untraced = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = request_of(scope)
        if request is None:
            await self.app(scope, receive, send)
        else:
            request.enter_app(scope)
            await self._untraced(scope, receive, send)


class ResponseWatch:
    """Completes the span when the response starts (the route is known then) and when the application raises."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = request_of(scope)
        if request is None or not request.span.is_recording():
            return await self.app(scope, receive, send)
        has_started = has_body = False

        async def watched_send(message: Message) -> None:
            nonlocal has_started, has_body
            if message["type"] in _STARTS:
                has_started = request.has_started = True
                await _send_start(request, send, message)
                return
            if not has_body and message["type"] == "http.response.body":
                if message.get("more_body") and message.get("body"):
                    request.record_first_byte()
                has_body = bool(message.get("body"))
            if message["type"] == "http.response.body" and not message.get("more_body"):
                request.end_body()
            await send(message)

        try:
            await self.app(scope, receive, watched_send)
        except Exception as error:
            # Of a span that has not ended, OpenTelemetry's middleware records the exception event itself.
            if request.span.is_recording():
                _record_raised(request, error, has_status=has_started or scope["type"] != "http")
            raise


class ExceptionWitness:
    """Sees an exception before the framework's error handling answers for it with a complete response."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self.app(scope, receive, send)
        except Exception as error:
            request = request_of(scope)
            if request is not None:
                request.error = error
            raise


async def _send_start(request: RequestSpan, send: Send, message: Message) -> None:
    """Complete the span, and let the start of the response pass; what it writes for a 5xx is made more exact after."""
    error, request.error = request.error, None
    request.describe()
    if error is not None:
        record_exception(request.span, error)
    await send(message)
    if error is not None:
        request.record_error(error)


def _record_raised(request: RequestSpan, error: Exception, *, has_status: bool) -> None:
    """Complete the span of a request whose response the application did not finish; the server answers 500 for it."""
    request.describe()
    if not has_status:
        set_status_code(request.span, _INTERNAL_SERVER_ERROR, None, _convention_mode())  # type: ignore[no-untyped-call]
    request.record_error(error)


def _convention_mode() -> Any:
    stability = _OpenTelemetrySemanticConventionStability
    return stability._get_opentelemetry_stability_opt_in_mode(_OpenTelemetryStabilitySignalType.HTTP)


def _meter_provider() -> MeterProvider | None:
    """Return None for the global provider, or one that does nothing when no metrics are exported anyway."""
    exporter = os.environ.get("OTEL_METRICS_EXPORTER", "").strip().lower()
    return NoOpMeterProvider() if exporter in ("", "none") else None
