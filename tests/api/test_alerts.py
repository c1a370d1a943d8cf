"""Alerts by the API: what fires, its history, rules without lost updates, silences, backtests, and who may change."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from alerting.channels.desk import ChannelDesk, notification_of_test
from alerting.channels.given import GivenChannel
from alerting.desk import AlertDesk
from alerting.states import Phase
from api.alert_documents import moment
from api.component import build
from api.settings import ApiSettings
from storage.component import build_sqlite_history
from storage.settings import StorageSettings
from telemetry import Counters
from tests.support import json_schema
from tests.support.alert_world import AlertWorld, rule
from tests.support.doubles import ManualClock
from tests.support.notifications import outbox_row

RULE = {"rule_id": "slow", "name": "Slow", "signal": "latency_p95", "warning": 0.5}


class Served:
    """A world of alerts with its API in front."""

    def __init__(self, world: AlertWorld) -> None:
        self.world = world
        desk = AlertDesk(world.settings, world.store, world.asking, world.clock)
        app = build(ApiSettings(), *world.asking, Counters(), {}, world.clock, alerts=desk)
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        self.client = httpx.AsyncClient(transport=transport, base_url="http://modelwatch.test")

    async def get(self, path: str) -> Any:
        answer = await self.client.get(f"/api/v1{path}")
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    """Two services of which one fails, evaluated once."""
    clock = ManualClock()
    history = build_sqlite_history(StorageSettings(), f"sqlite:///{tmp_path / 'modelwatch.db'}", now_ns=clock)
    await history.start()
    world = await AlertWorld(history, clock, rule()).begin()
    await world.calls(10, errors=10)
    await world.calls(10, service_name="well")
    await world.round(5)
    made = Served(world)
    yield made
    await made.client.aclose()
    await history.stop()


async def test_what_fires_is_told_with_its_numbers(served: Served) -> None:
    """And how fresh that is; filters let through what they name."""
    document = await served.get("/alerts")
    (item,) = document["items"]
    assert (item["rule_id"], item["labels"], item["state"], item["severity"]) == (
        "failing",
        {"service": "shop"},
        "firing",
        "critical",
    )
    assert (item["value"], item["threshold"]) == (1.0, 0.5)
    assert item["summary"] == "error rate 100 % over the last 30 s, above 50 %"
    assert document["firing"] == 1
    assert document["evaluator"]["is_frozen"] is False
    assert document["evaluator"]["evaluated"] == item["since"]
    for search, count in (("service=shop", 1), ("service=well", 0), ("severity=warning", 0), ("state=firing", 1)):
        assert len((await served.get(f"/alerts?{search}"))["items"]) == count


async def test_what_lost_its_data_does_not_count_as_firing(served: Served) -> None:
    """It is counted as what it is, however the list is narrowed; the counters say the same."""
    await served.world.rounds(160)
    for search in ("", "?state=firing", "?state=no_data"):
        document = await served.get(f"/alerts{search}")
        assert (document["firing"], document["no_data"]) == (0, 1)
        assert len(document["items"]) == (search != "?state=firing")
    assert served.world.evaluator.phases == {Phase.NO_DATA: 1}


async def test_history_is_read_page_by_page(served: Served) -> None:
    """`next_cursor` of a page leads to the one before it, until there is none; whatever else is refused."""
    for number in range(6):
        served.world.clock.advance(40)
        await served.world.calls(10, errors=0 if number % 2 == 0 else 10)
        await served.world.round(1)
    items, place = [], ""
    while place is not None:
        page = await served.get(f"/alerts/history?limit=2{place and f'&cursor={place}'}")
        items += page["items"]
        place = page["next_cursor"]
    assert len(items) == served.world.counters.total("alerting_transitions")
    assert [item["time"] for item in items] == sorted([item["time"] for item in items], reverse=True)
    for route in ("alerts/history", "alert-notifications"):
        for wrong in ("", "x", "1.ab.%00", "1760000000000", "١.5f0c4a1de8a5b1c2d3e4f506.3", "0" * 9_000):
            answer = await served.client.get(f"/api/v1/{route}?cursor={wrong}")
            assert (answer.status_code, answer.json()["errors"][0]["parameter"]) == (400, "cursor")
    assert {(item["before"], item["after"]) for item in items} >= {("inactive", "firing"), ("firing", "resolved")}


async def test_an_alert_is_acknowledged_with_a_note(served: Served) -> None:
    """It is shown with who did; what does not fire cannot be."""
    (item,) = (await served.get("/alerts"))["items"]
    answer = await served.client.post(
        f"/api/v1/alerts/{item['alert_id']}/ack", json={"by": "ann", "note": "rolling back"}
    )
    assert answer.status_code == 200
    (item,) = (await served.get("/alerts"))["items"]
    assert item["ack"] == answer.json()
    assert (item["ack"]["by"], item["ack"]["note"]) == ("ann", "rolling back")
    assert (await served.client.post("/api/v1/alerts/0/ack", json={})).status_code == 404


async def test_a_rule_says_what_is_amiss_with_its_channels(served: Served) -> None:
    """When it is made and whenever it is read, until the channel is there: it may be made later, so it is taken."""
    book = ChannelDesk(served.world.settings, served.world.store, served.world.clock).book
    await book.add("chat", GivenChannel.model_validate({"url": "https://h/x"}), "mei")
    post = await served.client.post("/api/v1/alert-rules", json=RULE | {"channels": ["nosuch"]})
    words = "there is no channel 'nosuch', so it is told to all channels"
    assert (post.status_code, post.json()["channel_trouble"], post.json()["failure"]) == (201, words, None)
    listed = {one["rule"]["rule_id"]: one["channel_trouble"] for one in (await served.get("/alert-rules"))["items"]}
    assert listed == {"failing": None, "slow": words}
    await book.add("nosuch", GivenChannel.model_validate({"url": "https://h/x"}), "mei")
    assert (await served.get("/alert-rules/slow"))["channel_trouble"] is None


async def test_rules_are_changed_without_lost_updates(served: Served) -> None:
    """Made once, changed at the revision that was read, and the second to change the same is refused."""
    post = await served.client.post("/api/v1/alert-rules", json=RULE)
    assert (post.status_code, post.headers["etag"]) == (201, '"1"')
    assert (await served.client.post("/api/v1/alert-rules", json=RULE)).status_code == 409
    path = post.headers["location"]
    read = await served.client.get(path)
    assert read.json() == post.json()
    changed = read.json()["rule"] | {"warning": 0.7}
    first = await served.client.put(path, json=changed, headers={"If-Match": read.headers["etag"]})
    second = await served.client.put(path, json=changed, headers={"If-Match": read.headers["etag"]})
    assert (first.status_code, second.status_code) == (200, 412)
    assert (await served.client.put(path, json=changed | {"rule_id": "other"})).status_code == 422
    assert (await served.client.delete(path, headers={"If-Match": '"1"'})).status_code == 412
    assert (await served.client.delete(path, headers={"If-Match": '"2"'})).status_code == 204
    assert (await served.client.get(path)).status_code == 404
    assert (await served.client.put(path, json=changed)).status_code == 404


@pytest.mark.parametrize(
    ("changes", "parameter"),
    [
        ({"warning": None}, "warning"),
        ({"signal": "nonsense"}, "signal"),
        ({"colour": "red"}, "colour"),
        ({"group_by": ["colour"]}, "group_by"),
        ({"signal": "metric", "metric": {"name": ""}}, "metric.name"),
    ],
)
async def test_a_mistake_in_a_rule_names_its_field(served: Served, changes: dict[str, Any], parameter: str) -> None:
    """The same for a rule that is saved and for one that is replayed."""
    wrong = RULE | changes
    saved = await served.client.post("/api/v1/alert-rules", json=wrong)
    replayed = await served.client.post("/api/v1/alert-rules/backtest", json={"rule": wrong})
    assert (saved.status_code, replayed.status_code) == (422, 422)
    assert parameter in [error["parameter"] for error in saved.json()["errors"]]
    assert f"rule.{parameter}" in [error["parameter"] for error in replayed.json()["errors"]]


@pytest.mark.parametrize(
    ("route", "body", "parameter"),
    [
        (
            "alert-rules",
            '{"rule_id": "a", "name": "A", "signal": "latency_p95", "warning": 1, "warning": 9}',
            "warning",
        ),
        ("silences", '{"labels": {"service": "a", "service": "b"}, "duration": "1h", "comment": "x"}', "service"),
    ],
)
async def test_a_field_given_twice_is_refused(served: Served, route: str, body: str, parameter: str) -> None:
    """Nobody can know which of them was meant; a file of rules is refused for the same."""
    headers = {"Content-Type": "application/json"}
    answer = await served.client.post(f"/api/v1/{route}", content=body, headers=headers)
    assert answer.status_code == 422
    assert answer.json()["errors"] == [{"parameter": parameter, "message": "given 2 times; once is allowed"}]


async def test_a_rule_is_replayed_before_it_is_saved(served: Served) -> None:
    """When it would have fired over the time that is given; nothing is saved."""
    now_s = served.world.clock.now_s
    request = {"rule": RULE | {"warning": 0.01, "min_requests": 1}, "start": now_s - 600, "end": now_s + 60}
    document = (await served.client.post("/api/v1/alert-rules/backtest", json=request)).json()
    assert (document["fired"], document["groups"]) == (2, 2)
    assert {episode["labels"]["service"] for episode in document["episodes"]} == {"shop", "well"}
    assert [item["rule"]["rule_id"] for item in (await served.get("/alert-rules"))["items"]] == ["failing"]
    lag = RULE | {"signal": "pipeline_lag", "group_by": []}
    refused = await served.client.post("/api/v1/alert-rules/backtest", json={"rule": lag})
    assert refused.status_code == 422
    assert "cannot be replayed" in refused.text


async def test_a_silence_is_made_shown_and_ended(served: Served) -> None:
    """By matcher and with an end; the alert says that it is silenced."""
    made = await served.client.post(
        "/api/v1/silences", json={"labels": {"service": "sh*"}, "duration": "1h", "comment": "moving house"}
    )
    assert made.status_code == 201
    (item,) = (await served.get("/silences"))["items"]
    assert item == made.json()
    assert (await served.get("/alerts"))["items"][0]["silenced_until"] == item["ends"]
    assert (await served.client.delete(f"/api/v1/silences/{item['silence_id']}")).status_code == 204
    assert (await served.get("/silences"))["items"] == []
    assert (await served.client.delete(f"/api/v1/silences/{item['silence_id']}")).status_code == 404


@pytest.mark.parametrize(
    ("silence", "parameter"),
    [
        ({"labels": {"service": "a"}, "comment": "x"}, "ends"),
        ({"labels": {"service": "a"}, "comment": "x", "duration": "1h", "ends": 9_000_000_000}, "ends"),
        ({"labels": {"service": "a"}, "comment": "x", "ends": 1_000}, "ends"),
        ({"comment": "x", "duration": "1h"}, "labels"),
        ({"labels": {"service": "a"}, "duration": "1h"}, "comment"),
        ({"labels": {"service": "a"}, "comment": "x", "duration": "9999d"}, "ends"),
        ({"labels": {"service": "a"}, "comment": "x", "starts": "9999-12-31T23:59:59Z", "duration": "1h"}, "ends"),
    ],
)
async def test_a_silence_without_end_or_for_everything_is_refused(
    served: Served, silence: dict[str, Any], parameter: str
) -> None:
    """Each mistake names its field, and nothing is written that could not be shown."""
    answer = await served.client.post("/api/v1/silences", json=silence)
    assert answer.status_code == 422
    assert [error["parameter"] for error in answer.json()["errors"]] == [parameter]
    assert (await served.get("/silences"))["items"] == []


def test_a_moment_that_no_date_has_is_the_last_that_one_has() -> None:
    """What was stored by whatever means can be listed."""
    assert moment(253_402_304_399.0) == moment(253_402_300_799.0) == "9999-12-31T23:59:59.000Z"


async def test_what_was_told_can_be_looked_up(served: Served) -> None:
    """Each notification with its channel and how it stands."""
    (item,) = (await served.get("/alert-notifications"))["items"]
    assert (item["channel"], item["status"], item["attempts"]) == ("chat", "waiting", 0)
    assert item["notification"]["items"][0]["labels"] == {"service": "shop"}
    assert (await served.get("/alert-notifications?channel=mail"))["items"] == []


async def test_what_was_told_is_read_page_by_page_with_the_tests_among_it(served: Served) -> None:
    """A page may end on the test of a channel, whose id has a form of its own and whose name may have dots."""
    clock = served.world.clock
    for channel in ("on-call.pg", "chat"):
        clock.advance(1)
        told = notification_of_test(channel, clock.now_s, "")
        await served.world.store.outbox.post(outbox_row(told, channel, clock() // 1_000_000))
    found, place = [], ""
    while place is not None:
        page = await served.get(f"/alert-notifications?limit=1{place and f'&cursor={place}'}")
        found += [(item["channel"], item["notification"]["is_test"]) for item in page["items"]]
        place = page["next_cursor"]
    assert found == [("chat", True), ("on-call.pg", True), ("chat", False)]


async def test_what_is_no_json_changes_nothing(served: Served) -> None:
    """A browser sends plain text for any page without asking first, JSON never."""
    plain = await served.client.post(
        "/api/v1/silences", content='{"comment": "x"}', headers={"Content-Type": "text/plain"}
    )
    assert plain.status_code == 422
    unreadable = await served.client.post("/api/v1/silences", content=b"\xff\xfe")
    assert (unreadable.status_code, unreadable.json()["errors"][0]["parameter"]) == (422, "body")


@pytest.mark.parametrize(
    ("route", "parameter", "value"),
    [
        ("alerts", "service", "%00"),
        ("alerts/history", "rule", "a%00"),
        ("alerts/history", "alert", "%00"),
        ("alert-notifications", "channel", "%00"),
    ],
)
async def test_a_text_with_nul_in_it_is_refused_by_name(served: Served, route: str, parameter: str, value: str) -> None:
    """PostgreSQL can be asked for no such text: that is the asker's mistake, and no failure of ours."""
    answer = await served.client.get(f"/api/v1/{route}?{parameter}={value}")
    assert (answer.status_code, answer.json()["errors"][0]["parameter"]) == (422, parameter)


