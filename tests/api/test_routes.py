"""The REST routes answer what the query answers, under the names that scripts rely on."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
import structlog.testing
from starlette.responses import PlainTextResponse

from api.component import build
from api.settings import ApiSettings
from query import Query, SeriesFilter
from telemetry import SeriesKey
from tests.api.conftest import Served
from tests.support.calls import point
from tests.support.query_world import NOW_S


async def test_services_carry_the_fixed_names(client: httpx.AsyncClient) -> None:
    """Every service has its counts, ratios, percentiles and health; the worst comes first."""
    answer = await client.get("/api/v1/services?window=5m")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    document = answer.json()
    assert (document["start"], document["end"]) == ("2023-11-14T22:08:21Z", "2023-11-14T22:13:21Z")
    slow, well = document["items"]
    assert (slow["service"], slow["status"], slow["calls"], slow["errors"]) == ("slow", "critical", 118, 0)
    assert slow["p95_s"] == pytest.approx(1.5, rel=0.006)
    assert slow["rate_per_s"] == pytest.approx(118 / 300)
    assert slow["problems"][0]["kind"] == "high_latency"
    assert well["error_rate"] == pytest.approx(1 / 3)
    assert (well["client_errors"], well["versions"], well["environments"]) == (2, ["2.0"], ["staging"])
    assert well["last_seen"] == "2023-11-14T22:13:16Z"
    assert document["total"]["calls"] == 121


async def test_red_carries_the_fixed_names(client: httpx.AsyncClient) -> None:
    """Each group has labels, a point for every step and a total."""
    answer = await client.get(
        "/api/v1/red?service=slow&start=2023-11-14T22:12:20Z&end=1700000000&step=20&group_by=route"
    )
    document = answer.json()
    assert (document["start"], document["end"]) == ("2023-11-14T22:12:20Z", "2023-11-14T22:13:20Z")
    assert (document["step_s"], document["source"]) == (20, "live")
    assert [item["labels"] for item in document["items"]] == [{"route": "/predict"}, {"route": "/predict/batch"}]
    first = document["items"][0]
    assert [point["calls"] for point in first["points"]] == [19, 20, 20]
    assert first["points"][1]["time"] == "2023-11-14T22:12:40Z"
    assert first["points"][1]["p99_s"] == pytest.approx(1.5, rel=0.006)
    assert first["total"]["calls"] == 59


async def test_red_without_parameters_shows_the_last_five_minutes_by_service(client: httpx.AsyncClient) -> None:
    """The range ends with the running second and has a point for each."""
    document = (await client.get("/api/v1/red")).json()
    assert [item["labels"] for item in document["items"]] == [{"service": "slow"}, {"service": "well"}]
    assert (document["step_s"], len(document["items"][0]["points"])) == (1, 300)
    assert document["end"] == "2023-11-14T22:13:21Z"


@pytest.mark.parametrize(
    "grouping", ["group_by=service,route", "group_by=service&group_by=route", "group_by=service,%20route,"]
)
async def test_a_grouping_may_be_repeated_or_separated_by_commas(client: httpx.AsyncClient, grouping: str) -> None:
    """Both ways of writing several fields give the same groups."""
    document = (await client.get(f"/api/v1/red?{grouping}")).json()
    labels = [tuple(item["labels"].values()) for item in document["items"]]
    assert labels == [("slow", "/predict"), ("slow", "/predict/batch"), ("well", "/predict")]


async def test_filters_reach_the_query(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each filter parameter lets only its own value through."""
    asked: list[SeriesFilter] = []
    original = Query.services

    async def services(self: Query, window_s: int, where: SeriesFilter, end_s: int | None) -> Any:
        asked.append(where)
        return await original(self, window_s, where, end_s)

    monkeypatch.setattr(Query, "services", services)
    async with served.client() as client:
        answer = await client.get("/api/v1/services?service=a&environment=b&model=c&version=d&route=e")
        by_environment = await client.get("/api/v1/services?environment=staging")
    assert answer.json()["items"] == []
    assert asked[0] == SeriesFilter("a", "b", "c", "d", "e")
    assert [item["service"] for item in by_environment.json()["items"]] == ["well"]


