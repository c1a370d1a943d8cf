"""Cuts a valid request that is too large for the next stage into several, each complete with its resource and scope.

Called by the intake in a worker thread, after the inspection. The same request is always cut the same way, so that what
is sent again after a failure half way has the same batch ids.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from otlp_receiver.errors import TooLargeError
from otlp_receiver.wire import field_at, header

_RESOURCES: Final = 1
"""`resource_spans`, `resource_metrics` and `resource_logs` in their requests."""
_INNER: Final = 2
"""`scope_spans` and the like in a resource, `spans`, `metrics` and `log_records` in a scope."""
_HEADERS_BYTES: Final = 24
"""At most, of a resource and a scope in a part."""


@dataclass(slots=True)
class _Scope:
    """What a part holds of one scope: the fields that stand beside its items, and some of its items."""

    beside: bytes
    items: list[memoryview] = field(default_factory=list)


@dataclass(slots=True)
class _Resource:
    """What a part holds of one resource: the fields that stand beside its scopes, and its scopes by their number."""

    beside: bytes
    scopes: dict[int, _Scope] = field(default_factory=dict)


def split(request: bytes, max_bytes: int) -> list[bytes]:
    """Return requests of at most `max_bytes` that together hold every item once, in order.

    Raises `TooLargeError` if a single item (a span, a metric with all its points, a log record) does not fit.
    """
    return [part for part in _parts(memoryview(request), max_bytes) if part]


def _parts(view: memoryview, max_bytes: int) -> Iterator[bytes]:
    part: dict[int, _Resource] = {}
    size = 0
    for resource_number, resource in enumerate(_payloads(view, _RESOURCES)):
        beside_resource = _others(resource)
        for scope_number, scope in enumerate(_payloads(resource, _INNER)):
            beside_scope = _others(scope)
            around = len(beside_resource) + len(beside_scope) + _HEADERS_BYTES
            for item in _fields(scope, _INNER):
                is_new = resource_number not in part or scope_number not in part[resource_number].scopes
                if size + len(item) + is_new * around > max_bytes:
                    yield _request(part)
                    part, size, is_new = {}, 0, True
                    if len(item) + around > max_bytes:
                        raise TooLargeError(
                            f"a single item of {len(item)} bytes is larger than the next stage takes, {max_bytes} bytes"
                        )
                into = part.setdefault(resource_number, _Resource(beside_resource))
                into.scopes.setdefault(scope_number, _Scope(beside_scope)).items.append(item)
                size += len(item) + is_new * around
    yield _request(part)


def _request(part: dict[int, _Resource]) -> bytes:
    resources = []
    for resource in part.values():
        scopes = b"".join(
            _message(_INNER, b"".join((scope.beside, *scope.items))) for scope in resource.scopes.values()
        )
        resources.append(_message(_RESOURCES, resource.beside + scopes))
    return b"".join(resources)


def _message(number: int, payload: bytes) -> bytes:
    return header(number, len(payload)) + payload


def _payloads(view: memoryview, number: int) -> Iterator[memoryview]:
    for found, payload, _, end in _walk(view):
        if found == number and payload is not None:
            yield view[payload:end]


def _fields(view: memoryview, number: int) -> Iterator[memoryview]:
    """Yield the fields with this number as they are, tag and length included."""
    for found, payload, start, end in _walk(view):
        if found == number and payload is not None:
            yield view[start:end]


def _others(view: memoryview) -> bytes:
    """Return the fields with any other number than `_INNER`."""
    return b"".join(view[start:end] for found, _, start, end in _walk(view) if found != _INNER)


def _walk(view: memoryview) -> Iterator[tuple[int, int | None, int, int]]:
    """Yield number, start of the payload, start and end of each field."""
    position = 0
    while position < len(view):
        found = field_at(view, position)
        if found is None:
            raise TooLargeError("the request is too large for the next stage and cannot be cut")
        number, payload, end = found
        yield number, payload, position, end
        position = end
