"""The rules that turn a span's attributes into the series it belongs to and the outcome it counts as.

Pure; the decoder applies them once for each combination of resource, kind, status and attributes that it meets. What
a span says of HTTP, RPC, messaging, databases and models is read in the words of the semantic conventions, new ones
before old ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from telemetry import SeriesKey, SpanKind
from telemetry import conventions as names

Scalar = str | int | float | bool
"""What an attribute must be to be read. Arrays, maps, bytes and empty values count as absent."""

STATUS_CODE_ERROR: Final = 2
"""`Status.StatusCode.STATUS_CODE_ERROR` of OTLP."""

EARLIEST_UNIX_NANO: Final = 946_684_800 * 10**9
"""2000-01-01: a span that claims to have started or ended before was stamped by a clock that was never set."""

RESOURCE_KEYS: Final = frozenset(
    {
        names.SERVICE_NAME,
        names.SERVICE_VERSION,
        names.SERVICE_INSTANCE_ID,
        names.DEPLOYMENT_ENVIRONMENT,
        names.DEPLOYMENT_ENVIRONMENT_OLD,
        names.MODEL_NAME,
        names.MODEL_VERSION,
    }
)

_MODEL_KEYS: Final = frozenset(
    {names.MODEL_NAME, names.MODEL_VERSION, names.MODEL_OPERATION, names.GEN_AI_MODEL, names.GEN_AI_OPERATION}
)
_HTTP_KEYS: Final = frozenset(
    {
        names.HTTP_REQUEST_METHOD,
        names.HTTP_METHOD_OLD,
        names.HTTP_RESPONSE_STATUS_CODE,
        names.HTTP_STATUS_CODE_OLD,
    }
)
_RPC_KEYS: Final = frozenset(
    {
        names.RPC_SYSTEM,
        names.RPC_SYSTEM_OLD,
        names.RPC_SERVICE,
        names.RPC_METHOD,
        names.RPC_STATUS_CODE,
        names.RPC_GRPC_STATUS_CODE_OLD,
    }
)
_MESSAGING_KEYS: Final = frozenset(
    {
        names.MESSAGING_SYSTEM,
        names.MESSAGING_DESTINATION_TEMPLATE,
        names.MESSAGING_DESTINATION,
        names.MESSAGING_DESTINATION_OLD,
        names.MESSAGING_DESTINATION_TEMPORARY,
        names.MESSAGING_DESTINATION_ANONYMOUS,
    }
)
_PEER_KEYS: Final = frozenset(
    {
        names.PEER_SERVICE,
        names.PEER_SERVICE_OLD,
        names.SERVER_ADDRESS,
        names.SERVER_ADDRESS_OLD,
        names.DB_SYSTEM,
        names.DB_SYSTEM_OLD,
        names.DB_OPERATION,
        names.DB_OPERATION_OLD,
        names.DB_COLLECTION,
        names.DB_COLLECTION_OLD,
        names.GEN_AI_PROVIDER,
        names.GEN_AI_PROVIDER_OLD,
        names.URL_TEMPLATE,
    }
)

KIND_OF: Final[Mapping[int, SpanKind]] = {
    0: SpanKind.INTERNAL,  # "unspecified" is to be read as internal (trace.proto)
    1: SpanKind.INTERNAL,
    2: SpanKind.SERVER,
    3: SpanKind.CLIENT,
    4: SpanKind.PRODUCER,
    5: SpanKind.CONSUMER,
}
"""By their number in OTLP (`Span.SpanKind`); other numbers are not understood."""

KEYS_OF: Final[Mapping[SpanKind, frozenset[str]]] = {
    SpanKind.SERVER: _HTTP_KEYS | _RPC_KEYS | _MODEL_KEYS | {names.HTTP_ROUTE},
    SpanKind.CONSUMER: _HTTP_KEYS | _MESSAGING_KEYS | _MODEL_KEYS | {names.HTTP_ROUTE},
    SpanKind.CLIENT: _HTTP_KEYS | _RPC_KEYS | _MESSAGING_KEYS | _PEER_KEYS | _MODEL_KEYS,
    SpanKind.PRODUCER: _MESSAGING_KEYS | _PEER_KEYS | _MODEL_KEYS,
    SpanKind.INTERNAL: _MODEL_KEYS,
}
"""The attributes that are read of spans of each kind: whatever else varies must not cost anything."""

_HTTP_METHODS: Final = frozenset(
    {"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"}
)
_OTHER_METHOD: Final = "_OTHER"

_RPC_SERVER_ERRORS: Final = {
    2: "UNKNOWN",
    4: "DEADLINE_EXCEEDED",
    12: "UNIMPLEMENTED",
    13: "INTERNAL",
    14: "UNAVAILABLE",
    15: "DATA_LOSS",
}
"""The gRPC status codes that are the server's fault (semantic conventions, "gRPC", Status)."""

Attributes = Mapping[str, Scalar]
_Text = Callable[..., str]


