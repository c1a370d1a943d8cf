"""One request's span, shared by everything that handles the request through the ASGI scope.

The tracing middleware opens it; routes, mounts and the exception witness tell it what they know; the response
watch writes that onto the span before the span ends.
"""

from __future__ import annotations

import time
from collections.abc import MutableMapping
from typing import Any

from opentelemetry.semconv.attributes.http_attributes import HTTP_ROUTE
from opentelemetry.trace import Span
from opentelemetry.util.http import sanitize_method

from modelwatch_instrumentation.conventions import FIRST_BYTE_S
from modelwatch_instrumentation.errors import mark_failed, record_exception

Scope = MutableMapping[str, Any]

SCOPE_KEY = "modelwatch.request"


class RequestSpan:
    """What is known of a request: its span, the route template so far, and the exception nobody handled."""

    __slots__ = ("_began_s", "_broken_by", "error", "has_started", "is_mounted", "method", "prefix", "route", "span")

    def __init__(self, span: Span, scope: Scope) -> None:
        self.span = span
        self.method = span_method(scope)
        self.prefix = _root_path(scope)
        self.is_mounted = False
        self.route: str | None = None
        self.error: Exception | None = None
        self.has_started = False
        self._broken_by: Exception | None = None
        self._began_s = time.perf_counter()

    def enter_app(self, scope: Scope) -> None:
        """Note that an application takes over; until something is mounted, its root path begins every route."""
        if not self.is_mounted:
            self.prefix = _root_path(scope)

    def select_route(self, template: object) -> None:
        """Note the route that handles the request, as its path template below everything it is mounted on."""
        if isinstance(template, str):
            self.route = self.prefix + template or "/"

    def select_mount(self, template: object, *, has_routes: bool) -> None:
        """Note the mount that the request goes through.

        Its own template begins the routes below it: the scope's `root_path` holds the values, not the names, of the
        mount's parameters. A mount with routes of its own names none: if nothing below matches, nothing matched.
        """
        if not isinstance(template, str):
            return
        self.prefix += template
        self.is_mounted = True
        self.route = None if has_routes else self.prefix + "/{path}"

    def describe(self, attributes: dict[str, Any] | None = None) -> None:
        """Give the span its route and name, and more; a request that no route matched is named by its method alone."""
        attributes = attributes or {}
        if self.route is not None:
            attributes[HTTP_ROUTE] = self.route
            self.span.update_name(f"{self.method} {self.route}")
        if attributes:
            self.span.set_attributes(attributes)

    def record_first_byte(self) -> None:
        """Note how long a streamed body took to begin; a body in one piece begins when the span ends."""
        self.span.set_attribute(FIRST_BYTE_S, time.perf_counter() - self._began_s)

    def record_error(self, error: BaseException) -> None:
        """Make the span one of a failed request, with the exception's type in place of the status code's."""
        mark_failed(self.span, error)

    def break_off(self, error: Exception) -> None:
        """Note an exception that came while the response was sent, in case that nobody else will see it."""
        if self.has_started and self.span.is_recording():
            self._broken_by = error

    def end_body(self) -> None:
        """Complete the span of a response that is ended in good order though it broke off.

        Middleware of Starlette's kind (`@app.middleware("http")`) does that, and raises the exception afterwards.
        """
        if self._broken_by is not None:
            record_exception(self.span, self._broken_by)
            self.record_error(self._broken_by)


def open_request(span: Span, scope: Scope) -> None:
    """Put a new request into its scope; the request hook of OpenTelemetry's ASGI middleware."""
    scope[SCOPE_KEY] = RequestSpan(span, scope)


def request_of(scope: Scope) -> RequestSpan | None:
    """Return the request that a scope belongs to, None when it is not traced."""
    request = scope.get(SCOPE_KEY)
    return request if isinstance(request, RequestSpan) else None


def span_method(scope: Scope) -> str:
    """Return the first word of a span's name, by the HTTP conventions: "HTTP" for a method that is not well known."""
    if scope["type"] == "websocket":
        return "WS"
    method = sanitize_method(scope.get("method", "").strip())
    return "HTTP" if method == "_OTHER" else method


def _root_path(scope: Scope) -> str:
    return str(scope.get("root_path", "")).rstrip("/")