@pytest.mark.parametrize("kinds", ["CLIENT,PRODUCER", "CLIENT&span_kind=PRODUCER"])
async def test_other_kinds_of_spans_are_other_questions(
    served: Served, monkeypatch: pytest.MonkeyPatch, kinds: str
) -> None:
    """By default requests are asked about; a mistyped kind is refused."""
    asked: list[SeriesFilter] = []
    original = Query.red

    async def red(self: Query, start_s: int, end_s: int, step_s: int, group_by: Any, where: SeriesFilter) -> Any:
        asked.append(where)
        return await original(self, start_s, end_s, step_s, group_by, where)

    monkeypatch.setattr(Query, "red", red)
    async with served.client() as client:
        answer = await client.get(f"/api/v1/red?span_kind={kinds}&group_by=peer,operation")
        await client.get("/api/v1/red")
        wrong = await client.get("/api/v1/red?span_kind=client")
    assert answer.json()["items"] == []
    assert asked == [SeriesFilter(span_kinds=frozenset({"CLIENT", "PRODUCER"})), SeriesFilter()]
    assert wrong.status_code == 422


@pytest.mark.parametrize(
    "end",
    ["2023-11-14T22:13:20Z", "2023-11-14T22:13:20.25Z", "2023-11-14T23:13:20%2B01:00", "2023-11-14T23:13:20+01:00",
     "1700000000", "1700000000.75"],
)  # fmt: skip
async def test_times_are_rfc_3339_or_unix_seconds(client: httpx.AsyncClient, end: str) -> None:
    """All ways of writing the same second mean the same, an unescaped plus sign included."""
    document = (await client.get(f"/api/v1/services?window=60s&end={end}")).json()
    assert (document["start"], document["end"]) == ("2023-11-14T22:12:20Z", "2023-11-14T22:13:20Z")


@pytest.mark.parametrize(
    ("url", "parameter", "words"),
    [
        ("/api/v1/services?windw=5m", "windw", "no such parameter"),
        ("/api/v1/services?window=5x", "window", "such as 30s, 5m, 24h or 7d"),
        ("/api/v1/services?window=-5m", "window", "such as 30s, 5m, 24h or 7d"),
        ("/api/v1/services?window=0", "window", "must be 1 to 63158400 s long"),
        ("/api/v1/services?window=999w", "window", "must be 1 to 63158400 s long"),
        ("/api/v1/services?end=yesterday", "end", "2026-11-22T10:00:00Z, with its zone"),
        ("/api/v1/services?end=2023-11-14T22:13:20", "end", "with its zone"),
        ("/api/v1/services?end=2023-13-14T22:13:20Z", "end", "no such time"),
        ("/api/v1/services?end=999999999999", "end", "between 1970 and 9999"),
        ("/api/v1/red?group_by=colour", "group_by", "'service', 'version'"),
        ("/api/v1/red?group_by=route,route", "group_by", "once"),
        ("/api/v1/red?start=1700000000&end=1699999999", "end", "after the start"),
        ("/api/v1/red?start=1699990000&end=1700000000&step=1s", "step", "ask for a step of 5 s or more"),
        (f"/api/v1/red?service={'x' * 2_000}", "service", "at most 1024 characters"),
    ],
)
async def test_a_wrong_parameter_is_named_with_what_is_allowed(
    client: httpx.AsyncClient, url: str, parameter: str, words: str
) -> None:
    """The answer is a 422 problem that names the parameter."""
    answer = await client.get(url)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert (problem["status"], problem["title"]) == (422, "Unprocessable Content")
    assert problem["errors"][0]["parameter"] == parameter
    assert words in problem["errors"][0]["message"]
    assert words in problem["detail"]


async def test_storage_that_does_not_answer_is_a_503_with_retry_after(served: Served) -> None:
    """What needs the history says so and when to ask again; what does not goes on."""
    served.world.history.is_down = True
    async with served.client() as client:
        live = await client.get("/api/v1/services?window=5m")
        old = await client.get("/api/v1/services?window=24h")
    assert live.status_code == 200
    assert (old.status_code, old.headers["retry-after"]) == (503, "1")
    assert old.json()["detail"] == "the database does not answer"