def series_of(kind: SpanKind, resource: Attributes, attributes: Attributes, text_limit_chars: int) -> SeriesKey | None:
    """Return the series of a span, `None` if none is kept of its kind; texts are cut to `text_limit_chars` characters.

    New names win over old ones, a span's model over its resource's. INTERNAL spans count only if they carry a model.
    """

    def text(*candidates: Scalar | None) -> str:
        return next((found for value in candidates if (found := text_of(value, text_limit_chars))), "")

    model_name = text(attributes.get(names.MODEL_NAME), attributes.get(names.GEN_AI_MODEL))
    if kind is SpanKind.INTERNAL and not model_name:
        return None
    service_name = text(resource.get(names.SERVICE_NAME)) or names.UNKNOWN_SERVICE
    if service_name == names.CANARY_SERVICE_NAME:
        # One series, whatever else the span says.
        return SeriesKey(
            service_name,
            service_instance_id=text(resource.get(names.SERVICE_INSTANCE_ID)),
            span_kind=SpanKind.CANARY,
        )
    method = text(attributes.get(names.HTTP_REQUEST_METHOD), attributes.get(names.HTTP_METHOD_OLD))
    return SeriesKey(
        service_name=service_name,
        service_version=text(resource.get(names.SERVICE_VERSION)),
        service_instance_id=text(resource.get(names.SERVICE_INSTANCE_ID)),
        deployment_environment=text(
            resource.get(names.DEPLOYMENT_ENVIRONMENT), resource.get(names.DEPLOYMENT_ENVIRONMENT_OLD)
        ),
        model_name=model_name or text(resource.get(names.MODEL_NAME)),
        model_version=text(attributes.get(names.MODEL_VERSION), resource.get(names.MODEL_VERSION)),
        span_kind=kind,
        http_method=_known_method(method),
        http_route=_route(text(attributes.get(names.HTTP_ROUTE), attributes.get(names.URL_TEMPLATE))),
        http_status_class=_status_class(http_status_code_of(attributes)),
        peer=_peer(attributes, text) if kind in (SpanKind.CLIENT, SpanKind.PRODUCER) else "",
        operation=_operation(attributes, text)[:text_limit_chars],
    )


def plain_series_of(kind: SpanKind, resource: Attributes, text_limit_chars: int) -> SeriesKey:
    """Return what the resource alone tells of a span, such as one of a kind that no series is kept of."""
    any_model = {names.MODEL_NAME: "any"}
    series = series_of(kind, resource, any_model, text_limit_chars)
    assert series is not None  # a span with a model has one
    return series._replace(model_name=text_of(resource.get(names.MODEL_NAME), text_limit_chars))


def is_error(kind: SpanKind, status_code: int, attributes: Attributes) -> bool:
    """Tell whether a span failed: its status is ERROR, or the code of HTTP or gRPC says so.

    To a server 4xx are the caller's mistakes (a series of their own, no errors), to a client they are errors (semantic
    conventions, "HTTP spans", Status); for gRPC likewise.
    """
    if status_code == STATUS_CODE_ERROR:
        return True
    is_client = kind is SpanKind.CLIENT
    http_status_code = http_status_code_of(attributes)
    if http_status_code is not None and http_status_code >= (400 if is_client else 500):
        return True
    # Also beside an HTTP status, which is 200 for calls over HTTP/2 that failed.
    for key in (names.RPC_STATUS_CODE, names.RPC_GRPC_STATUS_CODE_OLD):
        code = attributes.get(key)
        if code is not None:
            return code not in (0, "0", "OK", "") if is_client else _is_rpc_server_error(code)
    return False


def http_status_code_of(attributes: Attributes) -> int | None:
    """Return the HTTP status, from the new name or else the old one, written as a number or as digits."""
    for key in (names.HTTP_RESPONSE_STATUS_CODE, names.HTTP_STATUS_CODE_OLD):
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


def _peer(attributes: Attributes, text: _Text) -> str:
    """Return whom the span asked: a named service, else the kind of system, else its address."""
    return text(
        attributes.get(names.PEER_SERVICE),
        attributes.get(names.PEER_SERVICE_OLD),
        attributes.get(names.DB_SYSTEM),
        attributes.get(names.DB_SYSTEM_OLD),
        attributes.get(names.MESSAGING_SYSTEM),
        attributes.get(names.GEN_AI_PROVIDER),
        attributes.get(names.GEN_AI_PROVIDER_OLD),
        attributes.get(names.SERVER_ADDRESS),
        attributes.get(names.SERVER_ADDRESS_OLD),
    )


def _operation(attributes: Attributes, text: _Text) -> str:
    """Return what was called, where that is no HTTP route."""
    method = text(attributes.get(names.RPC_METHOD))
    if method and not attributes.get(names.HTTP_ROUTE):
        service = text(attributes.get(names.RPC_SERVICE))
        return method if "/" in method or not service else f"{service}/{method}"
    if destination := _destination(attributes, text):
        return destination
    statement = (
        text(attributes.get(names.DB_OPERATION), attributes.get(names.DB_OPERATION_OLD)),
        text(attributes.get(names.DB_COLLECTION), attributes.get(names.DB_COLLECTION_OLD)),
    )
    return " ".join(filter(None, statement)) or text(
        attributes.get(names.MODEL_OPERATION), attributes.get(names.GEN_AI_OPERATION)
    )


def _destination(attributes: Attributes, text: _Text) -> str:
    """Return the destination's template, or its name unless the name was made up for a moment."""
    if template := text(attributes.get(names.MESSAGING_DESTINATION_TEMPLATE)):
        return template
    if attributes.get(names.MESSAGING_DESTINATION_TEMPORARY) is True:
        return "(temporary)"
    if attributes.get(names.MESSAGING_DESTINATION_ANONYMOUS) is True:
        return "(anonymous)"
    return text(attributes.get(names.MESSAGING_DESTINATION), attributes.get(names.MESSAGING_DESTINATION_OLD))


def _route(template: str) -> str:
    """Return a route with the slash at its beginning that ASP.NET leaves out."""
    return f"/{template}" if template and template[0] not in "/*" else template


def _is_rpc_server_error(code: Scalar) -> bool:
    return _whole_number(code) in _RPC_SERVER_ERRORS or code in _RPC_SERVER_ERRORS.values()


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
