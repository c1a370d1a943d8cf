"""An awaitable face on pika's `AsyncioConnection`, which runs by callbacks in the loop of its process.

`RabbitLink` opens connections one after the other; publisher and subscription work on the channels of the current one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pika.channel
import pika.exceptions
from pika.adapters.asyncio_connection import AsyncioConnection

from rabbitmq.errors import BrokerUnavailableError, unavailable

_ABORT_TIMEOUT_S = 1.0


class _Transport(AsyncioConnection):  # type: ignore[misc]  # pika is not typed for mypy
    """pika's connection with a way to hang up that does not wait for the broker to agree."""

    def hang_up(self, reason: str) -> None:
        if self.is_open or (self.is_closing and self._opened):
            self._terminate_stream(pika.exceptions.StreamLostError(reason))
        elif not (self.is_closing or self.is_closed):
            self.close()


class Connection:
    """One open connection. Once `closed` is done, with the reason as its result, it is gone for good.

    A vital channel that the broker closes takes its connection with it: what it was set up for is no longer served.
    """

    def __init__(self, transport: _Transport, closed: asyncio.Future[BrokerUnavailableError]) -> None:
        self._transport = transport
        self.closed = closed
        self.is_blocked = False
        """Whether RabbitMQ is short of memory or disk and reads nothing more from who publishes."""
        transport.add_on_connection_blocked_callback(lambda *_: self._set_blocked(True))
        transport.add_on_connection_unblocked_callback(lambda *_: self._set_blocked(False))

    @classmethod
    async def open(cls, parameters: pika.ConnectionParameters) -> Connection:
        """Connect and log in. Raises `BrokerUnavailableError`; cancelling it hangs up."""
        loop = asyncio.get_running_loop()
        opened: asyncio.Future[BaseException | None] = loop.create_future()
        closed: asyncio.Future[BrokerUnavailableError] = loop.create_future()
        transport = _Transport(
            parameters,
            on_open_callback=lambda _: _settle(opened, None),
            on_open_error_callback=lambda _, error: _settle(opened, error),
            on_close_callback=lambda _, error: _settle(closed, unavailable(error)),
        )
        try:
            error = await asyncio.shield(opened)
        except asyncio.CancelledError:
            transport.hang_up("given up while connecting")
            await _first_of(opened, closed, timeout_s=_ABORT_TIMEOUT_S)
            raise
        if error is not None:
            raise unavailable(error)
        return cls(transport, closed)

    @property
    def broker_version(self) -> str:
        """The broker's version as it names it, such as `3.10.8`; empty when it does not."""
        raw = (self._transport.server_properties or {}).get("version", b"")
        return raw.decode() if isinstance(raw, bytes) else str(raw)

    async def channel(self, *, is_vital: bool = True) -> Channel:
        """Open a channel. Raises `BrokerUnavailableError`."""
        loop = asyncio.get_running_loop()
        opened: asyncio.Future[None] = loop.create_future()
        closed: asyncio.Future[BrokerUnavailableError] = loop.create_future()
        try:
            raw = self._transport.channel(on_open_callback=lambda _: _settle(opened, None))
        except pika.exceptions.AMQPError as error:
            raise unavailable(error) from error
        raw.add_on_close_callback(lambda _, error: self._on_channel_closed(closed, error, is_vital))
        await _first_of(opened, closed)
        if closed.done():
            raise closed.result()
        return Channel(raw, closed)

    async def close(self, timeout_s: float) -> None:
        """Close in agreement with the broker, or hang up when it does not answer within `timeout_s`."""
        if not self.closed.done() and self._transport.is_open:
            self._transport.close()
            await asyncio.wait({self.closed}, timeout=timeout_s)
        await self.hang_up("closed")

    async def hang_up(self, reason: str) -> None:
        """Close at once; what the broker was not told stays as it was."""
        if not self.closed.done():
            self._transport.hang_up(reason)
            await asyncio.wait({self.closed}, timeout=_ABORT_TIMEOUT_S)

    def drop(self, reason: str) -> None:
        """Begin to hang up, from a callback that cannot wait."""
        if not self.closed.done():
            self._transport.hang_up(reason)

    def _set_blocked(self, is_blocked: bool) -> None:
        self.is_blocked = is_blocked

    def _on_channel_closed(
        self, closed: asyncio.Future[BrokerUnavailableError], error: BaseException, is_vital: bool
    ) -> None:
        reason = unavailable(error)
        _settle(closed, reason)
        if is_vital and not isinstance(error, pika.exceptions.ChannelClosedByClient):
            self.drop(str(reason))


class Channel:
    """An open channel: `raw` is pika's, for what needs no answer; `call` is for what does."""

    def __init__(self, raw: pika.channel.Channel, closed: asyncio.Future[BrokerUnavailableError]) -> None:
        self.raw = raw
        self.closed = closed

    async def call(self, method: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """Call a method of `raw` that takes `callback=`, and return the broker's answer.

        Raises `BrokerUnavailableError` with the broker's code when it closes the channel instead.
        """
        answered: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        try:
            method(*arguments, callback=lambda frame: _settle(answered, frame), **named)
        except pika.exceptions.AMQPError as error:
            raise unavailable(error) from error
        await _first_of(answered, self.closed)
        if not answered.done():
            raise self.closed.result()
        return answered.result()

    async def close(self) -> None:
        """Close the channel and leave its connection open."""
        self.abandon()
        await asyncio.wait({self.closed})

    def abandon(self) -> None:
        """Begin to close the channel, without waiting for the broker's answer."""
        if self.raw.is_open:
            self.raw.close()


async def _first_of(*futures: asyncio.Future[Any], timeout_s: float | None = None) -> None:
    await asyncio.wait(futures, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)


def _settle(future: asyncio.Future[Any], result: Any) -> None:
    if not future.done():
        future.set_result(result)
