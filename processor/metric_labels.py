"""The labels of metric series: attributes in one canonical form, bounded in number and length.

Applied by the decoder once for each set of attributes that it meets. Nothing is left out, since two series must not
become one by a limit: what is too long or too much is replaced by a digest of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, Final

from processor.attributes import scalar_of
from processor.derivation import Scalar, text_of
from telemetry.metric_series import canonical_labels

MAX_LABELS: Final = 64
MAX_LABELS_CHARS: Final = 4096
REST_LABEL: Final = "otel.metric.attributes.rest"
"""Holds a digest of the attributes beyond either limit."""
_DIGEST_CHARS: Final = 16
_KINDS: Final = {"array_value": "array", "kvlist_value": "map", "bytes_value": "bytes"}


def attribute_labels(pairs: Iterable[Any], limit_chars: int) -> str:
    """Return the canonical labels of `KeyValue`s of the projection; of a key that occurs twice the last counts.

    Arrays, maps and bytes are told apart by a digest, as nobody groups by them.
    """
    labels = {}
    for pair in pairs:
        key = bounded_text(pair.key.decode(errors="replace"), limit_chars)
        labels[key] = bounded_text(_text_of(pair.value), limit_chars)
    return canonical_labels(_bounded(labels))


def resource_labels(attributes: Mapping[str, Scalar], keys: Iterable[str], limit_chars: int) -> str:
    """Return the canonical labels of those attributes of a resource that are among `keys`."""
    found = {key: bounded_text(_shown(attributes[key]), limit_chars) for key in keys if key in attributes}
    return canonical_labels({key: text for key, text in found.items() if text})


def bounded_text(text: str, limit_chars: int) -> str:
    """Return a text that every store accepts, of `limit_chars` characters at most: a long one ends in a digest."""
    if len(text) > limit_chars:
        text = f"{text[: limit_chars - _DIGEST_CHARS - 1]}~{_digest(text)}"
    return text.replace("\0", "\ufffd")


def _bounded(labels: dict[str, str]) -> dict[str, str]:
    if len(labels) <= MAX_LABELS and sum(map(len, labels)) + sum(map(len, labels.values())) <= MAX_LABELS_CHARS:
        return labels
    kept: dict[str, str] = {}
    chars = 0
    rest = []
    for key, text in sorted(labels.items()):
        chars += len(key) + len(text)
        if len(kept) < MAX_LABELS - 1 and chars <= MAX_LABELS_CHARS:
            kept[key] = text
        else:
            rest.append((key, text))
    return {**kept, REST_LABEL: _digest(canonical_labels(dict(rest)))}


def _text_of(value: Any) -> str:
    scalar = scalar_of(value)
    if scalar is not None:
        return _shown(scalar)
    kind = value.WhichOneof("value")
    if kind is None:
        return ""
    return f"{_KINDS[kind]}~{hashlib.blake2b(getattr(value, kind), digest_size=_DIGEST_CHARS // 2).hexdigest()}"


def _shown(value: Scalar) -> str:
    return value if isinstance(value, str) else text_of(value, MAX_LABELS_CHARS)


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(errors="replace"), digest_size=_DIGEST_CHARS // 2).hexdigest()
