"""The classes of error that rooms exchange: try again, never try again, cannot start.

Driver exceptions are translated into these in the adapter that owns the driver; each protocol has one function that
maps them to a status.
"""

from __future__ import annotations


class ModelWatchError(Exception):
    """Base of all errors that cross a room's border. The message says what was wrong, where, and what to do."""


class RetryableError(ModelWatchError):
    """Nothing was kept; the same request may succeed later. `retry_after_s` is a hint in seconds.

    SDKs give up after about 10 s in all, so hints stay at 1 to 3 s (OTLP specification, "OTLP/gRPC Throttling").
    """

    def __init__(self, message: str, *, retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class PermanentError(ModelWatchError):
    """The same request can never succeed: the data itself is at fault."""


class StartError(ModelWatchError):
    """A component cannot start. The message is one line that names the setting to change."""
