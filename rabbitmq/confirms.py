"""The messages that were published and not yet confirmed: a bounded window, by delivery tag.

Bookkeeping of the publisher without any I/O. A message leaves the window when RabbitMQ has spoken or the connection is
gone, and not when its publisher stops waiting: its bytes may still be on their way, and they are what is bounded.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from rabbitmq.errors import BrokerRefusedError, BrokerUnavailableError, MessageTooLargeError, max_message_bytes_in
from telemetry import PermanentError, RetryableError

Verdict = asyncio.Future[RetryableError | PermanentError | None]
"""Done with `None` once the message is safe, or with the error to raise."""


@dataclass(slots=True)
class _Unconfirmed:
    message_id: str | None
    body_bytes: int
    verdict: Verdict


class ConfirmWindow:
    """One channel's window: at most `max_messages` and `max_bytes`, or one larger message alone."""

    def __init__(self, max_messages: int, max_bytes: int) -> None:
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._open: dict[int, _Unconfirmed] = {}
        self._open_bytes = 0
        self._last_tag = 0

    def __len__(self) -> int:
        return len(self._open)

    def has_room(self, body_bytes: int) -> bool:
        """Tell whether another message may be published now."""
        if not self._open:
            return True
        return len(self._open) < self._max_messages and self._open_bytes + body_bytes <= self._max_bytes

    def add(self, message_id: str | None, body_bytes: int) -> Verdict:
        """Note a message that has just been published: the channel's next delivery tag is its own."""
        self._last_tag += 1
        verdict: Verdict = asyncio.get_running_loop().create_future()
        self._open[self._last_tag] = _Unconfirmed(message_id, body_bytes, verdict)
        self._open_bytes += body_bytes
        return verdict

    def take_return(self, message_id: str | None, reason: str) -> None:
        """Take note of a Basic.Return, which carries no delivery tag and comes before its confirm.

        Equal messages under way at once are all held for returned: one may be sent twice, none is lost.
        """
        for entry in self._open.values():
            if entry.message_id == message_id:
                _settle(entry.verdict, BrokerRefusedError(f"RabbitMQ has no queue for the message ({reason})"))

    def take_confirm(self, tag: int, *, is_multiple: bool, is_ack: bool) -> None:
        """Take note of a Basic.Ack or Basic.Nack of one tag, or of all up to it."""
        tags = [open_tag for open_tag in self._open if open_tag <= tag] if is_multiple else [tag]
        for one in tags:
            entry = self._open.pop(one, None)
            if entry is None:
                continue
            self._open_bytes -= entry.body_bytes
            refusal = None if is_ack else BrokerRefusedError("RabbitMQ refused the message: its queue is full")
            _settle(entry.verdict, refusal)

    def take_loss(self, reason: str) -> None:
        """The channel is gone: nothing more will be heard of what is in the window.

        When a message that is too large has closed it, every such message in the window is refused for good.
        """
        lost, self._open, self._open_bytes = self._open, {}, 0
        limit = max_message_bytes_in(reason)
        for entry in lost.values():
            if limit is not None and entry.body_bytes > limit:
                _settle(entry.verdict, MessageTooLargeError(entry.body_bytes, limit))
            else:
                _settle(entry.verdict, BrokerUnavailableError(reason))


def _settle(verdict: Verdict, error: RetryableError | PermanentError | None) -> None:
    if not verdict.done():
        verdict.set_result(error)
