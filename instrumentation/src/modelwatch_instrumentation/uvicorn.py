"""uvicorn: a span around applications that no framework hook traces, and a flush at the end of every server.

Loaded by `opentelemetry-instrument`; the hooks take effect when uvicorn is imported, in each of its workers.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from typing import Any

from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined]

from modelwatch_instrumentation.asgi import trace_served
from modelwatch_instrumentation.export import flush
from modelwatch_instrumentation.patches import Patches

_OUTER_LAYERS = frozenset({"uvicorn.middleware.message_logger", "uvicorn.middleware.proxy_headers"})
"""uvicorn's own ASGI 3 layers. The span goes within them, where the client's address is the true one."""


class UvicornInstrumentor(BaseInstrumentor):  # type: ignore[misc]
    """Traces what uvicorn serves, and exports the last spans before uvicorn ends."""

    def instrumentation_dependencies(self) -> Collection[str]:
        """Return no requirement: what is not installed is never imported, and so never patched."""
        return ()

    def _instrument(self, **_: Any) -> None:
        self._patches = Patches()
        self._patches.add("uvicorn.config", "Config.load", _load)
        self._patches.add("uvicorn.server", "Server.shutdown", _shutdown)

    def _uninstrument(self, **_: Any) -> None:
        self._patches.remove()


def _load(wrapped: Callable[..., Any], config: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Load the application, then trace it if it is not one that traces itself."""
    result = wrapped(*args, **kwargs)
    holder, name = config, "loaded_app"
    while type(getattr(holder, name)).__module__ in _OUTER_LAYERS:
        holder, name = getattr(holder, name), "app"
    setattr(holder, name, trace_served(getattr(holder, name)))
    return result


async def _shutdown(
    wrapped: Callable[..., Awaitable[None]], _server: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    """Shut the server down, then flush: uvicorn raises its signal anew afterwards, and no exit handler ever runs."""
    try:
        await wrapped(*args, **kwargs)
    finally:
        await flush()
