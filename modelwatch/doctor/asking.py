"""What to ask a model server: its own routes, from its OpenAPI document, in ways that change nothing.

Only GET without a body, and POST whose body is required and refused: `{}` where fields are required never reaches the
handler. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from modelwatch.doctor.diagnosis import is_probe

MAX_ROUTES: Final = 6
_USUAL_PROBES: Final = ("/health", "/metrics")
_VALUES: Final = {"integer": "1", "number": "1.5", "boolean": "true"}


@dataclass(frozen=True, slots=True)
class Question:
    """One request to make; an empty JSON object is its body if `has_body`."""

    method: str
    path: str
    has_body: bool = False


def questions(openapi: object) -> list[Question]:
    """Return what to ask: some routes, or `/` where none is known, and a probe or two."""
    known = list(_operations(openapi)) if isinstance(openapi, Mapping) else []
    routes = [one for one in known if not is_probe(one.path)][:MAX_ROUTES]
    probes = [one for one in known if is_probe(one.path)][:2]
    usual = [Question("GET", path) for path in _USUAL_PROBES] if not known else []
    return [*(routes or [Question("GET", "/")]), *(probes or usual)]


def _operations(openapi: Mapping[str, Any]) -> Iterator[Question]:
    schemas = _mapping(_mapping(openapi.get("components")).get("schemas"))
    for path, item in _mapping(openapi.get("paths")).items():
        for method, operation in _mapping(item).items():
            if not isinstance(operation, Mapping):
                continue
            parameters = [*_list(_mapping(item).get("parameters")), *_list(operation.get("parameters"))]
            filled = _filled(str(path), parameters)
            if method == "get" and filled is not None:
                yield Question("GET", filled)
            elif method == "post" and filled is not None and _refuses_nothing(operation, schemas):
                yield Question("POST", filled, has_body=True)


def _filled(path: str, parameters: list[Any]) -> str | None:
    """Return the path with its parameters filled in; None if anything else is required."""
    for parameter in map(_mapping, parameters):
        if parameter.get("in") == "path":
            value = _VALUES.get(str(_mapping(parameter.get("schema")).get("type")), "1")
            path = path.replace("{" + str(parameter.get("name")) + "}", value)
        elif parameter.get("required"):
            return None
    return None if "{" in path else path


def _refuses_nothing(operation: Mapping[str, Any], schemas: Mapping[str, Any]) -> bool:
    """Tell whether an empty object is sure to be refused before anything happens."""
    body = _mapping(operation.get("requestBody"))
    schema = _mapping(_mapping(_mapping(body.get("content")).get("application/json")).get("schema"))
    reference = str(schema.get("$ref", "")).rpartition("/")[2]
    schema = _mapping(schemas.get(reference)) if reference else schema
    return bool(body.get("required")) and (bool(schema.get("required")) or schema.get("type") == "array")


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
