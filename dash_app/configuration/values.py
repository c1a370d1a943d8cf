"""Values of settings as people read and write them: "2d" for seconds, "2GiB" for bytes, JSON for the rest.

Pure. What is written is read back exactly; nothing is rounded.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from tuning.tunable import BadValueError

_TIMES: Final[Mapping[str, float]] = {"d": 86_400, "h": 3_600, "min": 60, "s": 1, "ms": 0.001}
_SIZES: Final[Mapping[str, float]] = {"GiB": 2**30, "MiB": 2**20, "KiB": 2**10, "B": 1}
_WITH_UNIT: Final = re.compile(r"([0-9.eE+-]{1,40})\s*([a-zA-Z]{0,3})")


def text_of(name: str, value: Any) -> str:
    """Return a value as it is shown, and as `value_of` reads it."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, int | float):
        units = units_of(name)
        for unit, size in units.items():
            number = value / size
            if number == int(number) >= 1 and int(number) * size == value and (size >= 1 or value < 1):
                return f"{int(number)}{unit}"
        return f"{value}{_base_of(units)}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def value_of(name: str, kind: str, text: str) -> Any:
    """Read what somebody wrote for a setting of a kind of JSON schema. Raises `BadValueError`."""
    text = text.strip()
    if kind == "boolean":
        if text not in ("on", "off"):
            raise BadValueError(f"{name}: on or off")
        return text == "on"
    if kind in ("number", "integer"):
        return _number(name, text, is_whole=kind == "integer")
    if kind == "object":
        try:
            return json.loads(text)
        except ValueError:
            raise BadValueError(f'{name}: write it as JSON, such as {{"summarizer": 8}}') from None
    return text


def _number(name: str, text: str, *, is_whole: bool) -> float | int:
    units = units_of(name)
    match = _WITH_UNIT.fullmatch(text)
    unit = match[2] if match else ""
    known = {key.lower(): size for key, size in units.items()} | ({"m": 60.0} if "min" in units else {})
    if match is None or (unit and unit.lower() not in known):
        hint = f", such as {text_of(name, 7_200 if 'min' in units else 2**30)}" if units else ""
        raise BadValueError(f"{name}: write a number{hint}")
    try:
        value = float(match[1]) * (known[unit.lower()] if unit else 1)
        return int(value) if is_whole and value == int(value) else value
    except (ValueError, OverflowError):
        raise BadValueError(f"{name}: {match[1]} is no number") from None


def units_of(name: str) -> Mapping[str, float]:
    """Return the units that the value of a setting may be written in, by what each is."""
    if name.endswith("_per_s"):
        return {}
    return _TIMES if name.endswith("_s") else _SIZES if name.endswith("_bytes") else {}


def _base_of(units: Mapping[str, float]) -> str:
    return next((unit for unit, size in units.items() if size == 1), "")
