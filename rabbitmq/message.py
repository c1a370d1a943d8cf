"""The form of a batch on the queue, written by the exporter and read by the source.

The body is the request as it came. What the OpenTelemetry Collector's RabbitMQ exporter writes with its `otlp_proto`
encoding is read as well: the same body with no content type, message id or type, only a routing key
(opentelemetry-collector-contrib, exporter/rabbitmqexporter, `publisher.go` and `factory.go`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pika import BasicProperties, DeliveryMode

from telemetry import Batch, NowNs, PermanentError, Signal
from telemetry.batch import batch_id_of
from telemetry.forwarding_trail import FORWARDED_BY_HEADER, header_of, trail_of
from telemetry.item_count import item_count_of
from telemetry.queues import CONTENT_TYPE, ITEM_COUNT_HEADER, REASON_HEADER, RECEIVED_HEADER

ROUTING_KEYS: Final[Mapping[str, Signal]] = {
    **{signal.value: signal for signal in Signal},
    "otlp_spans": Signal.TRACES,
    "otlp_metrics": Signal.METRICS,
    "otlp_logs": Signal.LOGS,
}
"""Ours, and those that the Collector's exporter uses when its `routing_key` is left out."""

_REASON_LIMIT: Final = 500
_MARKS_OF_THE_DEAD: Final = (REASON_HEADER, "x-death", "x-first-death", "x-last-death", "x-delivery", "x-acquired")
_RETURN_COUNTS: Final = ("x-delivery-count", "x-acquired-count")


@dataclass(frozen=True, slots=True)
class Message:
    """A message as it is published or was delivered."""

    routing_key: str
    properties: BasicProperties
    body: bytes


def message_of(batch: Batch) -> Message:
    """Return the message that carries a batch."""
    headers: dict[str, Any] = {ITEM_COUNT_HEADER: batch.item_count, RECEIVED_HEADER: batch.received_unix_nano}
    if batch.forwarded_by:
        headers[FORWARDED_BY_HEADER] = header_of(batch.forwarded_by)
    properties = BasicProperties(
        content_type=CONTENT_TYPE,
        delivery_mode=DeliveryMode.Persistent,
        message_id=batch.batch_id.hex(),
        type=batch.signal.value,
        headers=headers,
    )
    return Message(batch.signal.value, properties, batch.body)


def batch_of(message: Message, now_ns: NowNs) -> Batch:
    """Return the batch that a message carries. Raises `PermanentError` for what is not OTLP as protobuf.

    A message without our headers has its items counted here, which parses it, and counts as received now.
    """
    properties = message.properties
    signal = signal_of(message)
    if properties.content_type not in (None, CONTENT_TYPE):
        raise PermanentError(f"content type {properties.content_type!r} is not {CONTENT_TYPE}")
    if properties.content_encoding not in (None, "", "identity"):
        raise PermanentError(
            f"content encoding {properties.content_encoding!r} is not understood: send it uncompressed"
        )
    headers = properties.headers or {}
    item_count = whole_number(headers.get(ITEM_COUNT_HEADER))
    received_unix_nano = whole_number(headers.get(RECEIVED_HEADER))
    return Batch(
        signal,
        message.body,
        # Never the message's own id: two publishers may mean different things by it, and it decides what counts once.
        batch_id_of(signal, message.body),
        item_count if item_count is not None else item_count_of(signal, message.body),
        received_unix_nano if received_unix_nano is not None else now_ns(),
        trail_of(headers.get(FORWARDED_BY_HEADER)),
    )


def dead_letter_of(message: Message, reason: str) -> Message:
    """Return the message with the reason why it is set aside; everything that is needed to replay it stays.

    The publisher's user and expiry go: the broker would refuse the one, and the other would lose the letter.
    """
    headers = {**(message.properties.headers or {}), REASON_HEADER: reason[:_REASON_LIMIT]}
    return _with_headers(message, headers)


def live_letter_of(message: Message) -> Message:
    """Return a dead letter as it was before it was set aside, by us or by RabbitMQ."""
    headers = message.properties.headers or {}
    return _with_headers(
        message, {name: value for name, value in headers.items() if not name.startswith(_MARKS_OF_THE_DEAD)}
    )


def _with_headers(message: Message, headers: Mapping[str, Any]) -> Message:
    old = message.properties
    properties = BasicProperties(
        content_type=old.content_type,
        content_encoding=old.content_encoding,
        delivery_mode=DeliveryMode.Persistent,
        message_id=old.message_id,
        timestamp=old.timestamp,
        type=old.type,
        app_id=old.app_id,
        headers=dict(headers),
    )
    return Message(message.routing_key, properties, message.body)


def signal_of(message: Message) -> Signal:
    """Return the signal that a message names by its type or its routing key. Raises `PermanentError`."""
    for name in (message.properties.type, message.routing_key):
        if name in ROUTING_KEYS:
            return ROUTING_KEYS[name]
    raise PermanentError(
        f"neither type {message.properties.type!r} nor routing key {message.routing_key!r} names a signal"
    )


def returns_of(message: Message) -> int:
    """Return how often a message came back to its quorum queue: its consumer ended, lost its connection or stopped.

    RabbitMQ 4.3 counts in `x-delivery-count` only what consumers call failures, and all in `x-acquired-count`.
    """
    headers = message.properties.headers or {}
    return max(whole_number(headers.get(name)) or 0 for name in _RETURN_COUNTS)


def whole_number(value: Any) -> int | None:
    """Return what a header holds if it is a whole number of a kind that we write, else `None`."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