async def test_an_unexpected_error_shows_nothing_of_its_inside(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """A defect is answered with a problem, never with a stack trace."""

    async def broken(self: Query, *arguments: object) -> None:
        raise RuntimeError("password=secret")

    monkeypatch.setattr(Query, "services", broken)
    with structlog.testing.capture_logs() as logs:
        async with served.client() as client:
            answer = await client.get("/api/v1/services")
    assert [(entry["event"], entry["path"]) for entry in logs] == [("request failed", "/api/v1/services")]
    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text


@pytest.mark.parametrize(
    "path", ["/api", "/api/", "/api/v1", "/api/v1/service", "/api/v2/services", "/api/v1/services/x"]
)
async def test_an_unknown_api_path_is_a_json_404(client: httpx.AsyncClient, path: str) -> None:
    """Even where pages are mounted onto the same app, a mistyped path is not answered with a page."""
    answer = await client.get(f"/api{path}", follow_redirects=True)
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


async def test_a_method_that_is_not_allowed_is_a_json_405(client: httpx.AsyncClient) -> None:
    """Nothing can be posted to a question."""
    answer = await client.post("/api/v1/services")
    assert (answer.status_code, answer.headers["content-type"]) == (405, "application/problem+json")
    assert answer.headers["allow"] == "GET"


@pytest.mark.parametrize("path", ["/api/v1/services", "/healthz", "/readyz", "/metrics", "/openapi.json"])
async def test_head_is_answered_as_get_is(client: httpx.AsyncClient, path: str) -> None:
    """An uptime check that sends HEAD gets the status and the headers of a GET."""
    asked, got = await client.head(path), await client.get(path)
    assert (asked.status_code, asked.headers["content-type"]) == (got.status_code, got.headers["content-type"])


@pytest.mark.parametrize("parameters", ["service=well&service=slow", "window=5m&window=1h"])
async def test_a_parameter_given_twice_is_refused(client: httpx.AsyncClient, parameters: str) -> None:
    """Two values where one counts are named, rather than one of them passed over."""
    answer = await client.get(f"/api/v1/services?{parameters}")
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["parameter"] == parameters.partition("=")[0]


async def test_the_pipeline_shows_the_figures(served: Served, client: httpx.AsyncClient) -> None:
    """What components counted in this process and hold now, by name and labels."""
    served.counters.add("receiver_accepted_items", 12, signal="traces", transport="grpc")
    served.counters.observe("spill_batches", lambda: 4)
    document = (await client.get("/api/v1/pipeline")).json()
    assert document["scope"] == "process"
    labels = {"signal": "traces", "transport": "grpc"}
    assert document["items"] == [
        {"kind": "counter", "name": "receiver_accepted_items", "labels": labels, "value": 12},
        {"kind": "gauge", "name": "spill_batches", "labels": {}, "value": 4},
    ]
    assert (await client.get("/api/v1/pipeline?x=1")).status_code == 422


async def test_a_sender_of_many_service_names_takes_the_answers_from_nobody(served: Served) -> None:
    """Both routes answer as without it; the smallest services are one, and every call is counted."""
    await served.world.commit(*(point(SeriesKey(f"job-{number}"), NOW_S - 5, [0.1]) for number in range(1_500)))
    async with served.client() as client:
        services, red = await client.get("/api/v1/services"), await client.get("/api/v1/red")
    assert (services.status_code, red.status_code) == (200, 200)
    assert services.json()["total"]["calls"] == 121 + 1_500
    assert {"slow", "well", "otel.metric.overflow"} <= {item["service"] for item in services.json()["items"]}
    assert sum(item["total"]["calls"] for item in red.json()["items"]) == 121 + 1_500
    assert {"service": "otel.metric.overflow"} in [item["labels"] for item in red.json()["items"]]


async def test_a_long_answer_is_whole(client: httpx.AsyncClient) -> None:
    """An answer of thousands of points, which is written in a worker thread, has every one of them."""
    url = f"/api/v1/red?start={NOW_S - 890}&end={NOW_S}&step=1&group_by=service,route,status_class"
    document = (await client.get(url)).json()
    assert [len(item["points"]) for item in document["items"]] == [890] * 4
    assert sum(point["calls"] for item in document["items"] for point in item["points"]) == 121


async def test_pages_mounted_onto_the_app_do_not_swallow_api_paths(served: Served) -> None:
    """A catch-all registered afterwards answers everything but what lies below /api."""
    app = build(ApiSettings(), served.world.query, served.world.metrics, served.world.resources, served.counters, {})
    app.add_api_route("/{path:path}", lambda: PlainTextResponse("page"))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://modelwatch.test") as client:
        assert (await client.get("/anything")).text == "page"
        for path in ("/api", "/api/v1/service"):
            assert (await client.get(path)).status_code == 404
        assert (await client.get("/api/v1/services")).json()["total"]["calls"] == 121
