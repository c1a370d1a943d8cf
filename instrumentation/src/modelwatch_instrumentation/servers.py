"""hypercorn, granian and gunicorn's own ASGI worker: a span around applications that no framework hook traces.

Loaded by `opentelemetry-instrument`; the hooks take effect when a server is imported, in each of its workers. uvicorn,
alone or under gunicorn, has a module of its own. WSGI applications are traced by their frameworks' instrumentors.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined]

from modelwatch_instrumentation.asgi import trace_served
from modelwatch_instrumentation.patches import Patches


class ServersInstrumentor(BaseInstrumentor):  # type: ignore[misc]
    """Traces what hypercorn, granian and gunicorn serve over ASGI."""

    def instrumentation_dependencies(self) -> Collection[str]:
        """Return no requirement: what is not installed is never imported, and so never patched."""
        return ()

    def _instrument(self, **_: Any) -> None:
        self._patches = Patches()
        self._patches.add("hypercorn.app_wrappers", "ASGIWrapper.__init__", _wrap_first_argument)
        self._patches.add("granian.asgi", "_callback_wrapper", _wrap_first_argument)
        self._patches.add("gunicorn.workers.gasgi", "ASGIWorker.load_wsgi", _load_gunicorn)

    def _uninstrument(self, **_: Any) -> None:
        self._patches.remove()


def _wrap_first_argument(wrapped: Callable[..., Any], _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Hand the server's own wrapper a traced application."""
    if args:
        return wrapped(trace_served(args[0]), *args[1:], **kwargs)
    return wrapped(
        **{name: trace_served(value) if name in ("app", "callback") else value for name, value in kwargs.items()}
    )


def _load_gunicorn(wrapped: Callable[..., Any], worker: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    result = wrapped(*args, **kwargs)
    worker.asgi = trace_served(worker.asgi)
    return result
