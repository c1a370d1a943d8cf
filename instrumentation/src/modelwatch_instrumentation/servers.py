"""hypercorn, granian and gunicorn's own ASGI worker: a span around applications that no framework hook traces.

Loaded by `opentelemetry-instrument`; the hooks take effect when a server is imported, in each of its workers. uvicorn,
alone or under gunicorn, has a module of its own. WSGI applications are traced by their frameworks' instrumentors.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Collection
from typing import Any

from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined]

from modelwatch_instrumentation.asgi import trace_served
from modelwatch_instrumentation.export import flush_now
from modelwatch_instrumentation.patches import Patches


class ServersInstrumentor(BaseInstrumentor):  # type: ignore[misc]
    """Traces what hypercorn, granian and gunicorn serve over ASGI."""

    def instrumentation_dependencies(self) -> Collection[str]:
        """Return no requirement: what is not installed is never imported, and so never patched."""
        return ()

    def _instrument(self, **_: Any) -> None:
        self._patches = Patches()
        self._patches.add("hypercorn.app_wrappers", "ASGIWrapper.__init__", _wrap_first_argument)
        self._patches.add("hypercorn.asyncio.run", "_run", _run_hypercorn)
        self._patches.add("granian.asgi", "_callback_wrapper", _wrap_first_argument)
        self._patches.add("gunicorn.workers.gasgi", "ASGIWorker.load_wsgi", _load_gunicorn)

    def _uninstrument(self, **_: Any) -> None:
        self._patches.remove()


def _run_hypercorn(wrapped: Callable[..., Any], _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Run a worker, and export its last spans before the SIGTERM that hypercorn sends to all but the first to end."""
    is_worker = kwargs.get("shutdown_trigger") is not None and threading.current_thread() is threading.main_thread()
    if not is_worker or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        return wrapped(*args, **kwargs)

    def end(number: int, _frame: Any) -> None:
        flush_now()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    signal.signal(signal.SIGTERM, end)
    try:
        return wrapped(*args, **kwargs)
    finally:
        flush_now()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


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
