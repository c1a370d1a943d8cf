"""The end of export: a flush and a shutdown that are over in two seconds, whatever the collector does.

The configurator puts the processor between the spans and the exporter; the server hooks call `flush`.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from wrapt import register_post_import_hook

from modelwatch_instrumentation.exporter import PatientExporter
from modelwatch_instrumentation.outage import OutageLog
from modelwatch_instrumentation.transport import transport_of

FLUSH_TIMEOUT_S = 2.0
"""The longest time that telemetry may add to the end of a process."""


def finishes_within(timeout_s: float, work: Callable[[], Any]) -> bool:
    """Run `work` in a daemon thread and tell whether it was done in time; what is late dies with the process."""
    thread = threading.Thread(target=work, name="modelwatch-flush", daemon=True)
    thread.start()
    thread.join(timeout_s)
    return not thread.is_alive()


class BoundedSpanProcessor(BatchSpanProcessor):
    """The SDK's batch processor, but with its timeouts kept, and kept together: a flush uses up the shutdown's time.

    It exports patiently to collectors that speak OTLP. The SDK's `force_flush` ignores its timeout, and its `shutdown`
    waits 30 s for the exporter's last attempt.
    """

    _is_stuck = False
    _patient_until_s = 0.0

    def __init__(self, span_exporter: SpanExporter, *args: Any, **kwargs: Any) -> None:
        transport = transport_of(span_exporter)
        self._outage = OutageLog(transport.endpoint if transport else "")
        super().__init__(PatientExporter(transport, self._outage) if transport else span_exporter, *args, **kwargs)
        self._queue = self._batch_processor._queue

    def on_end(self, span: ReadableSpan) -> None:
        """Queue a sampled span; when the queue is full, its oldest span makes room and is counted as lost."""
        if len(self._queue) == self._queue.maxlen:
            self._make_room()
        super().on_end(span)

    def _make_room(self) -> None:
        try:
            self._queue.pop()
        except IndexError:  # exported in this moment
            return
        self._outage.overflowed()

    def force_flush(self, timeout_millis: int | None = None) -> bool:
        """Export what is queued, for at most `timeout_millis` and never over two seconds; False: time was up."""
        timeout_s = FLUSH_TIMEOUT_S if timeout_millis is None else min(timeout_millis / 1000, FLUSH_TIMEOUT_S)
        self._patient_until_s = time.monotonic() + FLUSH_TIMEOUT_S
        self._is_stuck = True  # until proven otherwise: the caller may give up, and end the process, a moment earlier
        self._is_stuck = not finishes_within(timeout_s, super().force_flush)
        return not self._is_stuck

    def shutdown(self) -> None:
        """Export the rest in what is left of two seconds; after a flush in vain there is nothing left to wait for."""
        self._batch_processor.shutdown(timeout_millis=int(self._patience_s() * 1000))

    def _patience_s(self) -> float:
        if self._is_stuck:
            return 0.0
        left_s = self._patient_until_s - time.monotonic()
        return left_s if left_s > 0 else FLUSH_TIMEOUT_S


def flush_now(timeout_s: float = FLUSH_TIMEOUT_S) -> bool:
    """Export what the global tracer provider holds; False when it took longer than `timeout_s`.

    It bounds providers that the application has set up itself as well.
    """
    force_flush = getattr(trace.get_tracer_provider(), "force_flush", None)
    return force_flush is None or finishes_within(timeout_s, lambda: force_flush(int(timeout_s * 1000)))


async def flush(timeout_s: float = FLUSH_TIMEOUT_S) -> bool:
    """Do the same in a thread, so that the loop goes on."""
    return await asyncio.to_thread(flush_now, timeout_s)


def shut_down_in_forked_children(provider: Any) -> None:
    """Let the children that multiprocessing forks export their last spans: they end without running exit handlers.

    granian's workers are such children. The hook waits until the application or its server imports multiprocessing.
    """
    if not hasattr(provider, "shutdown"):
        return

    def hook(util: Any) -> None:
        util.register_after_fork(provider, lambda its: util.Finalize(None, its.shutdown, exitpriority=10))

    register_post_import_hook(hook, "multiprocessing.util")
