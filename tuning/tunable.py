"""One setting that may be changed while ModelWatch runs, and the tree of settings with other values in it.

Pure. A changed value passes the same validation as one from the environment: the tree is built anew around it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import orjson
from pydantic import BaseModel, ValidationError

from telemetry import PermanentError

Tree = TypeVar("Tree", bound=BaseModel)
_TOLD: Final = ("type", "minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum", "enum", "additionalProperties")


class BadValueError(PermanentError):
    """The value is not one that the setting may have; the message says which may."""


class UnknownSettingError(PermanentError):
    """There is no setting of this name that may be changed while ModelWatch runs."""


@dataclass(frozen=True, slots=True)
class Tunable:
    """A setting by its path in the tree. `honoured_by` are the roles that take a change up; `up` has them all.

    `warning` is what somebody must know before they change it. One that `is_deleting` deletes for good when lowered.
    """

    path: tuple[str, ...]
    variable: str
    honoured_by: Sequence[str]
    warning: str = ""
    is_deleting: bool = False

    @property
    def name(self) -> str:
        """The path as people and the API write it."""
        return ".".join(self.path)


def value_at(tree: BaseModel, path: Sequence[str]) -> Any:
    """Return the value of a setting."""
    found: Any = tree
    for name in path:
        found = getattr(found, name)
    return found


def with_values(tree: Tree, values: Mapping[tuple[str, ...], Any]) -> Tree:
    """Return the tree with other values. Raises `BadValueError` for what the settings' own validation refuses."""
    for path, value in values.items():
        if not _is_finite(value):
            raise BadValueError(f"{'.'.join(path)}: must be a finite number")
    try:
        return _rebuilt(tree, values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place, message = ".".join(map(str, first["loc"])), str(first["msg"]).removeprefix("Value error, ")
        # What is said of several settings names them itself.
        is_of_one = first["type"] != "value_error"
        raise BadValueError(f"{place}: {message}" if is_of_one else message) from None


def schema_of(tree: BaseModel, path: Sequence[str]) -> dict[str, Any]:
    """Return the JSON schema of a setting: its type and bounds."""
    owner: BaseModel = value_at(tree, path[:-1])
    whole = type(owner).model_json_schema()["properties"][path[-1]]
    return {name: whole[name] for name in _TOLD if name in whole}


def description_of(tree: BaseModel, path: Sequence[str]) -> str:
    """Return what a setting means."""
    owner: BaseModel = value_at(tree, path[:-1])
    return type(owner).model_fields[path[-1]].description or ""


def as_json(value: Any) -> str:
    """Return a value as it is kept. Raises `BadValueError` for text that is none."""
    try:
        return orjson.dumps(value).decode()
    except TypeError as error:
        raise BadValueError(f"the value cannot be kept: {error}") from None


def _rebuilt(tree: Tree, values: Mapping[tuple[str, ...], Any]) -> Tree:
    """Build the models on the way to the values anew, the innermost first, each with all of its own values at once."""
    given: dict[str, Any] = {name: getattr(tree, name) for name in tree.model_fields_set}
    deeper: dict[str, dict[tuple[str, ...], Any]] = {}
    for (name, *rest), value in values.items():
        if rest:
            deeper.setdefault(name, {})[tuple(rest)] = value
        else:
            given[name] = value
    for name, inner in deeper.items():
        given[name] = _rebuilt_below(name, getattr(tree, name), inner)
    return type(tree).model_validate(given)


def _rebuilt_below(name: str, tree: BaseModel, values: Mapping[tuple[str, ...], Any]) -> BaseModel:
    try:
        return _rebuilt(tree, values)
    except ValidationError as error:
        raise _moved(error, name) from None


def _moved(error: ValidationError, name: str) -> ValidationError:
    """Return the error with its places seen from one level above."""
    lines: list[Any] = []
    for line in error.errors(include_url=False):
        kind = line["type"]
        context = dict(line.get("ctx") or {})
        lines.append({"type": kind, "loc": (name, *line["loc"]), "input": line["input"], "ctx": context})
    return ValidationError.from_exception_data(error.title, lines)


def _is_finite(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(map(_is_finite, value.values()))
    return not isinstance(value, float) or math.isfinite(value)
