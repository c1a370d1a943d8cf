"""Publishes messages and returns when RabbitMQ has them safe: confirms, mandatory routing, a deadline.

The exporter sends batches through one, the source its dead letters through another, on connections of their own:
RabbitMQ stops reading from a connection that publishes while memory is short, and acknowledgements must still pass.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import pika.exceptions
import pika.spec
import structlog
from pydantic import SecretStr

from rabbitmq.confirms import ConfirmWindow, Verdict
from rabbitmq.connection import Channel, Connection
from rabbitmq.errors import (
    BrokerRefusedError,
    BrokerUnavailableError,
    MessageTooLargeError,
    max_message_bytes_in,
    unavailable,
)
from rabbitmq.link import RabbitLink
from rabbitmq.message import Message
from rabbitmq.settings import RabbitSettings
from rabbitmq.topology import declare_topology
from telemetry import RetryableError, StartError

_log = structlog.get_logger(__name__)

_MEND_DELAY_S = 1.0


@dataclass(frozen=True, slots=True)
class PublishLimits:
    """How much may be unconfirmed at once, and how long one publish may take in seconds."""

    max_messages: int
    max_bytes: int
    timeout_s: float


class ConfirmedPublisher:
    """A component that publishes. `publish` fails fast while there is no connection; the link brings it back."""

    def __init__(
        self,
        url: SecretStr,
        settings: RabbitSettings,
        limits: PublishLimits,
        *,
        name: str,
        on_reconnect: Callable[[], None] = lambda: None,
    ) -> None:
        self._settings = settings
        self._limits = limits
        self._link = RabbitLink(url, settings, name=name, set_up=self._set_up, on_reconnect=on_reconnect)
        self._channel: Channel | None = None
        self._window = ConfirmWindow(limits.max_messages, limits.max_bytes)
        self._mending: asyncio.Task[None] | None = None
        self._max_message_bytes: int | None = None

    @property
    def is_connected(self) -> bool:
        """Whether a message could be published now."""
        return self._link.connection is not None

    @property
    def is_blocked(self) -> bool:
        """Whether RabbitMQ said that it is short of memory or disk."""
        return self._link.connection is not None and self._link.connection.is_blocked

    async def start(self, *, must_connect: bool = True) -> None:
        """Return when connected, with the topology declared. Raises `StartError`.

        Without `must_connect` a broker that does not answer is no error: `publish` fails until it does.
        """
        await self._link.start(must_connect=must_connect)

    async def stop(self) -> None:
        """Close the connection; whoever still waits for a confirm gets `RetryableError`."""
        mending, self._mending = self._mending, None
        if mending is not None:
            mending.cancel()
            await asyncio.wait({mending})
        await self._link.stop()

    async def publish(self, exchange: str, message: Message) -> None:
        """Return once RabbitMQ has written the message to every queue that it was routed to.

        Raises `RetryableError` when it has not, or when that is not known: after a timeout or a lost connection the
        message may have arrived, so that a repetition must do no harm. Raises `PermanentError` when the message is
        larger than RabbitMQ takes.
        """
        verdict = self.send(exchange, message)
        try:
            async with asyncio.timeout(self._limits.timeout_s):
                error = await verdict
        except TimeoutError:
            raise BrokerUnavailableError(f"RabbitMQ did not confirm within {self._limits.timeout_s:g} s") from None
        if error is not None:
            raise error

    def drop_connection(self, reason: str) -> None:
        """Begin anew on another connection."""
        if self._link.connection is not None:
            self._link.connection.drop(reason)

    def send(self, exchange: str, message: Message) -> Verdict:
        """Publish without waiting. The verdict comes when RabbitMQ has spoken or the connection is gone.

        Raises `RetryableError` when nothing was sent, `PermanentError` when it is known to be too large.
        """
        connection, channel = self._link.connection, self._channel
        if connection is None or channel is None:
            raise BrokerUnavailableError("no connection to RabbitMQ now")
        if connection.is_blocked:
            raise BrokerRefusedError("RabbitMQ is short of memory or disk and takes no messages")
        if self._max_message_bytes is not None and len(message.body) > self._max_message_bytes:
            raise MessageTooLargeError(len(message.body), self._max_message_bytes)
        if not self._window.has_room(len(message.body)):
            raise BrokerRefusedError("too many messages wait for RabbitMQ to confirm them")
        try:
            channel.raw.basic_publish(exchange, message.routing_key, message.body, message.properties, mandatory=True)
        except pika.exceptions.AMQPError as error:
            raise unavailable(error) from error
        return self._window.add(message.properties.message_id, len(message.body))

    async def _set_up(self, connection: Connection) -> None:
        await declare_topology(connection, self._settings)
        channel = await connection.channel()
        window = ConfirmWindow(self._limits.max_messages, self._limits.max_bytes)
        channel.raw.add_on_return_callback(partial(self._on_return, window))
        await channel.call(channel.raw.confirm_delivery, partial(_on_confirm, window))
        channel.closed.add_done_callback(lambda closed: self._on_closed(window, str(closed.result())))
        self._channel, self._window = channel, window

    def _on_closed(self, window: ConfirmWindow, reason: str) -> None:
        # Asked for again, it would cost the connection again, and with it the confirms of its neighbours.
        self._max_message_bytes = max_message_bytes_in(reason) or self._max_message_bytes
        window.take_loss(reason)

    def _on_return(
        self,
        window: ConfirmWindow,
        _channel: Any,
        method: pika.spec.Basic.Return,
        properties: pika.BasicProperties,
        _body: bytes,
    ) -> None:
        window.take_return(properties.message_id, method.reply_text)
        if self._mending is None or self._mending.done():
            self._mending = asyncio.create_task(self._mend(), name="declare RabbitMQ's queues again")

    async def _mend(self) -> None:
        """Put back the queue or binding that somebody deleted; if that fails, the next return tries again.

        Not at once: of a queue that is deleted and declared again in the same moment, RabbitMQ 3.10 does not tell the
        consumers. It hands them messages of the new queue that never arrive, for as long as their connections stand.
        """
        await asyncio.sleep(_MEND_DELAY_S)
        connection = self._link.connection
        if connection is None:
            return
        try:
            async with asyncio.timeout(self._settings.connect_timeout_s):
                await declare_topology(connection, self._settings)
        except (RetryableError, StartError, TimeoutError) as error:
            _log.error("cannot declare RabbitMQ's queues again", reason=str(error))
        else:
            _log.warning("declared RabbitMQ's queues again, because a message found none")


def _on_confirm(window: ConfirmWindow, frame: Any) -> None:
    method = frame.method
    is_ack = isinstance(method, pika.spec.Basic.Ack)
    window.take_confirm(method.delivery_tag, is_multiple=method.multiple, is_ack=is_ack)
