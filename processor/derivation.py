"""The rules that turn a span's attributes into the series it belongs to and the outcome it counts as.

Pure; the decoder applies them once for each combination of resource, kind, status and attributes that it meets.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from telemetry import SeriesKey, SpanKind, conventions

Scalar = str | int | float | bool
"""What an attribute must be to be read. Arrays, maps, bytes and empty values count as absent."""

RED_SPAN_KINDS: Final = {2: SpanKind.SERVER, 5: SpanKind.CONSUMER}
"""The kinds that RED figures are derived from, by their number in OTLP (`Span.SpanKind`)."""

STATUS_CODE_ERROR: Final = 2
"""`Status.StatusCode.STATUS_CODE_ERROR` of OTLP."""

EARLIEST_UNIX_NANO: Final = 946_684_800 * 10**9
"""2000-01-01: a span that claims to have started or ended before was stamped by a clock that was never set."""

RESOURCE_KEYS: Final = frozenset(
    {
        conventions.SERVICE_NAME,
        conventions.SERVICE_VERSION,
        conventions.SERVICE_INSTANCE_ID,
        conventions.DEPLOYMENT_ENVIRONMENT,
        conventions.DEPLOYMENT_ENVIRONMENT_OLD,
        conventions.MODEL_NAME,
        conventions.MODEL_VERSION,
    }
)
SPAN_KEYS: Final = frozenset(
    {
        conventions.HTTP_REQUEST_METHOD,
        conventions.HTTP_METHOD_OLD,
        conventions.HTTP_ROUTE,
        conventions.HTTP_RESPONSE_STATUS_CODE,
        conventions.HTTP_STATUS_CODE_OLD,
        conventions.MODEL_NAME,
        conventions.MODEL_VERSION,
    }
)

_HTTP_METHODS: Final = frozenset(
    {"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"}
)
_OTHER_METHOD: Final = "_OTHER"


def series_of(
    kind: SpanKind, resource: Mapping[str, Scalar], attributes: Mapping[str, Scalar], text_limit_chars: int
) -> SeriesKey:
    """Return the series of a span; texts are cut to `text_limit_chars` characters.

    New names win over old ones, a span's model over its resource's. A span without `http.route` has no route: the
    raw path would make a series of every URL that somebody tries.
    """

    def text(*candidates: Scalar | None) -> str:
        return next((found for value in candidates if (found := text_of(value, text_limit_chars))), "")

    return SeriesKey(
        service_name=text(resource.get(conventions.SERVICE_NAME)) or conventions.UNKNOWN_SERVICE,
        service_version=text(resource.get(conventions.SERVICE_VERSION)),
        service_instance_id=text(resource.get(conventions.SERVICE_INSTANCE_ID)),
        deployment_environment=text(
            resource.get(conventions.DEPLOYMENT_ENVIRONMENT), resource.get(conventions.DEPLOYMENT_ENVIRONMENT_OLD)
        ),
        model_name=text(attributes.get(conventions.MODEL_NAME), resource.get(conventions.MODEL_NAME)),
        model_version=text(attributes.get(conventions.MODEL_VERSION), resource.get(conventions.MODEL_VERSION)),
        span_kind=kind,
        http_method=_known_method(
            text(attributes.get(conventions.HTTP_REQUEST_METHOD), attributes.get(conventions.HTTP_METHOD_OLD))
        ),
        http_route=text(attributes.get(conventions.HTTP_ROUTE)),
        http_status_class=_status_class(http_status_code_of(attributes)),
    )


def is_error(status_code: int, attributes: Mapping[str, Scalar]) -> bool:
    """Tell whether a span failed: its status is ERROR, or the HTTP status is 500 or above.

    4xx are the caller's mistakes (semantic conventions, "HTTP spans", Status): a series of their own, no errors.
    """
    http_status_code = http_status_code_of(attributes)
    return status_code == STATUS_CODE_ERROR or (http_status_code is not None and http_status_code >= 500)


def http_status_code_of(attributes: Mapping[str, Scalar]) -> int | None:
    """Return the HTTP status, from the new name or else the old one, written as a number or as digits."""
    for key in (conventions.HTTP_RESPONSE_STATUS_CODE, conventions.HTTP_STATUS_CODE_OLD):
        code = _whole_number(attributes.get(key))
        if code is not None:
            return code
    return None


def text_of(value: Scalar | None, limit_chars: int) -> str:
    """Return a value as text that every store accepts: no NUL (Postgres refuses it), at most `limit_chars` long."""
    if value is None:
        return ""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return text[:limit_chars].replace("\0", "\ufffd")


def _whole_number(value: Scalar | None) -> int | None:
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, str):
        # Long digit strings are no status, and int() takes quadratic time over them.
        return int(value) if len(value) <= 18 and value.isascii() and value.isdigit() else None
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    return value


def _status_class(code: int | None) -> str:
    return f"{code // 100}xx" if code is not None and 100 <= code <= 599 else ""


def _known_method(method: str) -> str:
    """Return the method as the stable conventions want it, so that made-up methods make no new series."""
    if not method or method.upper() in _HTTP_METHODS:
        return method.upper()
    return _OTHER_METHOD
