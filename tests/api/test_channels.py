"""Channels by the API: how deliveries stand, a test of each, and nothing of their targets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from alerting.channels.desk import ChannelDesk
from alerting.settings import AlertingSettings
from api.channel_routes import CHANNELS_EXAMPLE, TEST_EXAMPLE
from api.component import build
from api.settings import ApiSettings
from storage.alert_rounds import Round
from storage.alert_store import AlertStore
from storage.component import build_alert_store, build_sqlite_history
from storage.settings import StorageSettings
from telemetry import Counters
from tests.support import json_schema
from tests.support.doubles import ManualClock
from tests.support.notifications import notification, outbox_row
from tests.support.query_world import make_world

SETTINGS = AlertingSettings.model_validate(
    {
        "channels": [
            {"name": "on-call", "url": "slack://s3cr3t/s3cr3t/s3cr3t", "min_severity": "critical"},
            {"name": "hook", "url": "https://hooks.example.com/s3cr3t", "labels": {"service": "fraud-*"}},
            {"name": "elsewhere", "url_file": "/nowhere/at/all"},
        ],
    }
)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[AlertStore]:
    history = build_sqlite_history(StorageSettings(), f"sqlite:///{tmp_path / 'modelwatch.db'}", now_ns=ManualClock())
    await history.start()
    yield build_alert_store(history)
    await history.stop()


@pytest.fixture
async def client(store: AlertStore) -> AsyncIterator[httpx.AsyncClient]:
    world = make_world()
    desk = ChannelDesk(SETTINGS, store, ManualClock(), wait_s=0)
    questions = world.query, world.metrics, world.resources
    app = build(ApiSettings(), *questions, Counters(), {}, world.clock, channels=desk)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://modelwatch.test") as client:
        yield client


async def settle(store: AlertStore) -> None:
    """Let one notification have failed, one wait, and one wait for a channel that is gone."""
    fence = await store.rounds.take("me", await store.rounds.lease()) or 0
    rows = [
        outbox_row(notification(name), channel, 5)
        for name, channel in (("n1", "on-call"), ("n2", "on-call"), ("n3", "gone"))
    ]
    await store.rounds.commit("me", fence, Round("", outbox=rows))
    await store.outbox.settle(
        [
            rows[0]._replace(status="failed", detail="it answered 403", finished_ms=1_700_000_000_000),
            rows[1]._replace(detail="it answered 503"),
        ]
    )


async def test_channels_are_shown_without_their_targets(client: httpx.AsyncClient, store: AlertStore) -> None:
    """Kind, filter, what waits and why, what failed and when; also for a channel that is gone."""
    await settle(store)
    answer = await client.get("/api/v1/alert-channels")
    assert answer.status_code == 200
    assert "s3cr3t" not in answer.text
    assert "hooks.example.com" not in answer.text
    items = {item["name"]: item for item in answer.json()["items"]}
    assert [(item["kind"], item["is_configured"], item["waiting"]) for item in items.values()] == [
        ("slack", True, 1),
        ("webhook", True, 0),
        ("", True, 0),
        ("", False, 1),
    ]
    oncall = items["on-call"]
    assert (oncall["waiting_reason"], oncall["last_failed_reason"]) == ("it answered 503", "it answered 403")
    assert (oncall["last_failed"], oncall["last_sent"]) == ("2023-11-14T22:13:20.000Z", None)
    assert items["hook"]["labels"] == {"service": "fraud-*"}


async def test_a_test_is_put_into_the_outbox_once(client: httpx.AsyncClient, store: AlertStore) -> None:
    """Without an evaluator it waits, which is said; a second one must wait a moment."""
    path = "/api/v1/alert-channels/hook/test"
    assert (await client.post("/api/v1/alert-channels/nope/test")).status_code == 404
    first = await client.post(path)
    assert (first.status_code, first.json()["status"]) == (200, "waiting")
    second = await client.post(path)
    assert second.status_code == 429
    assert 1 <= int(second.headers["retry-after"]) <= 5
    rows = await store.outbox.latest(9)
    assert [(row.channel, row.notification_id) for row in rows] == [("hook", first.json()["notification_id"])]


async def test_the_document_is_true(client: httpx.AsyncClient, store: AlertStore) -> None:
    """Answers and examples have the shape that is promised."""
    await settle(store)
    document: dict[str, Any] = (await client.get("/openapi.json")).json()
    paths = document["paths"]

    def schema(path: str, method: str) -> Any:
        return paths[path][method]["responses"]["200"]["content"]["application/json"]["schema"]

    listed, tested = schema("/api/v1/alert-channels", "get"), schema("/api/v1/alert-channels/{name}/test", "post")
    for one, of in (
        (CHANNELS_EXAMPLE, listed),
        (TEST_EXAMPLE, tested),
        ((await client.get("/api/v1/alert-channels")).json(), listed),
        ((await client.post("/api/v1/alert-channels/hook/test")).json(), tested),
    ):
        json_schema.check(one, of, document)


async def test_a_channel_is_made_changed_and_removed(client: httpx.AsyncClient) -> None:
    """Each answer has the shape that is promised and no secret; a revision that is old is refused."""
    document: dict[str, Any] = (await client.get("/openapi.json")).json()
    path = "/api/v1/alert-channels/mine"

    def check(answer: httpx.Response, of: str, method: str, status: int) -> Any:
        assert answer.status_code == status, answer.text
        assert "s3cr3t" not in answer.text
        said = document["paths"][of][method]["responses"][str(status)]["content"]["application/json"]["schema"]
        json_schema.check(answer.json(), said, document)
        return answer.json()

    one, every = "/api/v1/alert-channels/{name}", "/api/v1/alert-channels"
    body = {"name": "mine", "url": "https://h/s3cr3t", "authorization": "s3cr3t"}
    made = await client.post(every, json=body)
    item = check(made, every, "post", 201)
    assert (item["kind"], item["is_editable"], item["secrets"]) == ("webhook", True, ["url", "authorization"])
    assert made.headers["location"] == path
    assert (await client.post(every, json=body)).status_code == 409
    read = await client.get(path)
    assert check(read, one, "get", 200) == item
    changed = await client.put(path, json={"min_severity": "critical"}, headers={"If-Match": read.headers["etag"]})
    assert check(changed, one, "put", 200)["min_severity"] == "critical"
    stale = await client.put(path, json={}, headers={"If-Match": '"1"'})
    assert stale.status_code == 412
    refused = await client.put(path, json={"url": "s3cr3t"})
    assert (refused.status_code, refused.json()["errors"][0]["parameter"]) == (422, "url")
    assert "s3cr3t" not in refused.text
    wrong = await client.put(path, json={"url": ["s3cr3t"], "s3cr3t": 1})
    assert wrong.status_code == 422
    assert (await client.put("/api/v1/alert-channels/hook", json={})).status_code == 409
    assert (await client.delete("/api/v1/alert-channels/hook")).status_code == 409
    names = [item["name"] for item in (await client.get(every)).json()["items"] if item["is_editable"]]
    assert names == ["mine"]
    assert (await client.delete(path)).status_code == 204
    assert (await client.delete(path)).status_code == 404
    assert (await client.get(path)).status_code == 404
