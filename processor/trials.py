"""Tells messages that end the process that works on them from those that were merely in hand when it ended.

Used by the RabbitMQ source around each attempt. RabbitMQ tells how often a message came back unacknowledged: after
deaths, restarts and lost connections alike, so that says little. What came back is worked on alone, and each such
attempt is noted in the database before it begins and again when it ends in whatever way. What was never noted as ended
is a process that ended over this message and no other.

That alone is no proof: a processor that cannot work at all dies over everything. Only deaths of processes that had
stored another batch of the same signal count against a message. A process that has not done so waits for one before it
tries what others died of, longer after each death, and then tries all the same.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

import structlog

from processor.isolation import Isolation
from processor.rabbit_source_settings import RabbitSourceSettings
from rabbitmq import Message, returns_of, signal_of
from storage.ports import Attempts
from telemetry import Counters, PermanentError, RetryableError, Signal
from telemetry.batch import BATCH_ID_BYTES

_NOTING_TIMEOUT_S: Final = 2.0
"""How long a stop may be held up by a database that does not answer."""
_LONGEST_WAIT: Final = 10
"""Deaths after which the wait for a proof grows no more."""

_log = structlog.get_logger(__name__)


class Trials:
    """Lets attempts begin, and remembers what this process has proved."""

    def __init__(self, settings: RabbitSourceSettings, attempts: Attempts, counters: Counters) -> None:
        self._settings = settings
        self._attempts = attempts
        self._counters = counters
        self._isolation = Isolation()
        self._proved: set[Signal] = set()
        self._began_s: float | None = None
        self._unended: dict[bytes, int] = {}
        """Attempts of this process that are noted as begun: how many others were."""

    @asynccontextmanager
    async def attempt(self, message: Message) -> AsyncIterator[None]:
        """Hold for one attempt at a message; what it raises comes through.

        Raises `PermanentError` for a message that ended too many processes, `RetryableError` when it cannot begin.
        """
        signal = signal_of(message)
        if not self._is_suspect(message):
            async with self._isolation.together():
                yield
        else:
            async with self._isolation.alone(), self._noted(signal, message):
                yield
        self._proved.add(signal)

    async def forget(self, message: Message) -> None:
        """Let nothing be held against a message any more, which was stored or set aside."""
        if self._is_suspect(message):
            for is_proved in (True, False):
                key = _key_of(message, is_proved)
                self._unended.pop(key, None)
                with suppress(RetryableError, TimeoutError):  # it expires by itself
                    async with asyncio.timeout(_NOTING_TIMEOUT_S):
                        await self._attempts.forget(key)

    def _is_suspect(self, message: Message) -> bool:
        return returns_of(message) >= self._settings.lone_after_returns

    @asynccontextmanager
    async def _noted(self, signal: Signal, message: Message) -> AsyncIterator[None]:
        is_proved = signal in self._proved
        key = _key_of(message, is_proved)
        deaths = await self._begin(key)
        try:
            self._judge(deaths, is_proved)
            self._counters.add("rabbit_source_lone_attempts")
            if deaths:
                message_id = message.properties.message_id
                _log.warning("working alone on a message that processes ended over", message_id=message_id, ends=deaths)
            yield
        except PermanentError:
            raise  # noted until it is among the dead letters
        except BaseException:
            await self._end(key)
            raise
        await self.forget(message)

    def _judge(self, deaths: int, is_proved: bool) -> None:
        """Raise if a message that so many processes ended over must not be tried, or not yet."""
        if is_proved and deaths >= self._settings.max_lone_deaths:
            raise PermanentError(
                f"{deaths} processes ended while they worked on this message and on nothing else, each after it had "
                "stored others"
            )
        now_s = asyncio.get_running_loop().time()
        if self._began_s is None:
            self._began_s = now_s
        wait_s = self._settings.lone_pause_s * min(deaths, _LONGEST_WAIT)
        if not is_proved and now_s < self._began_s + wait_s:
            raise RetryableError(
                f"processes ended over a message, {deaths} so far: waiting up to {wait_s:g} s for another to be stored"
            )

    async def _begin(self, key: bytes) -> int:
        if key not in self._unended:
            self._unended[key] = await self._attempts.begin(key)
        return self._unended[key]

    async def _end(self, key: bytes) -> None:
        """Note the end; while the database does not take it, the attempt goes on as far as anybody knows."""
        with suppress(RetryableError, TimeoutError):
            async with asyncio.timeout(_NOTING_TIMEOUT_S):
                await self._attempts.end(key)
            self._unended.pop(key, None)


def _key_of(message: Message, is_proved: bool) -> bytes:
    """Return the id under which attempts are noted: those of processes that had proved themselves, or the others."""
    person = b"proved" if is_proved else b"unproved"
    return hashlib.blake2b(message.body, digest_size=BATCH_ID_BYTES, person=person).digest()
