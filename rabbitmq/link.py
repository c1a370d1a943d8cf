"""A connection to RabbitMQ that comes back: opened, set up, watched, and opened again after a loss.

The publisher and the source each hold one; both stand on the same loop as everything else in their process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pika
import structlog
from pydantic import SecretStr

from rabbitmq.address import parameters_of, redacted
from rabbitmq.backoff import pause_s
from rabbitmq.connection import Connection
from rabbitmq.errors import ACCESS_REFUSED, NOT_ALLOWED, BrokerUnavailableError
from rabbitmq.settings import RabbitSettings
from telemetry import RetryableError, StartError

_log = structlog.get_logger(__name__)

SetUp = Callable[[Connection], Awaitable[None]]
"""Makes a fresh connection useful: declares, opens channels. Its errors count as a failed attempt to connect."""


class RabbitLink:
    """Keeps one connection open from `start` to `stop`.

    `name` is shown by RabbitMQ beside the connection; `on_reconnect` is called after each recovery from a loss.
    """

    def __init__(
        self, url: SecretStr, settings: RabbitSettings, *, name: str, set_up: SetUp, on_reconnect: Callable[[], None]
    ) -> None:
        self._url = url
        self._settings = settings
        self._name = name
        self._set_up = set_up
        self._on_reconnect = on_reconnect
        self._connection: Connection | None = None
        self._keeper: asyncio.Task[None] | None = None

    @property
    def connection(self) -> Connection | None:
        """The connection as long as it is open and set up."""
        if self._connection is None or self._connection.closed.done():
            return None
        return self._connection

    async def start(self, *, must_connect: bool = True) -> None:
        """Connect and set up, trying for `start_timeout_s`. Raises `StartError` after it, or at once if it is hopeless.

        Wrong credentials, a wrong virtual host and queues that were declared otherwise do not mend themselves.
        Without `must_connect` a broker that does not answer the first attempt is tried further while all else runs.
        """
        if self._keeper is not None:
            return
        parameters = parameters_of(self._url, self._settings, self._name)
        self._connection = await (self._connect_first(parameters) if must_connect else self._connect_once(parameters))
        self._keeper = asyncio.create_task(self._keep(parameters), name=f"{self._name}: keep the connection")

    async def stop(self) -> None:
        """Close the connection, within `stop_timeout_s` and a moment."""
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.cancel()
            await asyncio.wait({keeper})
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close(self._settings.stop_timeout_s)

    async def _connect_first(self, parameters: pika.URLParameters) -> Connection:
        address = redacted(parameters)
        last = "no answer"
        attempt = 0
        try:
            async with asyncio.timeout(self._settings.start_timeout_s):
                while True:
                    try:
                        return await self._connect(parameters)
                    except BrokerUnavailableError as error:
                        self._raise_if_hopeless(error, parameters)
                        last = str(error)
                        _log.info("waiting for RabbitMQ", connection=self._name, address=address, reason=last)
                    await asyncio.sleep(self._pause_s(attempt))
                    attempt += 1
        except TimeoutError:
            raise StartError(
                f"RabbitMQ at {address} does not answer after {self._settings.start_timeout_s:g} s ({last}): "
                "start it or set MODELWATCH_BROKER_URL"
            ) from None

    async def _connect_once(self, parameters: pika.URLParameters) -> Connection | None:
        try:
            return await self._connect(parameters)
        except BrokerUnavailableError as error:
            self._raise_if_hopeless(error, parameters)
            address = redacted(parameters)
            _log.warning("starting without RabbitMQ", connection=self._name, address=address, reason=str(error))
            return None

    def _raise_if_hopeless(self, error: BrokerUnavailableError, parameters: pika.URLParameters) -> None:
        if error.code in (ACCESS_REFUSED, NOT_ALLOWED):
            raise StartError(f"{error} at {redacted(parameters)}: set MODELWATCH_BROKER_URL") from error

    async def _connect(self, parameters: pika.URLParameters) -> Connection:
        try:
            async with asyncio.timeout(self._settings.connect_timeout_s):
                connection = await Connection.open(parameters)
                try:
                    await self._set_up(connection)
                except BaseException:
                    await connection.hang_up("set-up failed")
                    raise
        except TimeoutError:
            raise BrokerUnavailableError(f"no answer within {self._settings.connect_timeout_s:g} s") from None
        _log.info("connected to RabbitMQ", connection=self._name, address=redacted(parameters))
        return connection

    async def _keep(self, parameters: pika.URLParameters) -> None:
        loop = asyncio.get_running_loop()
        attempt = 0
        while True:
            opened_at = loop.time()
            if self._connection is not None:
                reason = await asyncio.shield(self._connection.closed)
                _log.warning("lost the connection to RabbitMQ", connection=self._name, reason=str(reason))
            # A connection that breaks as soon as it stands must not lead to a loop without pauses.
            if loop.time() - opened_at > self._settings.reconnect_max_s:
                attempt = 0
            self._connection = None
            while self._connection is None:
                await asyncio.sleep(self._pause_s(attempt))
                attempt += 1
                self._connection = await self._reconnect(parameters)

    async def _reconnect(self, parameters: pika.URLParameters) -> Connection | None:
        try:
            connection = await self._connect(parameters)
        except (RetryableError, StartError) as error:
            _log.warning("cannot connect to RabbitMQ again yet", connection=self._name, reason=str(error))
            return None
        except Exception:
            # A mistake in a set-up must not end the one task that would mend the connection.
            _log.exception("setting up the connection to RabbitMQ failed", connection=self._name)
            return None
        self._on_reconnect()
        return connection

    def _pause_s(self, attempt: int) -> float:
        return pause_s(attempt, self._settings.reconnect_min_s, self._settings.reconnect_max_s)
