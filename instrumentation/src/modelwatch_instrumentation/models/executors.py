"""Thread pools: a call that a request hands to a thread stays part of the request.

`asyncio.to_thread` and Starlette's threads take the context along by themselves; `loop.run_in_executor` and
`ThreadPoolExecutor.submit`, by which many model servers keep predictions off their loop, do not.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined]

from modelwatch_instrumentation.models.settings import Mode, settings
from modelwatch_instrumentation.patches import Patches


class ExecutorsInstrumentor(BaseInstrumentor):  # type: ignore[misc]
    """Carries the trace into thread pools."""

    def instrumentation_dependencies(self) -> Collection[str]:
        """Return no requirement: thread pools are Python's own."""
        return ()

    def _instrument(self, **_: Any) -> None:
        self._patches = Patches()
        if settings().mode is not Mode.OFF:
            self._patches.add("concurrent.futures.thread", "ThreadPoolExecutor.submit", _submit)

    def _uninstrument(self, **_: Any) -> None:
        self._patches.remove()


def _submit(wrapped: Callable[..., Any], _executor: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if not args or not trace.get_current_span().is_recording():
        return wrapped(*args, **kwargs)
    function, *others = args
    return wrapped(_in_context, otel_context.get_current(), function, *others, **kwargs)


def _in_context(context: otel_context.Context, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    token = otel_context.attach(context)
    try:
        return function(*args, **kwargs)
    finally:
        otel_context.detach(token)
