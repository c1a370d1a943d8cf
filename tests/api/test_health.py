"""Probes and Prometheus get plain, true answers, from the API's app and from the health app alike."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from api.exposition.families import text_of
from api.figures import figure_families
from api.health_app import build_health_app
from storage.ports import StorageUnavailableError
from telemetry import Counters, Figures, SeriesOverflow
from tests.api.conftest import Served


async def well() -> None: ...


async def unavailable() -> None:
    raise StorageUnavailableError("the database does not answer")


async def defective() -> None:
    raise ValueError("amqp://user:secret@host")


async def hanging() -> None:
    await asyncio.Event().wait()


@pytest.fixture(params=["api", "health app"])
async def probe(request: pytest.FixtureRequest, served: Served) -> Any:
    """A function that asks either app, given the checks."""

    async def get(path: str, **checks: Any) -> httpx.Response:
        served.checks = checks
        if request.param == "api":
            client = served.client()
        else:

            async def read() -> Figures:
                return served.counters.figures()

            app = build_health_app(read, checks, 0.2)
            client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://modelwatch.test")
        async with client:
            return await client.get(path)

    return get


async def test_alive_is_alive_whatever_the_checks_say(probe: Any) -> None:
    """Liveness asks nothing of anyone, so that a broken database restarts nobody."""
    answer = await probe("/healthz", database=unavailable)
    assert (answer.status_code, answer.json()) == (200, {"status": "alive"})


async def test_ready_when_every_check_is(probe: Any) -> None:
    """Each check is reported by its name."""
    answer = await probe("/readyz", database=well, broker=well)
    assert answer.status_code == 200
    check = {"is_ok": True, "message": ""}
    assert answer.json() == {"status": "ready", "checks": {"database": check, "broker": check}}


async def test_not_ready_says_which_check_fails_and_leaks_nothing(probe: Any) -> None:
    """One failing or hanging check is enough for a 503; a driver's own message is not repeated."""
    answer = await probe("/readyz", database=unavailable, broker=defective, redis=hanging, disk=well)
    assert answer.status_code == 503
    document = answer.json()
    assert document["status"] == "not_ready"
    assert {name: check["message"] for name, check in document["checks"].items()} == {
        "database": "the database does not answer",
        "broker": "ValueError",
        "redis": "no answer within 0.2 s",
        "disk": "",
    }


async def test_metrics_are_prometheus_text(served: Served, probe: Any) -> None:
    """Counters and gauges appear under their fixed names, grouped by metric, each with its type and its meaning."""
    served.counters.add("receiver_accepted_items", 7, signal="traces")
    served.counters.add("receiver_accepted_items", 2, signal="logs")
    served.counters.add("exporter_reconnects")
    served.counters.observe("spill_bytes", lambda: 12)
    served.counters.observe("spill_batches", lambda: 2.5, worker="1")
    answer = await probe("/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert answer.text.endswith(
        "# HELP modelwatch_exporter_reconnects_total "
        "Connections of the exporter to RabbitMQ that were lost and came back.\n"
        "# TYPE modelwatch_exporter_reconnects_total counter\n"
        "modelwatch_exporter_reconnects_total 1\n"
        "# HELP modelwatch_receiver_accepted_items_total "
        "Items of requests that were answered with success: safe at the next stage.\n"
        "# TYPE modelwatch_receiver_accepted_items_total counter\n"
        'modelwatch_receiver_accepted_items_total{signal="logs"} 2\n'
        'modelwatch_receiver_accepted_items_total{signal="traces"} 7\n'
        "# HELP modelwatch_spill_batches Batches that wait in the spill now.\n"
        "# TYPE modelwatch_spill_batches gauge\n"
        'modelwatch_spill_batches{worker="1"} 2.5\n'
        "# HELP modelwatch_spill_bytes Bytes that the spill takes on the disk now.\n"
        "# TYPE modelwatch_spill_bytes gauge\n"
        "modelwatch_spill_bytes 12\n"
    )


async def test_the_pipeline_has_the_same_figures_as_the_metrics(served: Served, probe: Any) -> None:
    """What `/metrics` says to Prometheus, `/api/v1/pipeline` says as JSON: counters, then gauges."""
    served.counters.add("receiver_accepted_items", 7, signal="traces", transport="grpc")
    served.counters.observe("receiver_in_flight_requests", lambda: 3)
    served.counters.observe_overflows(lambda: [SeriesOverflow("job", 5, 900, {"http_route": 880}, "http_route")])
    answer = await probe("/api/v1/pipeline")
    assert answer.headers["content-type"] == "application/json"
    labels = {"signal": "traces", "transport": "grpc"}
    assert answer.json() == {
        "scope": "process",
        "items": [
            {"kind": "counter", "name": "receiver_accepted_items", "labels": labels, "value": 7},
            {"kind": "gauge", "name": "receiver_in_flight_requests", "labels": {}, "value": 3},
        ],
        "overflows": [
            {"service": "job", "kept": 5, "estimate": 900, "distinct": {"http_route": 880}, "cause": "http_route"}
        ],
    }


def test_label_values_are_escaped() -> None:
    """Quotes, backslashes and line ends cannot break the format."""
    counters = Counters()
    counters.add("exporter_reconnects", reason='a"b\\c\nd')
    assert 'reason="a\\"b\\\\c\\nd"' in text_of(figure_families(counters.figures()))
