"""What `/metrics` says of the watched services: exact counts that never fall, in both formats."""

from __future__ import annotations

import re

import pytest

from api.exposition.families import Buckets, Family, open_metrics_of, text_of
from api.exposition.watched import buckets_of
from telemetry import ExponentialHistogram, SeriesKey
from telemetry.conventions import HTTP_DURATION_BOUNDS_S
from tests.api.conftest import Served
from tests.support.calls import point
from tests.support.query_world import NOW_S

OPEN_METRICS = {"accept": "application/openmetrics-text;version=1.0.0,text/plain;q=0.5"}


async def samples(served: Served, **headers: str) -> dict[str, float]:
    """Return the samples by name with labels."""
    async with served.client() as client:
        answer = await client.get("/metrics", headers=headers)
    assert answer.status_code == 200
    lines = [line for line in answer.text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


def of_service(found: dict[str, float], metric: str, service: str) -> list[float]:
    return [
        value for name, value in found.items() if name.startswith(metric + "{") and f'service_name="{service}"' in name
    ]


async def test_every_request_of_every_service_is_counted(served: Served) -> None:
    """By service, version, environment and route; the counts are those of the API, and errors are apart."""
    found = await samples(served)
    async with served.client() as client:
        told = {one["service"]: one for one in (await client.get("/api/v1/services?window=15m")).json()["items"]}
    for service in ("slow", "well"):
        assert sum(of_service(found, "modelwatch_request_duration_seconds_count", service)) == told[service]["calls"]
        assert sum(of_service(found, "modelwatch_request_errors_total", service)) == told[service]["errors"]
        assert (
            sum(of_service(found, "modelwatch_request_client_errors_total", service)) == told[service]["client_errors"]
        )
    assert of_service(found, "modelwatch_request_duration_seconds_sum", "slow") == pytest.approx([59 * 1.5] * 2)
    labels = 'service_name="slow",service_version="1.0",deployment_environment_name="prod",http_route="/predict"'
    assert found[f'modelwatch_request_duration_seconds_bucket{{{labels},le="1.0"}}'] == 0
    assert found[f'modelwatch_request_duration_seconds_bucket{{{labels},le="2.5"}}'] == 59
    assert found[f'modelwatch_request_duration_seconds_bucket{{{labels},le="+Inf"}}'] == 59


async def test_counts_go_on_from_scrape_to_scrape(served: Served) -> None:
    """Also for calls that come late: what was scraped is never less than before, and in the end it is all."""
    client = served.client()
    series = SeriesKey("slow", "1.0", "a", "prod", http_route="/predict", http_status_class="2xx")
    name = "modelwatch_request_duration_seconds_count"
    counts = []
    async with client:
        for round_ in range(4):
            found = (await client.get("/metrics")).text
            counts.append(
                sum(float(value) for value in re.findall(name + r'\{service_name="slow"[^}]*\} (\S+)', found))
            )
            await served.world.commit(point(series, NOW_S - 200 * round_ - 5, [0.2] * 10))
            served.world.advance(300)
    assert counts == [118, 128, 138, 148]


async def test_open_metrics_is_told_where_it_is_asked_for(served: Served) -> None:
    """The same samples, with the end mark, and families of counters without `_total`."""
    async with served.client() as client:
        answer = await client.get("/metrics", headers=OPEN_METRICS)
    assert answer.headers["content-type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert answer.text.endswith("# EOF\n")
    assert "# TYPE modelwatch_request_errors counter\n" in answer.text
    assert await samples(served) == await samples(served, **OPEN_METRICS)


async def test_a_history_that_does_not_answer_takes_nothing_else_along(served: Served) -> None:
    """The process's own figures are there all the same, and what is missing is said."""
    served.counters.add("exporter_reconnects", 3)
    served.world.history.is_down = True
    found = await samples(served)
    assert found["modelwatch_exporter_reconnects_total"] == 3
    assert found['modelwatch_scrape_part_is_complete{part="resources"}'] == 0


def test_bounds_are_met_to_one_percent() -> None:
    """No duration that is further than a bucket's width from a bound is on its wrong side."""
    durations = [0.001, 0.0049, 0.0051, 0.074, 0.076, 0.99, 1.02, 7.4, 7.6, 40.0]
    found = buckets_of(ExponentialHistogram.of([int(one * 1e9) for one in durations]), HTTP_DURATION_BOUNDS_S)
    assert list(found.counts) == [sum(one <= bound for one in durations) for bound in HTTP_DURATION_BOUNDS_S]
    assert (found.count, found.sum) == (10, pytest.approx(sum(durations)))


def test_no_name_breaks_the_formats() -> None:
    """Line ends, quotes and halves of letters in labels stay within their sample."""
    family = Family("strange", "histogram", "A\nhelp.")
    family.add(Buckets((0.5,), (1,), 2, 3.5), name='a"b\\c\nd\ud800')
    for text in (text_of([family]), open_metrics_of([family])):
        assert 'strange_bucket{name="a\\"b\\\\c\\nd?",le="0.5"} 1\n' in text
        assert 'strange_bucket{name="a\\"b\\\\c\\nd?",le="+Inf"} 2\n' in text
        assert "# HELP strange A\\nhelp.\n" in text
        text.encode()
