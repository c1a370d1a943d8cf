"""What everybody who asks one question is shown, in versions: whoever knows an earlier one is sent only what changed.

Pure; held by `channel.py`. Everything is encoded once for all, whoever is sent it.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from dash_app.push.patches import patch_of

_Path = tuple[str, str, str]
"""Section of the answer, id of a component, name of its property."""

_WORTH_COMPRESSING_BYTES: Final = 1_024
_LEVEL: Final = 1
"""More takes several times as long for a tenth less."""
_SMALL_ENOUGH: Final = 0.7
"""A patch that is larger, as a part of its value, is not worth its while."""

PLAIN: Final = b"\x00"
COMPRESSED: Final = b"\x01"


@dataclass(frozen=True, slots=True)
class _Part:
    """One property: its value as JSON, and since which version it has it; the patch that led to it from the version
    before, if it is small."""

    encoded: bytes
    since: int
    value: Any
    patch: bytes | None


class Picture:
    """Begins with version 0, which shows nothing."""

    def __init__(self) -> None:
        self.version = 0
        self._parts: dict[_Path, _Part] = {}
        self._head: dict[str, Any] = {}
        self._others: dict[_Path, Any] = {}
        self._messages: dict[int, bytes] = {}

    def take(self, document: Mapping[str, Any]) -> None:
        """Let an answer be what is shown.

        One without figures, such as of a failure, is no version: whoever gets it keeps the figures that they have.
        """
        self._messages = {}
        self._head = {name: document[name] for name in ("page", "receipt") if name in document}
        if "filling" not in document:
            self._others = dict(_properties(document))
            return
        self._others = {}
        self.version += 1
        self._parts = {path: self._part(path, value) for path, value in _properties(document)}

    def message_since(self, version: int) -> bytes:
        """Return what leads from that version to what is shown now: a byte that says how it is encoded, and JSON."""
        if version not in self._messages:
            self._messages[version] = _packed(orjson.dumps(self._changes(version)))
        return self._messages[version]

    def _part(self, path: _Path, value: Any) -> _Part:
        encoded = encoded_json(value)
        before = self._parts.get(path)
        if before is not None and before.encoded == encoded:
            return _Part(encoded, before.since, before.value, before.patch)
        plain = orjson.loads(encoded)
        patch = None
        if before is not None and len(encoded) >= _WORTH_COMPRESSING_BYTES:
            found = orjson.dumps(patch_of(before.value, plain))
            patch = found if len(found) < _SMALL_ENOUGH * len(encoded) else None
        return _Part(encoded, self.version, plain, patch)

    def _changes(self, since: int) -> dict[str, Any]:
        if self._others:
            parts = [[*path, orjson.Fragment(encoded_json(value)), False] for path, value in self._others.items()]
            return {**self._head, "is_whole": False, "parts": parts}
        parts = []
        for path, part in self._parts.items():
            if part.since <= since:
                continue
            is_patch = since > 0 and since == self.version - 1 and part.patch is not None
            parts.append([*path, orjson.Fragment(part.patch if is_patch and part.patch else part.encoded), is_patch])
        return {**self._head, "is_whole": since == 0, "parts": parts}


def _properties(document: Mapping[str, Any]) -> Iterator[tuple[_Path, Any]]:
    for section in ("bar", "filling"):
        for name, properties in document.get(section, {}).items():
            for key, value in properties.items():
                yield (section, name, key), value
    for name, figure in document.get("figures", {}).items():
        yield ("figures", name, "figure"), figure


def encoded_json(value: Any) -> bytes:
    """Return JSON of what answers are made of, components among it."""
    return orjson.dumps(value, default=_plain, option=orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY)


def _plain(value: Any) -> Any:
    if hasattr(value, "to_plotly_json"):
        return value.to_plotly_json()
    raise TypeError(f"{type(value).__name__} cannot be shown")


def _packed(text: bytes) -> bytes:
    if len(text) < _WORTH_COMPRESSING_BYTES:
        return PLAIN + text
    return COMPRESSED + zlib.compress(text, _LEVEL)
