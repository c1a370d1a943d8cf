"""The receiver's own children of the two classes of error.

Raised while a request is read and judged; `statuses` maps them to what each protocol answers.
"""

from telemetry import PermanentError, RetryableError


class MalformedError(PermanentError):
    """The body is not what its headers and its path say that it is."""


class TooLargeError(PermanentError):
    """The request exceeds `max_request_bytes`, as sent or after decompression."""


class HeadersTooLargeError(PermanentError):
    """OTLP/HTTP: the head of the request exceeds `max_header_bytes`."""


class UnauthenticatedError(PermanentError):
    """The request carries no valid ingest key."""


class UnknownPathError(PermanentError):
    """OTLP/HTTP: nothing is served under this path."""


class WrongMethodError(PermanentError):
    """OTLP/HTTP: not a POST."""


class UnsupportedMediaTypeError(PermanentError):
    """OTLP/HTTP: a content type or content encoding that is not understood."""


class OverloadedError(RetryableError):
    """As much is in flight as the settings allow, or the receiver is stopping."""
