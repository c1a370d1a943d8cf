"""One OTLP export request on its way through ModelWatch.

Made by the receiver, carried by RabbitMQ or a direct call, opened by the processor; its bytes are never re-encoded.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum

BATCH_ID_BYTES = 16


class Signal(StrEnum):
    """OpenTelemetry's signals; the value is also the routing key on the queue."""

    TRACES = "traces"
    METRICS = "metrics"
    LOGS = "logs"


def batch_id_of(signal: Signal, body: bytes) -> bytes:
    """Return the 16-byte content hash (BLAKE2b) of a request: equal requests have equal ids, whoever sent them."""
    return hashlib.blake2b(body, digest_size=BATCH_ID_BYTES, person=signal.value.encode()).digest()


@dataclass(frozen=True, slots=True)
class Batch:
    """An OTLP request as uncompressed protobuf.

    `body` is an `Export<Signal>ServiceRequest`; `item_count` its spans, data points or log records;
    `received_unix_nano` the receiver's clock when the request was complete; `forwarded_by` the ids of the installations
    of ModelWatch that it came through, the first first.
    """

    signal: Signal
    body: bytes
    batch_id: bytes
    item_count: int
    received_unix_nano: int
    forwarded_by: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        signal: Signal,
        body: bytes,
        *,
        item_count: int,
        received_unix_nano: int,
        forwarded_by: tuple[str, ...] = (),
    ) -> Batch:
        """Make a batch whose id is derived from its content."""
        return cls(signal, body, batch_id_of(signal, body), item_count, received_unix_nano, forwarded_by)
