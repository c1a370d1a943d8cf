"""Exceptions on spans: as OpenTelemetry's SDK records them, but bounded, and whatever the exception does when asked.

A model's exception may hold the request that it failed on in its message, and eight thousand spans may have to wait for
the collector. The application's own exception must go on its way even if its text cannot be had.
"""

from __future__ import annotations

import traceback
from typing import Final

from opentelemetry.semconv.attributes.error_attributes import ERROR_TYPE
from opentelemetry.trace import Span, Status, StatusCode

MAX_MESSAGE_CHARS: Final = 1024
MAX_STACKTRACE_CHARS: Final = 8192


def error_type(error: BaseException) -> str:
    """Return the full name of an exception's class, bare for builtins, as `error.type` wants it."""
    cls = type(error)
    return cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"


def mark_failed(span: Span, error: BaseException) -> None:
    """Make the span one of something that failed by an exception."""
    span.set_attribute(ERROR_TYPE, error_type(error))
    span.set_status(Status(StatusCode.ERROR, f"{type(error).__name__}: {_message(error)}"))


def record_exception(span: Span, error: BaseException) -> None:
    """Add the event `exception`, with the end of the stack trace, where it says what happened, if it is too long."""
    attributes = {
        "exception.type": error_type(error),
        "exception.message": _message(error),
        "exception.stacktrace": _stacktrace(error)[-MAX_STACKTRACE_CHARS:],
        "exception.escaped": "False",
    }
    span.add_event("exception", attributes)


def _message(error: BaseException) -> str:
    try:
        return str(error)[:MAX_MESSAGE_CHARS]
    except Exception:
        return "(it has no text: its __str__ fails)"


def _stacktrace(error: BaseException) -> str:
    """Return the stack trace with each exception's text cut, so that it cannot push the frames out."""
    try:
        lines = traceback.format_exception(error)
    except Exception:
        lines = traceback.format_tb(error.__traceback__)
    return "".join(line if len(line) <= MAX_MESSAGE_CHARS else f"{line[:MAX_MESSAGE_CHARS]}...\n" for line in lines)
