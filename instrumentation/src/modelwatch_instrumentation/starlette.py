"""Starlette and FastAPI: the span around the application's own middleware stack, the route from the route itself.

Loaded by `opentelemetry-instrument`; the hooks take effect when the application imports the frameworks.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from typing import Any

from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined]
from opentelemetry.util.http import get_excluded_urls

from modelwatch_instrumentation.asgi import ExceptionWitness, trace_app
from modelwatch_instrumentation.patches import Patches, Wrapper
from modelwatch_instrumentation.request import RequestSpan, Scope, request_of


class StarletteInstrumentor(BaseInstrumentor):  # type: ignore[misc]
    """Traces every Starlette and FastAPI application of the process."""

    def instrumentation_dependencies(self) -> Collection[str]:
        """Return no requirement: what is not installed is never imported, and so never patched."""
        return ()

    def _instrument(self, **_: Any) -> None:
        self._patches = Patches()
        self._patches.add("starlette.applications", "Starlette.build_middleware_stack", _stack_builder("STARLETTE"))
        self._patches.add("fastapi.applications", "FastAPI.build_middleware_stack", _stack_builder("FASTAPI"))
        self._patches.add("starlette.routing", "Route.handle", _handle_route)
        self._patches.add("starlette.routing", "WebSocketRoute.handle", _handle_route)
        self._patches.add("starlette.routing", "Mount.handle", _handle_mount)
        self._patches.add("fastapi.routing", "APIRoute.handle", _handle_route)

    def _uninstrument(self, **_: Any) -> None:
        self._patches.remove()


def _stack_builder(framework: str) -> Wrapper:
    """Return the wrapper of `build_middleware_stack`; `framework` names OTEL_PYTHON_<framework>_EXCLUDED_URLS."""

    def build(wrapped: Callable[..., Any], app: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        stack = wrapped(*args, **kwargs)
        if getattr(app, "_is_instrumented_by_opentelemetry", False):
            return stack  # the application's own code has called OpenTelemetry's instrumentor: its word counts
        if _handles_errors(stack):
            stack.app = ExceptionWitness(stack.app)
        return trace_app(stack, get_excluded_urls(framework))

    return build


def _handles_errors(stack: Any) -> bool:
    from starlette.middleware.errors import ServerErrorMiddleware

    return isinstance(stack, ServerErrorMiddleware)


def _handle_route(wrapped: Callable[..., Any], route: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Tell the request its route. Called even when the method does not match, so a 405 has its route as well."""
    scope = _scope(args, kwargs)
    request = request_of(scope)
    if request is None:
        return wrapped(*args, **kwargs)
    request.select_route(_template(route, scope))
    return _watched(request, wrapped(*args, **kwargs))


async def _watched(request: RequestSpan, handling: Awaitable[None]) -> None:
    try:
        await handling
    except Exception as error:
        request.break_off(error)
        raise


def _handle_mount(wrapped: Callable[..., Any], mount: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Tell the request what it is mounted on; `path` is the mount's template without what follows it."""
    request = request_of(_scope(args, kwargs))
    if request is not None:
        request.select_mount(getattr(mount, "path", None), has_routes=bool(getattr(mount, "routes", None)))
    return wrapped(*args, **kwargs)


def _template(route: Any, scope: Scope) -> object:
    """Return the route's path template below its application.

    FastAPI (0.137 and later) keeps the prefixes of included routers out of the route, in a context in the scope.
    """
    context = scope.get("fastapi", {}).get("effective_route_context")
    if context is not None and getattr(context, "original_route", None) is route:
        return getattr(context, "path_format", None)
    return getattr(route, "path_format", None)


def _scope(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Scope:
    scope: Scope = args[0] if args else kwargs["scope"]
    return scope
