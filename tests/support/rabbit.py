"""A look at a real RabbitMQ from outside, with pika's blocking connection, and batches to send through it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pika
import pika.exceptions
from pika.adapters.blocking_connection import BlockingChannel
from pydantic import SecretStr

from rabbitmq import RabbitSettings
from telemetry import Batch, Signal
from telemetry.queues import (
    DEAD_LETTER_EXCHANGE,
    DEAD_LETTER_QUEUE,
    EXCHANGE,
    EXPORT_DROPPED_QUEUE,
    PROCESSOR_QUEUE,
)
from tests.support.otlp import server_span, trace_request

QUICK = RabbitSettings(
    connect_timeout_s=2,
    start_timeout_s=15,
    stop_timeout_s=0.5,
    reconnect_min_s=0.05,
    reconnect_max_s=0.5,
    new_queue_pause_s=0,
)
"""Settings that try again at once and leave no queue alone, so that tests need not wait."""


OLD_ENOUGH_S = 1.5
"""How long a queue that was made with `QUICK` must be left alone before the broker may be killed."""


def batch_number(index: int, *, spans: int = 1) -> Batch:
    """Return a trace batch; each number gives another body."""
    request = trace_request([server_span(f"span {index}", index=index * 1_000 + one) for one in range(spans)])
    return Batch.of(Signal.TRACES, request.SerializeToString(), item_count=spans, received_unix_nano=1_000 + index)


class RabbitView:
    """What an operator could see and do at the broker with this URL."""

    def __init__(self, url: str) -> None:
        self._url = url

    @property
    def url(self) -> SecretStr:
        return SecretStr(self._url)

    @contextmanager
    def channel(self) -> Iterator[BlockingChannel]:
        connection = pika.BlockingConnection(pika.URLParameters(self._url))
        try:
            yield connection.channel()
        finally:
            connection.close()

    def clear(self) -> None:
        """Delete everything that ModelWatch declares."""
        with self.channel() as channel:
            for queue in (PROCESSOR_QUEUE, DEAD_LETTER_QUEUE, EXPORT_DROPPED_QUEUE):
                channel.queue_delete(queue)
            for exchange in (EXCHANGE, DEAD_LETTER_EXCHANGE):
                channel.exchange_delete(exchange)

    def take_all(self, queue: str = PROCESSOR_QUEUE) -> list[tuple[Any, pika.BasicProperties, bytes]]:
        """Take every message that waits in the queue."""
        taken = []
        with self.channel() as channel:
            while True:
                method, properties, body = channel.basic_get(queue, auto_ack=True)
                if method is None:
                    return taken
                taken.append((method, properties, body))

    def waiting(self, queue: str = PROCESSOR_QUEUE) -> int:
        """Return how many messages wait in the queue, without those that are handed out."""
        with self.channel() as channel:
            return int(channel.queue_declare(queue, passive=True).method.message_count)

    def exists(self, queue: str) -> bool:
        try:
            self.waiting(queue)
        except pika.exceptions.ChannelClosedByBroker:
            return False
        return True

    def publish(self, body: bytes, routing_key: str, properties: pika.BasicProperties | None = None) -> None:
        """Publish to ModelWatch's exchange as a stranger would."""
        with self.channel() as channel:
            channel.confirm_delivery()
            channel.basic_publish(EXCHANGE, routing_key, body, properties, mandatory=True)

    def accepts(self, body: bytes) -> bool:
        """Publish, and tell whether the broker confirmed it rather than refused."""
        try:
            self.publish(body, "traces")
        except pika.exceptions.NackError:
            return False
        return True

    def delete_queue(self, queue: str) -> None:
        with self.channel() as channel:
            channel.queue_delete(queue)
