"""Attributes read from their bytes, each distinct one once: bounded caches from bytes to meaning.

The decoder looks every attribute of every span up here. Spans of a service repeat the same few attributes, so nearly
all look-ups are hits, and a hit is a hash of some 30 bytes.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Final

from processor.derivation import Scalar
from processor.instances import INSTANCE_KEYS, instance_of

_CACHEABLE_BYTES: Final = 1024
"""Longer attributes are read each time: they hardly repeat, and the cache is bounded by number."""
_REMEMBERED_VALUES: Final = 64
"""How many values of a key of no interest are remembered: enough for hosts and user agents, too few for ports."""
_KEY_TAG: Final = bytes([1 << 3 | 2])
_VALUE_TAG: Final = bytes([2 << 3 | 2])
"""How the fields of a `KeyValue` begin on the wire: field number and wire type (length-delimited)."""
_TWO_BYTE_LENGTH: Final = 128


class Attribute:
    """An attribute that series are derived from. Equal only to itself, so that hashing it costs nothing."""

    __slots__ = ("key", "value")

    def __init__(self, key: str, value: Scalar) -> None:
        self.key = key
        self.value = value


class AttributeCache(dict[bytes, Attribute | None]):
    """`cache[raw]` is the `Attribute` that the bytes of a `KeyValue` hold, `None` if nothing is derived from it.

    At most `limit` entries. Attributes of no interest may be different in every span (`client.port`, `url.path`):
    of each such key only a few values are remembered, and further ones are recognised by the key. `parse` makes a
    `KeyValue` of the projection; its `DecodeError` passes through.
    """

    def __init__(self, keys: Collection[str], parse: Callable[[bytes], Any], limit: int) -> None:
        super().__init__()
        self._keys = frozenset(keys)
        self._parse = parse
        self._limit = limit
        # However a KeyValue is encoded, its key stands in it in one piece: bytes without any of the keys are of no
        # interest. Bytes with one, perhaps inside a value, are parsed.
        self._mentions_key = re.compile(b"|".join(re.escape(key.encode()) for key in sorted(keys))).search
        self._value_counts: Counter[bytes] = Counter()
        self._varying_heads: set[bytes] = set()

    def __missing__(self, raw: bytes) -> Attribute | None:
        # The usual encoding of a short attribute: tag, length, key, tag, length, value, and nothing else. The head is
        # all but the last two; what follows it here cannot change the key any more.
        try:
            head_end = raw[1] + 3
            head = raw[:head_end]
            if head in self._varying_heads and (
                raw[head_end] == len(raw) - head_end - 1 < _TWO_BYTE_LENGTH or _is_one_long_value(raw, head_end)
            ):
                return None
        except IndexError:
            head = b""
        if len(self) >= self._limit:
            self._forget()
        attribute = None
        if self._mentions_key(raw):
            attribute = self._read(raw)
        elif _is_usual_head(head):
            self._count_value(head)
        if len(raw) <= _CACHEABLE_BYTES:
            self[raw] = attribute
        return attribute

    def _read(self, raw: bytes) -> Attribute | None:
        message = self._parse(raw)
        key = _text(message.key)
        value = scalar_of(message.value)
        return Attribute(key, value) if key in self._keys and value is not None else None

    def _count_value(self, head: bytes) -> None:
        self._value_counts[head] += 1
        if self._value_counts[head] >= _REMEMBERED_VALUES:
            self._varying_heads.add(head)

    def _forget(self) -> None:
        """Forget what is of no interest, and the rest only if that does not make room enough."""
        wanted = {raw: attribute for raw, attribute in self.items() if attribute is not None}
        self.clear()
        if len(wanted) <= self._limit // 2:
            self.update(wanted)
        self._value_counts.clear()
        self._varying_heads.clear()


def _is_usual_head(head: bytes) -> bool:
    return head[:1] == _KEY_TAG and head[-1:] == _VALUE_TAG and head[1] < _TWO_BYTE_LENGTH and len(head) == head[1] + 3


def _is_one_long_value(raw: bytes, start: int) -> bool:
    """Tell whether `raw` from `start` on is a length of two bytes and so many bytes."""
    low, high = raw[start], raw[start + 1]
    return low >= _TWO_BYTE_LENGTH > high and (high << 7) + low - _TWO_BYTE_LENGTH == len(raw) - start - 2


class Resource:
    """The attributes of a resource that are read, and the instance that they name. Equal only to itself."""

    __slots__ = ("attributes", "instance")

    def __init__(self, attributes: Mapping[str, Scalar], text_limit_chars: int) -> None:
        self.attributes = attributes
        self.instance = instance_of(attributes, text_limit_chars)


class ResourceCache(dict[bytes, Resource]):
    """`cache[raw]` is the `Resource` that the bytes hold; at most `limit` entries.

    It has the attributes of `keys`, and those that name an instance. `parse` makes a `Resource` of the projection; its
    `DecodeError` passes through.
    """

    def __init__(self, keys: Collection[str], parse: Callable[[bytes], Any], limit: int, text_limit_chars: int) -> None:
        super().__init__()
        self._keys = frozenset(keys) | INSTANCE_KEYS
        self._parse = parse
        self._limit = limit
        self._text_limit_chars = text_limit_chars

    def __missing__(self, raw: bytes) -> Resource:
        pairs = ((_text(message.key), scalar_of(message.value)) for message in self._parse(raw).attributes)
        values = _last_values((key, value) for key, value in pairs if key in self._keys)
        resource = Resource(values, self._text_limit_chars)
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
