"""An exporter for a collector that may be away: it sends the same bytes again until they are taken, and keeps quiet.

It stands between the batch processor, whose bounded queue takes the spans that end meanwhile, and a transport. The same
bytes, because a receiver knows a request that was sent twice by its content.
"""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Sequence

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from modelwatch_instrumentation.encoding import SpanEncoder
from modelwatch_instrumentation.outage import OutageLog
from modelwatch_instrumentation.transport import SendError, Transport

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 5.0
MOST_ATTEMPTS = 200
"""About a quarter of an hour; then the batch itself may be what the collector cannot bear."""


class PatientExporter(SpanExporter):
    """Exports in the processor's thread; `shutdown` ends its waiting."""

    def __init__(self, transport: Transport, outage: OutageLog) -> None:
        self._transport = transport
        self._outage = outage
        self._encoder = SpanEncoder()
        self._is_over = threading.Event()
        self._pid = os.getpid()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send a batch until it is taken, or refused for good, or this exporter is shut down."""
        self._renew_after_fork()
        try:
            request = self._encoder.encode(spans)
        except Exception as error:
            self._outage.failed(f"they cannot be encoded: {error!r}", lost=len(spans))
            return SpanExportResult.FAILURE
        for attempt in range(MOST_ATTEMPTS):
            try:
                self._transport.send(request)
            except SendError as error:
                if self._gives_up(error, attempt, len(spans)):
                    return SpanExportResult.FAILURE
            else:
                self._outage.succeeded()
                return SpanExportResult.SUCCESS
        return SpanExportResult.FAILURE

    def _gives_up(self, error: SendError, attempt: int, spans: int) -> bool:
        """Report a failed attempt and wait for the next one; true when there is none."""
        is_last = error.is_final or attempt == MOST_ATTEMPTS - 1
        self._outage.failed(str(error), lost=spans if is_last else 0)
        if is_last or self._is_over.wait(_pause_s(error, attempt)):
            return True
        self._transport.reconnect()
        return False

    def _renew_after_fork(self) -> None:
        """Leave the parent's connection to the parent: bytes of both would mix in it."""
        if self._pid != os.getpid():
            self._pid = os.getpid()
            self._is_over = threading.Event()
            self._transport.reconnect()

    def shutdown(self) -> None:
        """Give up what is under way."""
        self._is_over.set()
        self._transport.close()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Do nothing: nothing waits here."""
        return True


def _pause_s(error: SendError, attempt: int) -> float:
    """Return the time to the next attempt: what the collector asks for, else longer and longer, never all at once."""
    if error.retry_after_s is not None:
        return min(error.retry_after_s, LONGEST_PAUSE_S)
    return min(FIRST_PAUSE_S * 2.0**attempt, LONGEST_PAUSE_S) * random.uniform(0.8, 1.2)
