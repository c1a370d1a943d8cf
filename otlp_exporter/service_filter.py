"""Takes the resources of other services out of a request, and leaves every byte of the rest as it came.

Pure. The three requests are alike at the top: field 1, repeated, each beginning with its resource, which is field 1.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from fnmatch import translate
from typing import Final

from google.protobuf.message import DecodeError
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from telemetry.conventions import CANARY_SERVICE_NAME, SERVICE_NAME, UNKNOWN_SERVICE

_CANARY: Final = CANARY_SERVICE_NAME.encode()
_ENTRY: Final = 1
_RESOURCE: Final = 1
_FIXED_BYTES: Final = {1: 8, 5: 4}
_VARINT, _LENGTH_DELIMITED = 0, 2


class ServiceFilter:
    """Keeps services that match one of `services` and none of `excluded`; in both `*` stands for anything.

    Those whose name is among `always` are kept as well. ModelWatch's own canary, a span every few seconds, is of no
    use elsewhere: it is kept where `services` has its very name.
    """

    def __init__(self, services: Sequence[str], excluded: Sequence[str], always: Collection[str] = ()) -> None:
        self._is_open = "*" in services and not excluded
        self._has_canary = CANARY_SERVICE_NAME in services
        self._always = frozenset(always)
        self._wanted = _any_of(services)
        self._excluded = _any_of(excluded)

    def keeps(self, service: str) -> bool:
        """Tell whether a service's data is forwarded."""
        if service in self._always:
            return True
        if service == CANARY_SERVICE_NAME and not self._has_canary:
            return False
        return bool(self._wanted.fullmatch(service)) and not self._excluded.fullmatch(service)

    def apply(self, body: bytes) -> bytes:
        """Return the request without the entries of other services: the same object if there is none.

        A request that cannot be read is left as it is: the target shall judge it.
        """
        if self._is_open and (self._has_canary or _CANARY not in body):
            return body
        try:
            kept = [
                body[start:end]
                for number, start, value, end in _fields(body, 0, len(body))
                if number != _ENTRY or self.keeps(_service_of(body, value, end))
            ]
        except (DecodeError, IndexError, ValueError):
            return body
        if sum(map(len, kept)) == len(body):
            return body
        return b"".join(kept)


def _any_of(patterns: Sequence[str]) -> re.Pattern[str]:
    # Only `*` is special: service names may hold brackets and question marks.
    return re.compile("|".join(translate(re.sub(r"([\[?])", r"[\1]", pattern)) for pattern in patterns) or r"(?!)")


def _service_of(body: bytes, start: int, end: int) -> str:
    parts = [body[value:stop] for number, _, value, stop in _fields(body, start, end) if number == _RESOURCE]
    for attribute in Resource.FromString(b"".join(parts)).attributes:
        if attribute.key == SERVICE_NAME:
            return attribute.value.string_value or UNKNOWN_SERVICE
    return UNKNOWN_SERVICE


def _fields(body: bytes, at: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield number, start, start of the value and end of each field. Raises `IndexError` or `ValueError`."""
    while at < end:
        start = at
        tag, at = _varint(body, at)
        wire_type = tag & 7
        value = at
        if wire_type == _VARINT:
            _, at = _varint(body, at)
        elif wire_type == _LENGTH_DELIMITED:
            size, value = _varint(body, at)
            at = value + size
        elif wire_type in _FIXED_BYTES:
            at += _FIXED_BYTES[wire_type]
        else:
            raise ValueError(f"wire type {wire_type}")
        if at > end:
            raise ValueError("a field is longer than what holds it")
        yield tag >> 3, start, value, at


def _varint(body: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while shift < 70:
        byte = body[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise ValueError("a varint is too long")
