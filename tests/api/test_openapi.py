"""The OpenAPI document is true: its examples work, its shapes are what is answered."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from api.component import build
from api.settings import ApiSettings
from tests.api.conftest import Served
from tests.support import json_schema


@pytest.fixture
async def document(client: httpx.AsyncClient) -> dict[str, Any]:
    found: dict[str, Any] = (await client.get("/openapi.json")).json()
    return found


def schema_of(document: dict[str, Any], path: str, status: int, media_type: str) -> dict[str, Any]:
    schema: dict[str, Any] = document["paths"][path]["get"]["responses"][str(status)]["content"][media_type]["schema"]
    return schema


def examples_of(operation: dict[str, Any]) -> list[list[tuple[str, str]]]:
    """Every parameter's first examples together, then their second ones."""
    parameters = {
        parameter["name"]: parameter["schema"].get("examples") or parameter.get("examples") or []
        for parameter in operation.get("parameters", [])
        if parameter["name"] != "cursor"
    }
    rounds = max((len(examples) for examples in parameters.values()), default=0)
    urls = []
    for turn in range(rounds):
        pairs = []
        for name, examples in parameters.items():
            value = examples[min(turn, len(examples) - 1)]
            pairs += [(name, one) for one in (value if isinstance(value, list) else [value])]
        urls.append(pairs)
    return urls


async def test_it_lists_exactly_the_routes_there_are(document: dict[str, Any]) -> None:
    """Fixed names, nothing of the pages, nothing hidden."""
    assert sorted(document["paths"]) == [
        *("/api/v1/instances", "/api/v1/metrics", "/api/v1/pipeline", "/api/v1/red"),
        *("/api/v1/resources", "/api/v1/services"),
        *("/healthz", "/metrics", "/readyz"),
    ]


async def test_routes_mounted_later_do_not_appear(served: Served) -> None:
    """Pages add routes of their own to the app, which are nobody's API."""
    app: FastAPI = build(
        ApiSettings(), served.world.query, served.world.metrics, served.world.resources, served.counters, {}
    )
    app.add_api_route("/_page", lambda: None)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://modelwatch.test") as client:
        assert "/_page" not in (await client.get("/openapi.json")).json()["paths"]


async def test_every_parameter_is_described_and_has_an_example(document: dict[str, Any]) -> None:
    """Nobody has to guess how to write a time."""
    for path, methods in document["paths"].items():
        for parameter in methods["get"].get("parameters", []):
            assert parameter.get("description") or parameter["schema"].get("description"), (path, parameter["name"])
            # A cursor belongs to one question, so that none could stand for all.
            is_example = (
                parameter["schema"].get("examples") or parameter.get("examples") or parameter["name"] == "cursor"
            )
            assert is_example, (path, parameter["name"])


async def test_every_example_of_a_parameter_works(client: httpx.AsyncClient, document: dict[str, Any]) -> None:
    """Asked as the examples say, every route answers with the shape that it promises."""
    asked = 0
    for path, methods in document["paths"].items():
        for parameters in examples_of(methods["get"]) or [[]]:
            answer = await client.get(path, params=parameters)
            assert answer.status_code == 200, (path, parameters, answer.text)
            asked += 1
            if path != "/metrics":
                json_schema.check(answer.json(), schema_of(document, path, 200, "application/json"), document)
    assert asked == 19


async def test_every_url_in_a_description_works(client: httpx.AsyncClient, document: dict[str, Any]) -> None:
    """What the text says to try can be tried."""
    urls = re.findall(r"`GET (\S+)`", str(document["paths"]))
    assert len(urls) == 9
    for url in urls:
        assert (await client.get(url)).status_code == 200, url


async def test_every_example_of_an_answer_has_the_promised_shape(document: dict[str, Any]) -> None:
    """The example answers are answers that could be given."""
    checked = 0
    for methods in document["paths"].values():
        for response in methods["get"]["responses"].values():
            for content in response.get("content", {}).values():
                if "example" in content:
                    json_schema.check(content["example"], content["schema"], document)
                    checked += 1
    assert checked == 6


async def test_real_answers_have_the_promised_shape(served: Served, document: dict[str, Any]) -> None:
    """With data, without, and when something is wrong."""
    served.counters.add("receiver_accepted_items", signal="traces")
    served.counters.observe("spill_bytes", lambda: 0.5)
    async with served.client() as client:
        for url in (
            "/api/v1/services",
            "/api/v1/services?service=none",
            "/api/v1/red?group_by=route",
            "/api/v1/pipeline",
        ):
            answer = await client.get(url)
            json_schema.check(answer.json(), schema_of(document, answer.url.path, 200, "application/json"), document)
        wrong = await client.get("/api/v1/red?step=x")
        json_schema.check(wrong.json(), schema_of(document, "/api/v1/red", 422, "application/problem+json"), document)
        served.world.history.is_down = True
        down = await client.get("/api/v1/red?start=1600000000&end=1600000060")
        json_schema.check(down.json(), schema_of(document, "/api/v1/red", 503, "application/problem+json"), document)
        ready = await client.get("/readyz")
        json_schema.check(ready.json(), schema_of(document, "/readyz", 200, "application/json"), document)


async def test_a_departure_from_the_shape_would_be_noticed(document: dict[str, Any]) -> None:
    """The check used here does fail for a missing, an extra and a wrong field."""
    schema = schema_of(document, "/healthz", 200, "application/json")
    json_schema.check({"status": "alive"}, schema, document)
    for wrong in ({}, {"status": "dead"}, {"status": "alive", "x": 1}, {"status": 1}, []):
        with pytest.raises(AssertionError):
            json_schema.check(wrong, schema, document)


async def test_it_says_who_may_ask(document: dict[str, Any]) -> None:
    """A token or a session for all but health, and how strangers are refused."""
    schemes = document["components"]["securitySchemes"]
    assert schemes["token"]["scheme"] == "bearer"
    assert {name for one in document["security"] for name in one} == set(schemes)
    for path, operations in document["paths"].items():
        for operation in operations.values():
            is_open = path in ("/healthz", "/readyz")
            assert (operation.get("security") == []) == is_open
            assert ("401" in operation["responses"]) != is_open


async def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    """No schema is named that the document does not hold, none held that nothing names."""
    named = set(re.findall(r"#/components/schemas/(\w+)", str(document)))
    assert named == set(document["components"]["schemas"])


async def test_pages_that_need_the_internet_are_off(client: httpx.AsyncClient) -> None:
    """FastAPI's own documentation pages load scripts from a CDN."""
    for path in ("/docs", "/redoc"):
        assert (await client.get(path)).status_code == 404
