"""The dashboards for Grafana on PostgreSQL: every question is answered to its reader, as the API answers it."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
import sqlalchemy

from tests.deploy.test_grafana import DATA_SOURCES, DEPLOY
from tests.support.otlp import resource, server_span, trace_request
from tests.support.otlp_metrics import gauge, metric_request, number_point, total
from tests.support.systems import System, embedded_system
from tests.support.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

DASHBOARDS: dict[str, Any] = {
    path.stem: json.loads(path.read_text()) for path in (DEPLOY / "grafana" / "dashboards" / "sql").glob("*.json")
}
PANELS = [(name, panel["title"], panel["id"]) for name, one in DASHBOARDS.items() for panel in one["panels"]]
NEVER = {
    *("Disk", "Kills for want of memory", "CPU limit in cores", "P95 by model"),
    *("Freshness", "Held on the receivers' disks"),
}
"""Panels about what nobody tells in the tests."""
SECOND_NS = 10**9
STEP_S = 60


async def test_there_is_one_for_each_subject() -> None:
    """As there is on Prometheus."""
    assert DASHBOARDS.keys() == {"overview", "service", "containers", "pipeline"}


@pytest.mark.parametrize("name", DASHBOARDS)
async def test_every_panel_has_its_source_and_its_place(name: str) -> None:
    """The role that Grafana asks as is the one that reads the views; a chart's step is at least a view's width."""
    document = DASHBOARDS[name]
    source = next(one for one in DATA_SOURCES if one["uid"] == "modelwatch-postgres")
    assert source["user"] == "modelwatch_reader"
    assert document["uid"] == f"modelwatch-sql-{name}"
    assert len({panel["id"] for panel in document["panels"]}) == len(document["panels"])
    for panel in document["panels"]:
        assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24
        for target in panel["targets"]:
            assert target["datasource"]["uid"] == source["uid"]
            assert panel["interval"] == (
                "1m" if "_1m" in target["rawSql"] or "metrics" in target["rawSql"] else "10s"
            ) or ("$__interval" not in target["rawSql"])


@dataclass
class Asked:
    """A running ModelWatch on PostgreSQL, and the reader of its views, over the time that there is data of."""

    system: System
    engine: sqlalchemy.Engine
    start_s: int
    end_s: int

    def ask(self, question: str, interval_s: int = STEP_S) -> list[dict[str, Any]]:
        """Return the rows, with Grafana's variables filled in as Grafana does."""
        for macro, value in (
            ("$__unixEpochFrom()", str(self.start_s)),
            ("$__unixEpochTo()", str(self.end_s)),
            ("$__interval_ms", str(interval_s * 1000)),
            ("$environment", "'', 'test'"),
            ("$service", "'shop','o''hara'"),
        ):
            question = question.replace(macro, value)
        assert "$" not in question, question
        with self.engine.connect() as connection:
            # `%` and `:` mean nothing to Grafana.
            raw = connection.connection.cursor()
            raw.execute(question)
            assert raw.description is not None
            names = [column[0] for column in raw.description]
            return [dict(zip(names, row, strict=True)) for row in raw.fetchall()]

    async def api(self, path: str, **parameters: Any) -> list[dict[str, Any]]:
        async with httpx.AsyncClient(timeout=30) as client:
            answer = await client.get(
                f"{self.system.url}/api/v1/{path}",
                params={"start": self.start_s, "end": self.end_s, "step": "60s", **parameters},
            )
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["items"]
        return found


async def send(system: System, signal: str, body: bytes) -> None:
    async with httpx.AsyncClient() as client:
        answer = await client.post(
            f"http://127.0.0.1:{system.http_port}/v1/{signal}",
            content=body,
            headers={"content-type": "application/x-protobuf"},
        )
    assert answer.status_code == 200, answer.text


async def fill(system: System, start_s: int) -> None:
    """Two services over three minutes, and a container that tells of itself every ten seconds."""
    for service, version in (("shop", "1"), ("shop", "2"), ("o'hara", "1")):
        spans = [
            server_span(
                route=f"/buy/{index % 2}",
                status_code=(200, 200, 404, 500)[index % 4],
                duration_ns=(index + 1) * 7_000_000,
                end_ns=(start_s + index % 180) * SECOND_NS,
                index=index,
            )
            for index in range(300)
        ]
        of = resource(service, service__version=version, deployment__environment__name="test")
        await send(system, "traces", trace_request(spans, of).SerializeToString())
    box = resource(None, container__id="ab" * 32, container__name="shop-1", host__name="node-1")
    for second in range(0, 180, 10):
        at = {"time_unix_nano": (start_s + second) * SECOND_NS}

        def point(value: float, at: dict[str, int] = at, **labels: str) -> Any:
            made = number_point(value, **{name.replace("__", "."): label for name, label in labels.items()})
            made.time_unix_nano = at["time_unix_nano"]
            made.start_time_unix_nano = (start_s - 1) * SECOND_NS
            return made

        metrics = [
            total(
                point(0.5 * second, cpu__mode="user"),
                point(0.25 * second, cpu__mode="system"),
                name="container.cpu.time",
            ),
            gauge(point(4e8 + second), name="container.memory.working_set"),
            gauge(point(1e9), name="container.memory.usage.limit"),
            total(point(1000.0 * second, network__io__direction="receive"), name="container.network.io"),
            total(point(0.0), name="container.restarts"),
        ]
        await send(system, "metrics", metric_request(metrics, box).SerializeToString())


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def asked(postgres_process: Any, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Asked]:
    url = postgres_process.fresh_database()
    folder = tmp_path_factory.mktemp("asked")
    async with embedded_system(folder, MODELWATCH_DATABASE_URL=url) as system:
        plain = url.replace("postgresql+psycopg", "postgresql")
        reader = Path(DEPLOY) / "postgres" / "reader.sql"
        command = ["psql", "--quiet", "--no-psqlrc", f"--file={reader}", "--set=password=reads", plain]
        await asyncio.to_thread(subprocess.run, command, check=True, capture_output=True, timeout=30)
        start_s = int(time.time()) // STEP_S * STEP_S - 5 * STEP_S
        await fill(system, start_s)
        engine = sqlalchemy.create_engine(
            sqlalchemy.make_url(url).set(username="modelwatch_reader", password="reads"), hide_parameters=True
        )
        try:
            yield Asked(system, engine, start_s, start_s + 60 * STEP_S)
        finally:
            engine.dispose()


