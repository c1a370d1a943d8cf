"""Settings that are changed by the API, on a real database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from api.component import build
from api.settings import ApiSettings
from modelwatch.settings import Settings
from modelwatch.tunables import TUNABLES
from storage.component import build_setting_changes, build_sqlite_history
from storage.history import SqlHistory
from storage.settings import StorageSettings
from telemetry import Counters
from tests.support import json_schema
from tests.support.query_world import make_world
from tuning.component import Tuning
from tuning.desk import TuningDesk
from tuning.settings import TuningSettings

TARGET = "/api/v1/settings/query.apdex_target_s"


@pytest.fixture
async def history(tmp_path: Path) -> AsyncIterator[SqlHistory]:
    made = build_sqlite_history(StorageSettings(), f"sqlite:///{tmp_path / 'modelwatch.db'}")
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def app(history: SqlHistory) -> AsyncIterator[FastAPI]:
    changes = build_setting_changes(history)
    tuning = Tuning(TuningSettings(), Settings(), TUNABLES, changes)
    await tuning.start()
    world = make_world()
    questions = world.query, world.metrics, world.resources
    yield build(ApiSettings(), *questions, Counters(), {}, world.clock, tuning=TuningDesk(tuning, changes, world.clock))
    await tuning.stop()


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://modelwatch.test") as client:
        yield client


async def test_a_setting_is_changed_and_put_back(client: httpx.AsyncClient) -> None:
    """Each answer has the shape that the document promises, and says who did what when."""
    document = (await client.get("/openapi.json")).json()

    def check(answer: httpx.Response, path: str, method: str = "get") -> Any:
        assert answer.status_code == 200, answer.text
        said = document["paths"][path][method]["responses"]["200"]["content"]["application/json"]
        json_schema.check(answer.json(), said["schema"], document)
        json_schema.check(said["example"], said["schema"], document)
        return answer.json()

    one = "/api/v1/settings/{name}"
    assert check(await client.get(TARGET), one)["value"] == 0.5
    changed = check(await client.put(TARGET, json={"value": 0.25, "by": "mei"}), one, "put")
    assert (changed["value"], changed["start_value"], changed["is_changed"]) == (0.25, 0.5, True)
    assert (changed["changed_by"], changed["changed"]) == ("mei", "2023-11-14T22:13:20.500Z")
    items = check(await client.get("/api/v1/settings"), "/api/v1/settings")["items"]
    assert [item["name"] for item in items] == [one.name for one in TUNABLES]
    assert [item["value"] for item in items if item["is_changed"]] == [0.25]
    assert check(await client.delete(TARGET), one, "delete")["value"] == 0.5
    path = "/api/v1/setting-changes"
    newest = check(await client.get(path, params={"limit": 1}), path)
    oldest = check(await client.get(path, params={"limit": 1, "cursor": newest["next_cursor"]}), path)
    assert [(item["before"], item["value"], item["is_reset"], item["by"]) for item in newest["items"]] == [
        (0.25, None, True, "local")
    ]
    assert [(item["before"], item["value"], item["by"]) for item in oldest["items"]] == [(0.5, 0.25, "mei")]
    assert oldest["next_cursor"] is None


@pytest.mark.parametrize(
    ("path", "body", "status", "words"),
    [
        (TARGET, {"value": 0}, 422, "greater than or equal to 0.001"),
        (TARGET, {"value": "fast"}, 422, "valid number"),
        (TARGET, {"value": [1]}, 422, "valid number"),
        (TARGET, {"value": 1, "extra": 2}, 422, "extra"),
        (TARGET, {}, 422, "value"),
        ("/api/v1/settings/storage.points_retention_s", {"value": 10**25}, 422, "less than or equal"),
        ("/api/v1/settings/database_url", {"value": "sqlite://"}, 404, "there is no setting"),
        ("/api/v1/settings/%00", {"value": 1}, 404, "there is no setting"),
    ],
)
async def test_what_cannot_be_is_refused(
    client: httpx.AsyncClient, path: str, body: dict[str, Any], status: int, words: str
) -> None:
    """As a problem that says why; nothing is noted."""
    answer = await client.put(path, json=body)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert words in answer.json()["detail"]
    assert (await client.get("/api/v1/setting-changes")).json()["items"] == []
    assert (await client.get("/api/v1/setting-changes?cursor=x")).status_code == 400
    infinite = await client.put(TARGET, content='{"value": Infinity}', headers={"Content-Type": "application/json"})
    assert infinite.status_code == 422


async def test_without_the_database_what_holds_is_told_and_nothing_changes(
    client: httpx.AsyncClient, history: SqlHistory
) -> None:
    """Reading goes on, changing is refused for now."""
    await history.stop()
    assert (await client.get(TARGET)).json()["value"] == 0.5
    assert (await client.put(TARGET, json={"value": 1})).status_code == 503
    assert (await client.get("/api/v1/setting-changes")).status_code == 503