async def test_a_body_has_a_bound(served: Served) -> None:
    """Whether its length is told beforehand or not."""

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield b" " * 100_000

    for content in (b" " * 3_000_000, endless()):
        answer = await served.client.post(
            "/api/v1/alert-rules", content=content, headers={"Content-Type": "application/json"}
        )
        assert answer.status_code == 413
        assert answer.headers["content-type"] == "application/problem+json"


async def test_answers_and_examples_have_the_promised_shape(served: Served) -> None:
    """Real answers of every route that is read, the examples in the document, and the URLs that it says to try."""
    document = (await served.client.get("/openapi.json")).json()
    await served.client.post("/api/v1/silences", json={"rule": "fail*", "duration": "1h", "comment": "x"})
    paths = [path for path in document["paths"] if "alert" in path or "silence" in path]
    assert len(paths) == 9
    for path in paths:
        for method, operation in document["paths"][path].items():
            for response in operation["responses"].values():
                for content in response.get("content", {}).values():
                    if "example" in content:
                        json_schema.check(content["example"], content["schema"], document)
            if method == "get" and "{" not in path:
                answer = await served.client.get(path)
                schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
                json_schema.check(answer.json(), schema, document)
    urls = [url for path in paths for url in re.findall(r"`GET (\S+)`", str(document["paths"][path]))]
    assert len(urls) == 3
    for url in urls:
        assert (await served.client.get(url)).status_code == 200, url
