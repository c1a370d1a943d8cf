"""One consumer on one connection: each delivery is handled by a task, and acknowledged after it.

Made by a source for each connection that its link opens, and forgotten with it: the broker delivers again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pika
import pika.spec
import structlog

from rabbitmq.acks import InHand
from rabbitmq.connection import Channel, Connection
from rabbitmq.errors import BrokerUnavailableError
from rabbitmq.message import Message

_log = structlog.get_logger(__name__)

_CANCEL_TIMEOUT_S = 5.0

Handler = Callable[[Message], Awaitable[None]]
"""Returns when the message may be acknowledged. Whatever goes wrong is its own to deal with."""


class Subscription:
    """Consumes `queue` with at most `prefetch` messages in hand."""

    def __init__(self, handle: Handler, *, queue: str, prefetch: int) -> None:
        self._handle = handle
        self._queue = queue
        self._prefetch = prefetch
        self._in_hand = InHand()
        self._tasks: set[asyncio.Task[None]] = set()
        self._connection: Connection | None = None
        self._channel: Channel | None = None
        self._consumer_tag = ""
        self._is_flush_due = False

    async def begin(self, connection: Connection) -> None:
        """Start consuming. Raises `BrokerUnavailableError`."""
        self._connection = connection
        self._channel = channel = await connection.channel()
        channel.raw.add_on_cancel_callback(self._on_cancelled_by_broker)
        channel.closed.add_done_callback(self._on_lost)
        await channel.call(channel.raw.basic_qos, prefetch_count=self._prefetch)
        answer = await channel.call(channel.raw.basic_consume, self._queue, self._on_delivery)
        self._consumer_tag = answer.method.consumer_tag

    async def finish(self, grace_s: float, answer_timeout_s: float) -> int:
        """Take nothing new, give what is in hand `grace_s` to end, acknowledge it; return how many did not end.

        `answer_timeout_s` bounds the wait for the broker to agree that nothing new is to come.
        """
        await self._cancel_consumer(answer_timeout_s)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=grace_s)
        self._flush()
        left = len(self._in_hand)
        await self.abandon()
        return left

    async def abandon(self) -> None:
        """Let go of what is in hand, and return when nothing of it runs any more."""
        tasks = set(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=_CANCEL_TIMEOUT_S)

    async def _cancel_consumer(self, timeout_s: float) -> None:
        channel = self._channel
        if channel is None or not channel.raw.is_open or not self._consumer_tag:
            return
        try:
            async with asyncio.timeout(timeout_s):
                await channel.call(channel.raw.basic_cancel, self._consumer_tag)
        except (TimeoutError, BrokerUnavailableError):
            _log.warning("RabbitMQ did not agree to the end of the subscription", queue=self._queue)

    def _on_delivery(
        self, _channel: Any, method: pika.spec.Basic.Deliver, properties: pika.BasicProperties, body: bytes
    ) -> None:
        self._in_hand.add(method.delivery_tag)
        message = Message(method.routing_key, properties, body)
        task = asyncio.create_task(self._serve(method.delivery_tag, message), name=f"handle a message of {self._queue}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, tag: int, message: Message) -> None:
        try:
            await self._handle(message)
        except Exception:
            _log.exception("handling a message failed: RabbitMQ keeps it for the next connection", queue=self._queue)
            return
        self._in_hand.finish(tag)
        # Whatever else ends in this turn of the loop, such as a whole group commit, shares the acknowledgement.
        if not self._is_flush_due:
            self._is_flush_due = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._is_flush_due = False
        channel = self._channel
        if channel is None or not channel.raw.is_open:
            return
        acks = self._in_hand.take()
        if acks.up_to:
            channel.raw.basic_ack(acks.up_to, multiple=True)
        for tag in acks.singles:
            channel.raw.basic_ack(tag)

    def _on_cancelled_by_broker(self, _frame: Any) -> None:
        if self._connection is not None:
            self._connection.drop(f"the queue {self._queue} was deleted")

    def _on_lost(self, _closed: asyncio.Future[BrokerUnavailableError]) -> None:
        """Let go of what is in hand: it will be delivered again, perhaps to somebody else."""
        for task in self._tasks:
            task.cancel()
