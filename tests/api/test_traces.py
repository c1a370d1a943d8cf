"""`/api/v1/traces` over what a real processor kept in a real database."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from api.component import build
from api.settings import ApiSettings
from api.trace_examples import TRACE_EXAMPLE, TRACES_EXAMPLE
from api.trace_models import Trace, Traces
from processor.component import build as build_processor
from processor.settings import ProcessorSettings
from query import MetricQuery, Query, QuerySettings, ResourceQuery, TraceQuery
from storage.absent_live_feed import AbsentLiveFeed
from storage.component import build_sqlite_history
from storage.settings import StorageSettings
from telemetry import Batch, Counters, Signal
from tests.support.otlp import merged_request, resource, span

END_NS = int(time.time() - 60) * 10**9
TRACE = bytes(range(16))


def spans_of_a_failure() -> list[Span]:
    """Return a request that failed in its model, which a client of another trace store called."""
    root = span(
        "POST /predict",
        kind=Span.SPAN_KIND_SERVER,
        trace_id=TRACE,
        span_id=b"root" * 2,
        parent_span_id=b"caller" + b"00",
        end_ns=END_NS,
        duration_ns=800_000_000,
        attributes={"http.route": "/predict", "http.request.method": "POST", "http.response.status_code": 500},
        is_error=True,
    )
    step = span(
        "predict churn",
        trace_id=TRACE,
        span_id=b"step" * 2,
        parent_span_id=b"root" * 2,
        end_ns=END_NS - 1_000,
        duration_ns=700_000_000,
        attributes={"ml.model.name": "churn", "ml.operation.name": "predict", "shape": [1, 2.5, {"a": None}]},
        is_error=True,
    )
    step.events.add(name="exception", time_unix_nano=END_NS - 2_000).attributes.add(
        key="exception.message"
    ).value.string_value = "<script>alert(1)</script>"
    return [step, root]


def well(number: int) -> Span:
    return span(
        "GET /items",
        kind=Span.SPAN_KIND_SERVER,
        end_ns=END_NS - number * 10**9,
        duration_ns=(number + 1) * 1_000_000,
        attributes={"http.route": "/items", "http.request.method": "GET", "http.response.status_code": 200},
        index=number,
    )


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """The API over a database into which a processor committed a failure and thirty requests that were well."""
    history = build_sqlite_history(StorageSettings(), f"sqlite:///{tmp_path / 'modelwatch.db'}")
    live = AbsentLiveFeed()
    intake = build_processor(ProcessorSettings(), history, live, Counters())
    await history.start()
    await intake.start()
    spans = [*spans_of_a_failure(), *map(well, range(30))]
    body = merged_request([(resource("shop", service__version="2"), spans)]).SerializeToString()
    await intake.consume(Batch.of(Signal.TRACES, body, item_count=len(spans), received_unix_nano=0))
    settings = QuerySettings()
    query = Query(settings, history, live)
    questions = query, MetricQuery(settings, history), ResourceQuery(settings, query, history)
    app = build(ApiSettings(), *questions, Counters(), {}, traces=TraceQuery(settings, query, history))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://modelwatch.test") as client:
        yield client
    await intake.stop()
    await history.stop()


async def asked(client: httpx.AsyncClient, query: str = "") -> dict[str, Any]:
    response = await client.get(f"/api/v1/traces{query}")
    assert response.status_code == 200, response.text
    document: dict[str, Any] = response.json()
    return document


def test_the_examples_are_of_the_shapes_they_illustrate() -> None:
    """What OpenAPI shows is what the models describe."""
    Traces.model_validate(TRACES_EXAMPLE)
    Trace.model_validate(TRACE_EXAMPLE)


async def test_requests_are_listed_with_how_many_there_were(client: httpx.AsyncClient) -> None:
    """The latest first; steps of models are no requests; kept and counted are of the same time."""
    document = await asked(client)
    Traces.model_validate(document)
    assert [item["route"] for item in document["items"][:2]] == ["/items", "/predict"]
    assert len(document["items"]) == 31
    assert (document["count"]["kept"], document["count"]["calls"]) == (31, 31)
    errors = await asked(client, "?error=true")
    assert [item["trace_id"] for item in errors["items"]] == [TRACE.hex()]
    assert (errors["count"]["kept"], errors["count"]["calls"]) == (1, 1)
    assert {item["service"] for item in document["items"]} == {"shop"}


async def test_filters_narrow_the_list(client: httpx.AsyncClient) -> None:
    """Each parameter lets through what it says and nothing else."""
    for query, expected in [
        ("?service=shop&route=/items", 30),
        ("?service=other", 0),
        ("?version=2&status_class=5xx", 1),
        ("?min_duration_s=0.5", 1),
        ("?max_duration_s=0.01", 9),
        ("?span_kind=INTERNAL&model=churn&operation=predict", 1),
        ("?error=false", 30),
    ]:
        assert len((await asked(client, query))["items"]) == expected, query


async def test_pages_go_on_where_they_ended(client: httpx.AsyncClient) -> None:
    """All pages together hold each request once, the longest first."""
    found: list[dict[str, Any]] = []
    more = ""
    while True:
        document = await asked(client, f"?order=duration&limit=8{more}")
        found += document["items"]
        if document["next_cursor"] is None:
            break
        more = f"&cursor={document['next_cursor']}"
        assert (document["count"] is None) == (len(found) > 8)
    durations = [item["duration_s"] for item in found]
    assert durations == sorted(durations, reverse=True)
    assert len({item["span_id"] for item in found}) == len(found) == 31


async def test_one_trace_is_told_whole_with_its_gaps(client: httpx.AsyncClient) -> None:
    """Spans below their parents, attributes as they are, and the caller that is not kept."""
    response = await client.get(f"/api/v1/traces/{TRACE.hex().upper()}")
    document = response.json()
    Trace.model_validate(document)
    root, step = document["spans"]
    assert (root["depth"], root["is_parent_missing"], step["depth"], step["is_parent_missing"]) == (0, True, 1, False)
    assert document["missing_parents"] == [(b"caller" + b"00").hex()]
    assert document["has_gaps"]
    assert step["attributes"]["shape"] == [1, 2.5, {"a": None}]
    assert step["events"][0]["attributes"] == {"exception.message": "<script>alert(1)</script>"}
    assert (step["model"], step["operation"]) == ("churn", "predict")


async def test_what_cannot_be_asked_is_said(client: httpx.AsyncClient) -> None:
    """A trace that is not there is 404; what is malformed is 422, or 400 for a cursor, and names the parameter."""
    assert (await client.get(f"/api/v1/traces/{'0' * 32}")).status_code == 404
    for path, parameter in [
        ("/nonsense", "trace_id"),
        ("?cursor=x", "cursor"),
        ("?cursor=t.99999999999999999999.1." + "0" * 32 + "." + "0" * 16, "cursor"),
        ("?limit=1000", "limit"),
        ("?min_duration_s=nan", "min_duration_s"),
        ("?status_class=9xx", "status_class"),
        ("?start=10&end=5", "end"),
        ("?wrong=1", "wrong"),
        ("?error=true&error=false", "error"),
    ]:
        response = await client.get(f"/api/v1/traces{path}")
        assert (response.status_code, response.json()["errors"][0]["parameter"]) == (
            400 if parameter == "cursor" else 422,
            parameter,
        ), path


async def test_hostile_text_is_no_error(client: httpx.AsyncClient) -> None:
    """NUL and quotes in a filter find nothing, and fail nothing."""
    assert (await asked(client, "?service=%00'%22;--&route=%F0%9F%92%A5"))["items"] == []