@pytest.mark.parametrize(("name", "title", "number"), PANELS, ids=[f"{one[0]}-{one[2]}" for one in PANELS])
async def test_every_question_is_answered(asked: Asked, name: str, title: str, number: int) -> None:
    """With the columns that Grafana needs, and with data; also in steps of an hour."""
    panel = next(one for one in DASHBOARDS[name]["panels"] if one["id"] == number)
    for target in panel["targets"]:

        def answered(sql: str = target["rawSql"]) -> bool:
            rows = asked.ask(sql, 10 if panel["interval"] == "10s" else STEP_S)
            if panel["type"] == "timeseries" and rows:
                assert isinstance(rows[0]["time"], int)
                assert {type(value) for value in rows[-1].values()} <= {int, float, str, type(None)}, rows[-1]
            return bool(rows)

        if title in NEVER:
            answered()
        else:
            await eventually(answered, timeout_s=60, interval_s=1, what=f"there are rows for {title}")
        asked.ask(target["rawSql"], 3600)


@pytest.mark.parametrize("name", DASHBOARDS)
async def test_every_variable_has_its_choices(asked: Asked, name: str) -> None:
    """One column of texts."""
    for variable in DASHBOARDS[name]["templating"]["list"]:
        (first, *_) = asked.ask(variable["query"])
        assert [type(value) for value in first.values()] == [str]


async def test_services_are_those_of_the_api(asked: Asked) -> None:
    """Calls, errors, percentiles of each, in minutes and in hours; and those of each minute and route."""
    panel = next(one for one in DASHBOARDS["overview"]["panels"] if one["type"] == "table")
    told = {item["labels"]["service"]: item["total"] for item in await asked.api("red", group_by="service")}
    assert told.keys() == {"shop", "o'hara"}
    rows = asked.ask(panel["targets"][0]["rawSql"])
    assert {row["service"]: (row["calls"], row["errors"]) for row in rows} == {
        service: (one["calls"], one["errors"]) for service, one in told.items()
    }
    for row in rows:
        expected = told[row["service"]]
        assert [row[key] for key in ("p50", "p95", "p99")] == pytest.approx(
            [expected[key] for key in ("p50_s", "p95_s", "p99_s")], rel=1e-9
        )
    (by_minute,) = [one for one in DASHBOARDS["overview"]["panels"] if one["title"] == "P95" and one["type"] != "stat"]
    expected_points = {
        (item["labels"]["service"], round(_unix(point["time"]))): point["p95_s"]
        for item in await asked.api("red", group_by="service")
        for point in item["points"]
        if point["calls"]
    }
    found = {(row["metric"], row["time"]): row["value"] for row in asked.ask(by_minute["targets"][0]["rawSql"])}
    assert found == pytest.approx(expected_points, rel=1e-9)


async def test_containers_are_those_of_the_api(asked: Asked) -> None:
    """CPU and memory of the last whole minute."""
    titles = {panel["title"]: panel["targets"][0]["rawSql"] for panel in DASHBOARDS["containers"]["panels"]}
    cpu = [row["value"] for row in asked.ask(titles["CPU in cores"]) if row["metric"] == "shop-1"]
    assert cpu == pytest.approx([0.75] * 3)
    memory = {row["time"]: row["value"] for row in asked.ask(titles["Memory"])}
    (item,) = await asked.api("resources")
    shown = {round(_unix(step["time"])): step["memory_bytes"] for step in item["points"] if step["memory_bytes"]}
    assert memory.keys() == shown.keys()
    assert all(memory[at] == pytest.approx(shown[at], rel=1e-6) for at in memory)


async def test_every_service_has_a_row_a_minute_in_the_ready_made_view(asked: Asked) -> None:
    """The sums of `modelwatch_services_1m` are those of the panels."""
    rows = asked.ask(
        "SELECT service_name, sum(calls)::int AS calls, sum(client_errors)::int AS client_errors, count(*) AS minutes, "
        "bool_and(p50_s <= p95_s AND p95_s <= p99_s) AS rises FROM modelwatch_services_1m "
        "WHERE start_s >= $__unixEpochFrom() GROUP BY 1 ORDER BY 1"
    )
    assert [tuple(row.values()) for row in rows] == [("o'hara", 300, 75, 3, True), ("shop", 600, 150, 3, True)]


def _unix(text: str | float) -> float:
    if isinstance(text, (int, float)):
        return text
    return datetime.fromisoformat(re.sub("Z$", "+00:00", text)).timestamp()
