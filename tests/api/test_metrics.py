"""The route of metrics: a list of what there is, one metric over time, and clear refusals."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from telemetry.metric_points import MetricPoint
from telemetry.metric_series import MetricSeriesKey, canonical_labels
from telemetry.metric_states import Readings
from telemetry.metric_sums import exact
from tests.api.conftest import Served
from tests.support import json_schema
from tests.support.query_world import NOW_S


@pytest.fixture
async def memory(served: Served) -> Served:
    """The memory of two containers of one service, every ten seconds for five minutes."""
    points = []
    for name, value in (("one", 100.0), ("two", 300.0)):
        labels = canonical_labels({"container.name": name})
        series = MetricSeriesKey("slow", "container.memory.usage", "By", "sum", "cumulative", resource=labels)
        for age_s in range(0, 300, 10):
            time_ns = (NOW_S - age_s) * 10**9
            state = Readings(1, exact(value), value, value, time_ns, value)
            points.append(MetricPoint(series, NOW_S - age_s, state))
    await served.world.history.commit([], [], points)
    return served


async def get(served: Served, url: str) -> Any:
    async with served.client() as client:
        response = await client.get(url)
        assert response.status_code == 200, response.text
        document = (await client.get("/openapi.json")).json()
        schema = document["paths"]["/api/v1/metrics"]["get"]["responses"]["200"]["content"]["application/json"]
        json_schema.check(response.json(), schema["schema"], document)
        return response.json()


async def test_without_a_name_it_lists_what_there_is(memory: Served) -> None:
    """With all that is needed to ask for it."""
    found = await get(memory, "/api/v1/metrics")
    assert found["items"] == [
        {
            "name": "container.memory.usage",
            "unit": "By",
            "type": "sum",
            "series_count": 2,
            "services": ["slow"],
            "attribute_keys": [],
            "resource_keys": ["container.name"],
            "aggregations": ["avg", "min", "max", "sum", "last"],
        }
    ]
    assert (await get(memory, "/api/v1/metrics?service=none"))["items"] == []


async def test_with_a_name_it_answers_in_steps_by_group(memory: Served) -> None:
    """Times in RFC 3339, `null` where nothing is known, the default range an hour."""
    url = "/api/v1/metrics?name=container.memory.usage&service=slow&group_by=container.name&step=5m"
    found = await get(memory, url)
    assert (found["unit"], found["type"], found["aggregation"], found["step_s"]) == ("By", "sum", "avg", 300)
    assert [item["labels"] for item in found["items"]] == [{"container.name": "one"}, {"container.name": "two"}]
    points = found["items"][0]["points"]
    assert points[0] == {"time": found["start"], "value": None}
    assert [point["value"] for point in points][-2:] == [100.0, 100.0]
    summed = await get(memory, "/api/v1/metrics?name=container.memory.usage&aggregation=sum")
    assert {point["value"] for point in summed["items"][0]["points"]} == {None, 400.0}
    one = await get(memory, "/api/v1/metrics?name=container.memory.usage&where=container.name%3Done&aggregation=max")
    assert {point["value"] for point in one["items"][0]["points"]} == {None, 100.0}


@pytest.mark.parametrize(
    ("query", "parameter", "message"),
    [
        ("name=container.memory.usage&aggregation=rate", "aggregation", "there is no rate"),
        ("name=container.memory.usage&aggregation=median", "aggregation", "'avg'"),
        ("name=x&where=container.name", "where", "label=value"),
        ("name=x&start=1600000000&end=1600000000", "end", "after the start"),
        ("name=x&step=1s&start=1600000000&end=1600100000", "step", "at most 2000"),
        ("name=x&type=number", "type", "'gauge'"),
        ("name=", "name", "at least 1"),
        ("group_by=service", "request", "group_by needs the name of a metric"),
        ("step=0", "request", "step needs the name of a metric"),
        ("name=x&colour=red", "colour", "no such parameter"),
        ("name=x&name=y", "name", "given 2 times"),
    ],
)
async def test_refusals_name_the_parameter(
    memory: Served, client: httpx.AsyncClient, query: str, parameter: str, message: str
) -> None:
    """As problem details, with what is allowed."""
    response = await client.get(f"/api/v1/metrics?{query}")
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"
    (error,) = response.json()["errors"]
    assert error["parameter"] == parameter
    assert message in error["message"]


async def test_a_history_that_does_not_answer_is_a_503(memory: Served, client: httpx.AsyncClient) -> None:
    """With the time after which to ask again."""
    memory.world.history.is_down = True
    for url in ("/api/v1/metrics", "/api/v1/metrics?name=container.memory.usage"):
        response = await client.get(url)
        assert (response.status_code, response.headers["retry-after"]) == (503, "1")
