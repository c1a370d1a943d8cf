"""How an attempt to deliver ended, and what follows from it: one place for webhooks, mail and all that Apprise knows.

Messages are shown to people: they name what happened, never the target.
"""

from __future__ import annotations

import math
import time
from email.utils import parsedate_to_datetime
from typing import Final, Literal, NamedTuple

from telemetry import PermanentError, RetryableError

Trouble = Literal["", "address", "connection", "cut", "tls", "timeout", "url", "local", "unknown"]

ALLOW_SETTING: Final = "MODELWATCH_ALERTS__ALLOWED_NETWORKS"
_LATER: Final = frozenset({408, 425, 429})
_UNSUPPORTED: Final = frozenset({500, 502})
"""Replies of mail servers to commands that they do not know, after which a client goes on without."""


class Outcome(NamedTuple):
    """What is known of an attempt: the last HTTP status and SMTP reply, 0 without one."""

    is_taken: bool
    trouble: Trouble = ""
    status: int = 0
    smtp_code: int = 0
    retry_after_s: float = 0.0


def conclude(outcome: Outcome) -> None:
    """Return if the target has taken it. Raises `RetryableError` or `PermanentError`."""
    if outcome.is_taken:
        return
    if outcome.trouble == "address":
        raise PermanentError(f"its address is not a public one: allow its network with {ALLOW_SETTING}")
    if outcome.trouble == "url":
        raise PermanentError("its URL is none that Apprise can read: see docs/alert-channels.md for examples")
    if outcome.trouble == "local":
        raise PermanentError("it would start a program on this machine, or write to its log, which no channel may")
    if outcome.trouble == "tls":
        raise RetryableError("its certificate is not trusted, or TLS failed", retry_after_s=0)
    if outcome.trouble == "timeout":
        raise RetryableError("it did not answer in time", retry_after_s=0)
    if outcome.trouble == "connection":
        raise RetryableError("it cannot be reached: no such name, or no connection", retry_after_s=0)
    if outcome.trouble == "cut":
        raise RetryableError("the connection was cut before there was an answer", retry_after_s=0)
    _conclude_status(outcome)
    _conclude_smtp(outcome.smtp_code)
    raise RetryableError("it did not take the message", retry_after_s=0)


def _conclude_status(outcome: Outcome) -> None:
    status = outcome.status
    if 300 <= status < 400:
        raise PermanentError(f"it answered with a redirect ({status}), which is not followed: set the final address")
    if status in _LATER or status >= 500:
        raise RetryableError(f"it answered {status}", retry_after_s=outcome.retry_after_s)
    if status >= 400:
        raise PermanentError(f"it answered {status}: the message was refused")


def _conclude_smtp(code: int) -> None:
    if code >= 500 and code not in _UNSUPPORTED:
        raise PermanentError(f"the mail server answered {code}: the message was refused")
    if code >= 400:
        raise RetryableError(f"the mail server answered {code}", retry_after_s=0)


def retry_after_s(header: str | None, now_s: float | None = None) -> float:
    """Return the seconds that a `Retry-After` header asks for, written as seconds or as a date; else 0 (RFC 9110)."""
    if not header:
        return 0.0
    text = header.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        at_s = parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return 0.0
    wait_s = at_s - (time.time() if now_s is None else now_s)
    return wait_s if math.isfinite(wait_s) and wait_s > 0 else 0.0
