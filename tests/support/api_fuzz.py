"""Requests that anybody might send, made of the OpenAPI document: right ones, half right ones, and hostile ones."""

from __future__ import annotations

import json
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from hypothesis import strategies as st

Document = dict[str, Any]

HOSTILE: Final = (
    *(
        "",
        " ",
        "\x00",
        "a\x00b",
        "\ud800",
        "\u202e",
        "'",
        '"',
        "%",
        "%00",
        "../..",
        "<b>",
        "null",
        "None",
        "NaN",
        "-0",
        "1e999",
    ),
    *("-1", "0", "1", "1.5", "9" * 12, "9" * 30, "-" + "9" * 30, "٣", "１", "0x10", "1_000", "+1", "true", "x" * 2_000),
    *(
        "2026-11-22T10:00:00Z",
        "2026-11-22T10:00:00",
        "0001-01-01T00:00:00+23:59",
        "9999-12-31T23:59:59-23:59",
        "253402300799",
    ),
    *(
        "2026-02-30T00:00:00Z",
        "2026-11-22T10:00:60Z",
        "5m",
        "0s",
        "999999999w",
        "5 m",
        "1d1h",
        "service",
        "service,service",
    ),
    *(
        "a=b",
        "=",
        "a=",
        ",,,",
        "otel.metric.overflow",
        "unknown_service",
        "churn-classifier",
        "failing",
        "query.apdex_target_s",
        "{}",
        "[]",
        "*",
        "W10=",
    ),
)
_METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_SCALARS: Final = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(HOSTILE) | st.text(max_size=20)
)
_VALUES: Final = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


class Request(NamedTuple):
    """`target` is path and query as they are sent; `route` the path of the document that it is made of."""

    method: str
    route: str
    target: str
    body: bytes | None = None
    content_type: str = "application/json"


@st.composite
def requests(draw: st.DrawFn, document: Document) -> Request:
    """Draw a request to any route of the document."""
    route = draw(st.sampled_from(sorted(document["paths"])))
    operations = document["paths"][route]
    method = draw(st.sampled_from([one.upper() for one in operations] * 4 + list(_METHODS)))
    operation = operations.get(method.lower(), {})
    target, body = route, None
    for parameter in operation.get("parameters", []):
        if parameter["in"] == "path":
            # A slash, however it is written, makes it the path of another route, and so does nothing at all.
            value = draw(st.sampled_from(HOSTILE) | st.text(max_size=30)).replace("/", "") or "x"
            target = target.replace(f"{{{parameter['name']}}}", _escaped(value))
    is_right = draw(st.booleans())
    query = draw(_query([one for one in operation.get("parameters", []) if one["in"] == "query"], is_right))
    if "requestBody" in operation:
        body = draw(_body(operation["requestBody"]["content"]["application/json"]["schema"], document, is_right))
    kind = draw(st.sampled_from(["application/json"] * 9 + ["text/plain"]))
    return Request(method, route, f"{target}?{query}" if query else target, body, kind)


@st.composite
def _query(draw: st.DrawFn, parameters: list[Document], is_right: bool) -> str:
    pairs = []
    for parameter in parameters:
        if draw(st.integers(0, 2)):
            continue
        times = 1 if is_right else draw(st.sampled_from([1, 1, 1, 1, 2]))
        pairs += [f"{parameter['name']}={_escaped(draw(_text_for(parameter, is_right)))}" for _ in range(times)]
    if not is_right and not draw(st.integers(0, 7)):
        pairs.append(draw(st.sampled_from(["wrong=1", "%FF=%FE", "=", "&&", "a", "limit[]=1", "cursor"])))
    return "&".join(pairs)


def _text_for(parameter: Document, is_right: bool) -> st.SearchStrategy[str]:
    schema = parameter["schema"]
    examples = [
        ",".join(map(str, one)) if isinstance(one, list) else json.dumps(one) if isinstance(one, bool) else str(one)
        for one in (*schema.get("examples", ()), *parameter.get("examples", ()), *_choices(schema))
    ]
    hostile = st.sampled_from(HOSTILE) | st.integers().map(str) | st.text(max_size=12)
    if examples and is_right:
        return st.sampled_from(examples)
    return st.sampled_from(examples) | hostile if examples else hostile


def _choices(schema: Document) -> list[str]:
    inner = [*schema.get("anyOf", ()), *([schema["items"]] if "items" in schema else ())]
    return [*schema.get("enum", ()), *(one for part in inner for one in _choices(part))]


@st.composite
def _body(draw: st.DrawFn, schema: Document, document: Document, is_right: bool) -> bytes:
    kind = 9 if is_right else draw(st.integers(0, 5))
    if kind == 0:
        return draw(
            st.binary(max_size=30) | st.sampled_from([b"", b"{", b'{"a":1}{', b"[" * 3_000, b'"\xff"', b"1e400"])
        )
    value = draw(_VALUES) if kind == 1 else draw(_like(schema, document, is_right))
    return json.dumps(value).encode()


@st.composite
def _like(draw: st.DrawFn, schema: Document, document: Document, is_right: bool, depth: int = 0) -> Any:
    """Draw what mostly fits a schema."""
    while "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    if depth > 4 or (not is_right and not draw(st.integers(0, 25))):
        return draw(_VALUES)
    if "anyOf" in schema:
        return draw(_like(draw(st.sampled_from(schema["anyOf"])), document, is_right, depth))
    if "enum" in schema or "const" in schema:
        return draw(st.sampled_from(schema.get("enum") or [schema["const"]]))
    if "properties" in schema:
        required = schema.get("required", ())
        chosen = [name for name in schema["properties"] if name in required or not draw(st.integers(0, 3))]
        return {name: draw(_like(schema["properties"][name], document, is_right, depth + 1)) for name in chosen}
    return draw(_scalar(schema, document, is_right, depth))


@st.composite
def _scalar(draw: st.DrawFn, schema: Document, document: Document, is_right: bool, depth: int) -> Any:
    kind = schema.get("type")
    examples = schema.get("examples")
    if examples and (is_right or draw(st.booleans())):
        return draw(st.sampled_from(examples))
    if kind == "array":
        return [
            draw(_like(schema.get("items", {}), document, is_right, depth + 1)) for _ in range(draw(st.integers(0, 2)))
        ]
    if kind == "object":
        names = st.sampled_from(["service", "route"] if is_right else HOSTILE)
        return draw(st.dictionaries(names, st.sampled_from(["churn-*"] if is_right else HOSTILE), max_size=2))
    if kind in ("integer", "number"):
        low, high = schema.get("minimum", schema.get("exclusiveMinimum", -10)), schema.get("maximum", 10**6)
        within = st.integers(int(low), int(high))
        return draw(within if is_right else st.sampled_from([low, high, 1, low - 1, 0.5]) | within)
    if kind == "boolean":
        return draw(st.booleans())
    if is_right:
        return draw(st.sampled_from(["a-b", "some words", "2h"]))
    return draw(st.sampled_from(HOSTILE) | st.text(max_size=12))


def _escaped(text: str) -> str:
    return quote(text.encode("utf-8", "surrogatepass"), safe="")
