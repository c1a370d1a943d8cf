"""Where settings come from: the environment over a YAML file over the defaults, with every unknown name refused.

`modelwatch/settings.py` holds the tree that is filled; this module and the instrumentation alone read the environment.
"""

from __future__ import annotations

import difflib
import re
import types
import typing
from collections.abc import Iterator, Mapping
from itertools import takewhile
from pathlib import Path
from typing import Any, Final, TypeVar

import yaml
from pydantic import BaseModel, SecretStr, ValidationError

from telemetry import StartError

PREFIX = "MODELWATCH_"
CONFIG_VARIABLE = "MODELWATCH_CONFIG"
DEFAULT_CONFIG = Path("modelwatch.yaml")
TEST_PREFIX = "MODELWATCH_TEST_"
"""Variables of the test suite, which share the prefix and are no settings."""
NESTING = "__"
FILE_SUFFIX = "_FILE"
_UNREADABLE: Final = (ValueError, LookupError, AttributeError, TypeError, ArithmeticError, RecursionError)
"""What YAML's own reader raises for tags that promise what is not there, and for what is nested too deeply."""
_NAME: Final = re.compile(r"[a-z_][a-z0-9_.-]{0,39}")

Tree = dict[str, Any]
Model = TypeVar("Model", bound=BaseModel)


def load(model: type[Model], environ: Mapping[str, str]) -> Model:
    """Return the settings; `StartError` names the first variable or key that is unknown or has a wrong value."""
    leaves = dict(leaves_of(model))
    tree = _read_yaml(environ)
    for variable, text in sorted(environ.items()):
        if not variable.startswith(PREFIX) or variable.startswith(TEST_PREFIX) or variable == CONFIG_VARIABLE:
            continue
        path, value = _resolve(variable, text, leaves)
        _put(tree, path, value)
    try:
        return model.model_validate(tree)
    except ValidationError as error:
        raise StartError(_explain(error, environ)) from None


def variable_of(path: tuple[str, ...]) -> str:
    """Return the environment variable of a setting: ("receiver", "grpc_port") is MODELWATCH_RECEIVER__GRPC_PORT."""
    return PREFIX + NESTING.join(path).upper()


def leaves_of(model: type[BaseModel], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield the path and the field of every setting in the tree, depth first."""
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from leaves_of(field.annotation, (*path, name))
        else:
            yield (*path, name), field


def is_secret(annotation: Any) -> bool:
    """Tell whether a field holds a secret, alone, as an option, in a sequence or in what it is a sequence of.

    Such fields have a ..._FILE form.
    """
    if annotation is SecretStr:
        return True
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return any(is_secret(field.annotation) for field in annotation.model_fields.values())
    is_container = typing.get_origin(annotation) in (tuple, list, Mapping, typing.Union, types.UnionType)
    return is_container and any(is_secret(argument) for argument in typing.get_args(annotation))


def _read_yaml(environ: Mapping[str, str]) -> Tree:
    named = environ.get(CONFIG_VARIABLE)
    path = Path(named) if named else DEFAULT_CONFIG
    if not named and not path.exists():
        return {}
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, *_UNREADABLE) as error:
        reason = _reason_of(error)
        raise StartError(f"{path} cannot be read ({reason}): mend it, or name another with {CONFIG_VARIABLE}") from None
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise StartError(f"{path} must hold settings by name, such as `data_dir: /var/lib/modelwatch`")
    return tree


def _reason_of(error: Exception) -> str:
    """What is wrong and where, without the line itself, which may hold a secret."""
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    mark = getattr(error, "problem_mark", None)
    place = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
    return f"{'not UTF-8' if isinstance(error, UnicodeDecodeError) else 'no YAML'}{place}"


def _resolve(variable: str, text: str, leaves: Mapping[tuple[str, ...], Any]) -> tuple[tuple[str, ...], str]:
    path = tuple(variable.removeprefix(PREFIX).lower().split(NESTING))
    if path in leaves:
        return path, text
    secret = tuple(variable.removeprefix(PREFIX).removesuffix(FILE_SUFFIX).lower().split(NESTING))
    if variable.endswith(FILE_SUFFIX) and secret in leaves and is_secret(leaves[secret].annotation):
        try:
            return secret, Path(text).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise StartError(f"{variable}: {text} cannot be read ({type(error).__name__})") from None
    known = [variable_of(leaf) for leaf in leaves]
    close = difflib.get_close_matches(variable, known, n=1, cutoff=0.5)
    hint = f"; did you mean {close[0]}?" if close else "; docs/settings.md lists them all"
    raise StartError(f"{variable} is not a setting{hint}")


def _put(tree: Tree, path: tuple[str, ...], value: str) -> None:
    for name in path[:-1]:
        child = tree.get(name)
        if not isinstance(child, dict):
            child = tree[name] = {}
        tree = child
    tree[path[-1]] = value


def _explain(error: ValidationError, environ: Mapping[str, str]) -> str:
    """One line for the first mistake. The value itself is never repeated: it may be a secret."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    place = first["loc"]
    # What is no name may be a value whose colon has no space behind it.
    known = list(takewhile(lambda part: isinstance(part, int) or _NAME.fullmatch(part), place))
    # What is in a list has no variable of its own.
    path = tuple(str(part) for part in takewhile(lambda part: isinstance(part, str), known))
    variable = variable_of(path)
    where = variable if variable in environ else f"{'.'.join(path) or 'the settings'} ({variable})"
    inside = [f"item {part + 1}" if isinstance(part, int) else part for part in known[len(path) :]]
    where = ", ".join((where, *inside))
    if first["type"] == "extra_forbidden":
        if len(known) < len(place) or not place:
            return f"{where}: a field of it is not known; is there a space after each colon?"
        return f"{where} is not a setting; docs/settings.md lists them all"
    return f"{where}: {first['msg'].removeprefix('Value error, ')}"
