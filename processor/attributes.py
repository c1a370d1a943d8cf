"""Attributes read from their bytes, each distinct one once: bounded caches from bytes to meaning.

The decoder looks every attribute of every span up here. Spans of a service repeat the same few attributes, so nearly
all look-ups are hits, and a hit is a hash of some 30 bytes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Final

from processor.derivation import Scalar

_CACHEABLE_BYTES: Final = 1024
"""Longer attributes are read each time: they hardly repeat, and the cache is bounded by number."""


class Attribute:
    """An attribute that series are derived from. Equal only to itself, so that hashing it costs nothing."""

    __slots__ = ("key", "value")

    def __init__(self, key: str, value: Scalar) -> None:
        self.key = key
        self.value = value


class AttributeCache(dict[bytes, Attribute | None]):
    """`cache[raw]` is the `Attribute` that the bytes of a `KeyValue` hold, `None` if nothing is derived from it.

    At most `limit` entries. Attributes of no interest may be different in every span (`client.port`, `url.path`):
    they are told apart without parsing, and making room for them forgets only their like, so they do not drive out
    what is worth keeping. `parse` makes a `KeyValue` of the projection; its `DecodeError` passes through.
    """

    def __init__(self, keys: Collection[str], parse: Callable[[bytes], Any], limit: int) -> None:
        super().__init__()
        self._keys = frozenset(keys)
        self._parse = parse
        self._limit = limit
        self._kept: dict[bytes, Attribute | None] = {}
        # However a KeyValue is encoded, its key stands in it in one piece: bytes that contain none of the keys
        # cannot be of interest. Bytes that do contain one (perhaps inside a value) are parsed.
        self._may_be_wanted = re.compile(b"|".join(re.escape(key.encode()) for key in sorted(keys))).search

    def __missing__(self, raw: bytes) -> Attribute | None:
        attribute = self._read(raw) if self._may_be_wanted(raw) else None
        if len(raw) <= _CACHEABLE_BYTES:
            self._keep(raw, attribute)
        return attribute

    def _read(self, raw: bytes) -> Attribute | None:
        message = self._parse(raw)
        key = _text(message.key)
        value = scalar_of(message.value)
        return Attribute(key, value) if key in self._keys and value is not None else None

    def _keep(self, raw: bytes, attribute: Attribute | None) -> None:
        if len(self) >= self._limit:
            if len(self._kept) > self._limit // 2:
                self._kept.clear()
            self.clear()
            self.update(self._kept)
        self[raw] = attribute
        if attribute is not None:
            self._kept[raw] = attribute


class Resource:
    """The attributes of a resource that series are derived from. Equal only to itself, like `Attribute`."""

    __slots__ = ("attributes",)

    def __init__(self, attributes: Mapping[str, Scalar]) -> None:
        self.attributes = attributes


class ResourceCache(dict[bytes, Resource]):
    """`cache[raw]` is the `Resource` that the bytes hold; at most `limit` entries.

    `parse` makes a `Resource` of the projection; its `DecodeError` passes through.
    """

    def __init__(self, keys: Collection[str], parse: Callable[[bytes], Any], limit: int) -> None:
        super().__init__()
        self._keys = frozenset(keys)
        self._parse = parse
        self._limit = limit

    def __missing__(self, raw: bytes) -> Resource:
        pairs = ((_text(message.key), scalar_of(message.value)) for message in self._parse(raw).attributes)
        resource = Resource(_last_values((key, value) for key, value in pairs if key in self._keys))
        if len(self) >= self._limit:
            self.clear()
        self[raw] = resource
        return resource


def values_of(attributes: Iterable[Attribute]) -> dict[str, Scalar]:
    """Return value by key. Of a key that occurs twice the last value counts (OTLP leaves that open)."""
    return {attribute.key: attribute.value for attribute in attributes}


def scalar_of(message: Any) -> Scalar | None:
    """Return what an `AnyValue` of the projection holds, `None` if it is empty, bytes, an array or a map."""
    match message.WhichOneof("value"):
        case "string_value":
            return _text(message.string_value)
        case "int_value":
            return int(message.int_value)
        case "double_value":
            return float(message.double_value)
        case "bool_value":
            return bool(message.bool_value)
    return None


def _last_values(pairs: Iterable[tuple[str, Scalar | None]]) -> dict[str, Scalar]:
    return {key: value for key, value in pairs if value is not None}


def _text(raw: bytes) -> str:
    return raw.decode(errors="replace")
