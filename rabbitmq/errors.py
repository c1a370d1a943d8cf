"""The errors that this room raises, and the one place where pika's exceptions become ours.

Whoever publishes or consumes sees `RetryableError` and `StartError` only; both kinds here are children of the first.
"""

from __future__ import annotations

from typing import Final

import pika.exceptions

from telemetry import RetryableError

ACCESS_REFUSED: Final = 403
PRECONDITION_FAILED: Final = 406
NOT_ALLOWED: Final = 530


class BrokerUnavailableError(RetryableError):
    """RabbitMQ cannot be reached, hung up or did not answer. `code` is its AMQP reply code, 0 when it gave none."""

    def __init__(self, message: str, *, code: int = 0) -> None:
        super().__init__(message)
        self.code = code


class BrokerRefusedError(RetryableError):
    """RabbitMQ answers, and will not take the message now: a queue is full or missing, or memory or disk is short."""


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
