"""The Redis stream that the live feed runs over: how to connect, what its entries look like.

One stream for all writers. An entry holds either points or a reset; ids are Redis's own, milliseconds and a counter.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from telemetry import StartError

POINTS_FIELD: Final = b"points"
"""Field of an entry with points, as `live_codec` encodes them."""
RESET_FIELD: Final = b"reset"
"""Field of a reset: the writer's clock in Unix seconds, as decimal digits."""


class EntryId(NamedTuple):
    """The id of an entry; ids grow. The milliseconds are Redis's clock when the entry was added."""

    unix_ms: int
    counter: int

    @classmethod
    def of(cls, raw: bytes) -> EntryId:
        """Read an id such as `1763769600000-0`."""
        unix_ms, counter = raw.split(b"-")
        return cls(int(unix_ms), int(counter))

    def __str__(self) -> str:
        return f"{self.unix_ms}-{self.counter}"

    @property
    def unix_s(self) -> int:
        """The second in which the entry was added."""
        return self.unix_ms // 1_000


START: Final = EntryId(0, 0)
"""Before the first entry of any stream."""


def redis_client(url: str, timeout_s: float, on_connected: Callable[[], None] = lambda: None) -> Redis:
    """Return a client that fails within `timeout_s` instead of waiting or trying again by itself.

    `on_connected` is called after each new connection. Raises `StartError` for a URL that cannot be read.
    """

    async def connected(connection: AbstractConnection) -> None:
        await connection.on_connect()  # given a function of ours, redis-py leaves its own handshake to it
        on_connected()

    try:
        return Redis.from_url(
            url,
            # The shape of stream replies differs in RESP3, and which one redis-py speaks differs by its version.
            protocol=2,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            # redis-py would repeat a command whose answer got lost; a repeated XADD would count its points twice.
            retry=Retry(NoBackoff(), 0),
            redis_connect_func=connected,
        )
    except ValueError:
        # The error's own text would repeat a part of the address, and with it a password that is not escaped.
        raise StartError(
            "the address of Redis cannot be read: set MODELWATCH_LIVE_URL to redis://user:password@host:port/number, "
            "with special characters of the password percent-encoded"
        ) from None


def describe(error: BaseException) -> str:
    """Return an error's kind and text for a log line; redis-py's own `repr` hides the text."""
    return f"{type(error).__name__}: {error}".removesuffix(": ")
