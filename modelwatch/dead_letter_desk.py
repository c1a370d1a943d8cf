"""The dead letters of RabbitMQ for the page of the pipeline, which knows nothing of RabbitMQ.

The command line has more: `dead_letters.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from pydantic import SecretStr

from dash_app.pipeline.dead_letters import ListedLetter
from rabbitmq.dead_letters import DeadLetter, Fate, go_through
from rabbitmq.message import signal_of
from rabbitmq.settings import RabbitSettings
from telemetry import PermanentError

MOST_REPLAYED: Final = 1_000
"""At one press: whoever pressed waits for it."""
_NS_PER_S: Final = 1_000_000_000


class RabbitDeadLetters:
    """A `DeadLetterDesk`. One look at a time: letters in one's hands are not there for another."""

    def __init__(self, url: SecretStr, settings: RabbitSettings) -> None:
        self._url = url
        self._settings = settings
        self._turn = asyncio.Lock()

    async def letters(self, most: int) -> tuple[int, Sequence[ListedLetter]]:
        """Return how many there are, and the oldest of them."""
        found: list[ListedLetter] = []

        def keep(letter: DeadLetter) -> Fate:
            found.append(_listed(letter))
            return Fate.KEEP

        async with self._turn:
            count = await go_through(self._url, self._settings, keep, most)
        return count, found

    async def replay(self, letter_id: str | None) -> int:
        """Send one, or the oldest thousand, to the processors again; return how many that were.

        Of all, those are left that nobody could send anywhere, as nothing says of what signal they are.
        """
        done = 0

        def decide(letter: DeadLetter) -> Fate:
            nonlocal done
            if letter_id != letter.letter_id and (letter_id is not None or not _has_signal(letter)):
                return Fate.KEEP
            done += 1
            return Fate.REPLAY

        async with self._turn:
            await go_through(self._url, self._settings, decide, MOST_REPLAYED)
        return done


def _has_signal(letter: DeadLetter) -> bool:
    try:
        signal_of(letter.message)
    except PermanentError:
        return False
    return True


def _listed(letter: DeadLetter) -> ListedLetter:
    received = letter.received_unix_nano
    received_s = None if received is None else received // _NS_PER_S
    return ListedLetter(
        letter.letter_id, letter.signal, letter.item_count, letter.body_bytes, received_s, letter.reason
    )
