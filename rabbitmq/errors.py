"""The errors that this room raises, and the one place where pika's exceptions become ours.

Whoever publishes or consumes sees `RetryableError`, `StartError`, and for a message beyond RabbitMQ's own limit
`PermanentError`; the kinds here are children of the first and the last.
"""

from __future__ import annotations

import re
from typing import Final

import pika.exceptions

from telemetry import PermanentError, RetryableError

ACCESS_REFUSED: Final = 403
NOT_FOUND: Final = 404
PRECONDITION_FAILED: Final = 406
NOT_ALLOWED: Final = 530

_TOO_LARGE: Final = re.compile(r"message size \d+ is larger than (?:configured )?max size (\d+)")


class BrokerUnavailableError(RetryableError):
    """RabbitMQ cannot be reached, hung up or did not answer. `code` is its AMQP reply code, 0 when it gave none."""

    def __init__(self, message: str, *, code: int = 0) -> None:
        super().__init__(message)
        self.code = code


class BrokerRefusedError(RetryableError):
    """RabbitMQ answers, and will not take the message now: a queue is full or missing, or memory or disk is short."""


class MessageTooLargeError(PermanentError):
    """The message is larger than RabbitMQ's `max_message_size`, which it tells of by closing the channel."""

    def __init__(self, body_bytes: int, max_message_bytes: int) -> None:
        super().__init__(
            f"the request has {body_bytes} bytes, more than RabbitMQ takes in a message ({max_message_bytes}, its "
            "max_message_size): send smaller batches, and set MODELWATCH_RABBIT_EXPORTER__MAX_MESSAGE_BYTES alike"
        )


def max_message_bytes_in(reason: str) -> int | None:
    """Return the limit that a closed channel's reason names, or `None` if it was closed for another reason."""
    found = _TOO_LARGE.search(reason)
    return int(found[1]) if found else None


def unavailable(error: BaseException) -> BrokerUnavailableError:
    """Translate what pika reports of a connection or channel that failed or was closed."""
    root = _root_of(error)
    match root:
        case pika.exceptions.ProbableAuthenticationError():
            return BrokerUnavailableError("RabbitMQ refuses the user or its password", code=ACCESS_REFUSED)
        case pika.exceptions.ProbableAccessDeniedError():
            return BrokerUnavailableError("RabbitMQ refuses the virtual host", code=NOT_ALLOWED)
        case pika.exceptions.ConnectionClosed() | pika.exceptions.ChannelClosed():
            return BrokerUnavailableError(f"RabbitMQ closed: {root.reply_text}", code=root.reply_code)
    return BrokerUnavailableError(f"no connection to RabbitMQ: {str(root) or type(root).__name__}")


def _root_of(error: BaseException) -> BaseException:
    """Dig out the cause: pika wraps a refused connection three times."""
    while True:
        inner = getattr(error, "exception", None) or (getattr(error, "exceptions", None) or (None,))[-1]
        if inner is None and error.args and isinstance(error.args[0], BaseException):
            inner = error.args[0]
        if not isinstance(inner, BaseException):
            return error
        error = inner
