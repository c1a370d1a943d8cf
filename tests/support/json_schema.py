"""Enough of JSON Schema to hold an answer against the OpenAPI document that describes it."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

_TYPES: dict[str, Any] = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "null": type(None),
}
_KNOWN = {
    *("$ref", "anyOf", "type", "properties", "required", "additionalProperties", "items", "enum", "const", "format"),
    *("minimum", "maximum", "title", "description", "examples", "default", "pattern", "uniqueItems"),
    *("minLength", "maxLength", "minItems", "maxItems", "maxProperties"),
}


def check(value: Any, schema: dict[str, Any], document: dict[str, Any], where: str = "$") -> None:
    """Raise `AssertionError` naming the place where `value` departs from `schema`, or where a keyword is unknown."""
    assert set(schema) <= _KNOWN, f"{where}: keywords {set(schema) - _KNOWN}"
    if "$ref" in schema:
        target: Any = document
        for part in schema["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        return check(value, target, document, where)
    if "anyOf" in schema:
        return _check_any(value, schema["anyOf"], document, where)
    if "type" in schema:
        is_instance = isinstance(value, _TYPES[schema["type"]])
        is_number_by_accident = isinstance(value, bool) and schema["type"] != "boolean"
        is_right = is_instance and not is_number_by_accident
        assert is_right, f"{where}: {value!r} is no {schema['type']}"
    _check_value(value, schema, where)
    if isinstance(value, dict):
        _check_object(value, schema, document, where)
    if isinstance(value, list) and "items" in schema:
        for index, item in enumerate(value):
            check(item, schema["items"], document, f"{where}[{index}]")
    return None


def _check_any(value: Any, schemas: list[dict[str, Any]], document: dict[str, Any], where: str) -> None:
    errors = []
    for schema in schemas:
        try:
            return check(value, schema, document, where)
        except AssertionError as error:
            errors.append(str(error))
    raise AssertionError("; ".join(errors))


def _check_value(value: Any, schema: dict[str, Any], where: str) -> None:
    assert "enum" not in schema or value in schema["enum"], f"{where}: {value!r} is none of {schema['enum']}"
    assert "const" not in schema or value == schema["const"], f"{where}: {value!r} is not {schema['const']!r}"
    assert "minimum" not in schema or value >= schema["minimum"], f"{where}: {value} < {schema['minimum']}"
    assert "maximum" not in schema or value <= schema["maximum"], f"{where}: {value} > {schema['maximum']}"
    assert "pattern" not in schema or re.search(schema["pattern"], value), f"{where}: {value!r}"
    for least in {"minLength", "minItems"} & set(schema):
        assert len(value) >= schema[least], f"{where}: {value!r} is shorter than {schema[least]}"
    for most in {"maxLength", "maxItems", "maxProperties"} & set(schema):
        assert len(value) <= schema[most], f"{where}: {value!r} is longer than {schema[most]}"
    if schema.get("format") == "date-time":
        assert datetime.fromisoformat(value).utcoffset() is not None, f"{where}: {value!r} has no zone"


def _check_object(value: dict[str, Any], schema: dict[str, Any], document: dict[str, Any], where: str) -> None:
    properties = schema.get("properties", {})
    missing = set(schema.get("required", ())) - set(value)
    assert not missing, f"{where}: {missing} missing"
    for name, item in value.items():
        if name in properties:
            check(item, properties[name], document, f"{where}.{name}")
            continue
        extra = schema.get("additionalProperties", True)
        assert extra is not False, f"{where}: {name} is not in the schema"
        if isinstance(extra, dict):
            check(item, extra, document, f"{where}.{name}")
