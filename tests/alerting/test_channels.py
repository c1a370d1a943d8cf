"""Channels from the outbox to real servers: once, in time, repeated at most once by a crash, and no secret anywhere."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from alerting.channels.book import UnknownChannelError
from alerting.channels.component import build_channels
from alerting.channels.desk import ChannelDesk, TooManyTestsError
from alerting.dispatcher import Dispatcher
from alerting.settings import AlertingSettings
from modelwatch.settings import Settings
from modelwatch.settings_sources import load
from storage.alert_rounds import Round
from storage.alert_store import AlertStore
from telemetry import Counters, StartError
from tests.support.doubles import ManualClock
from tests.support.http_sink import HttpSink, answer
from tests.support.notifications import notification, outbox_row
from tests.support.ports import free_port
from tests.support.waiting import eventually

SECRETS = ["p4ssw0rt", "t0k3n-in-the-path", "s1gning", "b34rer"]


def settings_for(port: int, dead_port: int = 1, **more: Any) -> AlertingSettings:
    """Three channels with secrets: a webhook, a service of Apprise, one that is not there."""
    return AlertingSettings.model_validate(
        {
            "channels": [
                {
                    "name": "hook",
                    "url": f"http://127.0.0.1:{port}/{SECRETS[1]}?key={SECRETS[1]}",
                    "signing_secret": SECRETS[2],
                    "authorization": f"Bearer {SECRETS[3]}",
                },
                {"name": "chat", "url": f"json://user:{SECRETS[0]}@127.0.0.1:{port}/{SECRETS[1]}"},
                {"name": "dead", "url": f"https://user:{SECRETS[0]}@127.0.0.1:{dead_port}/{SECRETS[1]}"},
            ],
            "allowed_networks": "127.0.0.0/8",
            "send_timeout_s": 60,
            **more,
        }
    )


class Post:
    """A dispatcher that runs, and what it reads from."""

    def __init__(self, settings: AlertingSettings, store: AlertStore, clock: ManualClock) -> None:
        self.settings, self.store, self.clock = settings, store, clock
        self.counters = Counters()
        self.leader: tuple[str, int] | None = None

    async def lead(self) -> None:
        self.leader = "me", await self.store.rounds.take("me", await self.store.rounds.lease()) or 0

    async def put(self, *channels: str) -> None:
        assert self.leader is not None
        rows = [outbox_row(notification(), channel, self.clock() // 1_000_000) for channel in channels]
        await self.store.rounds.commit(*self.leader, Round("", outbox=rows))

    def dispatcher(self) -> Dispatcher:
        channels = build_channels(self.settings)
        return Dispatcher(self.settings, self.store.outbox, channels, lambda: self.leader, self.counters, self.clock)


async def test_each_channel_gets_its_own_and_a_dead_one_delays_none(store: AlertStore, clock: ManualClock) -> None:
    """Over real connections; how deliveries stand can be read of each."""
    async with HttpSink() as sink:
        post = Post(settings_for(sink.port, free_port()), store, clock)
        await post.lead()
        await post.put("dead", "hook", "chat")
        dispatcher = post.dispatcher()
        await dispatcher.look()
        await dispatcher.drained()
    assert len(sink.posted) == 2
    hook, chat, dead = await ChannelDesk(post.settings, store, clock).channels()
    assert (hook.kind, hook.waiting, hook.last_sent_s) == ("webhook", 0, clock.now_s)
    assert (chat.kind, chat.waiting, chat.last_sent_s) == ("json", 0, clock.now_s)
    assert (dead.waiting, dead.last_sent_s) == (1, None)
    assert dead.waiting_reason.startswith("it cannot be reached")


async def test_no_secret_is_told_anywhere(
    store: AlertStore, clock: ManualClock, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """Not in logs at their most talkative, not in what the database keeps, not in figures, settings or errors."""
    caplog.set_level(logging.DEBUG)
    for name in ("httpx", "httpcore", "asyncio"):
        caplog.set_level(logging.DEBUG, logger=name)
    told: list[str] = []
    async with HttpSink(answers=[answer(500), answer(404)]) as sink:
        settings = settings_for(sink.port, free_port())
        post = Post(settings, store, clock)
        await post.lead()
        await post.put("hook", "chat", "dead")
        dispatcher = post.dispatcher()
        for _ in range(2):
            await dispatcher.look()
            await dispatcher.drained()
            clock.advance(10)
        assert len(sink.posted) >= 2
        secrets_sent = str(sink.posted)
        assert all(secret in secrets_sent for secret in (SECRETS[1], SECRETS[3])), "the test would prove nothing"
        told += [repr(settings), str(settings), repr(build_channels(settings))]
    told += [str(row) for row in await store.outbox.latest(99)]
    told += [str(await ChannelDesk(settings, store, clock).channels()), str(post.counters.figures())]
    told += [caplog.text, *capfd.readouterr()]
    for wrong in ({"url": f"x://{SECRETS[1]} y"}, {"url": f"x://{SECRETS[1]}", "extra": SECRETS[0]}, {}):
        with pytest.raises(StartError) as caught:
            load(Settings, {"MODELWATCH_ALERTS__CHANNELS": json.dumps([{"name": "c", **wrong}])})
        told.append(str(caught.value))
    for secret in SECRETS:
        assert [text for text in told if secret in text] == []


async def test_a_test_goes_the_way_of_every_notification(store: AlertStore, clock: ManualClock) -> None:
    """It arrives marked as one; what fails is said at once and not tried again; nobody can send a storm of them."""
    async with HttpSink(answers=[answer(503)]) as sink:
        post = Post(settings_for(sink.port, free_port()), store, clock)
        await post.lead()
        desk = ChannelDesk(post.settings, store, clock)
        dispatcher = post.dispatcher()
        running = asyncio.create_task(dispatcher.run())
        failed = await desk.test("hook")
        assert (failed.status, failed.detail) == ("failed", "it answered 503")
        with pytest.raises(TooManyTestsError):
            await desk.test("hook")
        with pytest.raises(UnknownChannelError):
            await desk.test("elsewhere")
        again = await ChannelDesk(post.settings, store, clock).test("hook")
        assert (again.status, again.detail) == ("sent", "")
        running.cancel()
        await asyncio.wait([running])
    assert [json.loads(posted.body)["is_test"] for posted in sink.posted] == [True, True]
    assert (await desk.channels())[0].last_failed_reason == "it answered 503"


async def test_a_test_waits_for_nothing_that_is_tried_again(store: AlertStore, clock: ManualClock) -> None:
    """Whether a channel works again is known at once; and without an evaluator it is said that nobody sends."""
    async with HttpSink(answers=[answer(503)]) as sink:
        post = Post(settings_for(sink.port), store, clock)
        desk = ChannelDesk(post.settings, store, clock, wait_s=0)
        nobody = await desk.test("hook")
        assert nobody.status == "waiting"
        assert "evaluates alerts" in nobody.detail
        await post.lead()
        dispatcher = post.dispatcher()
        await dispatcher.look()
        await dispatcher.drained()
        sink.answers[:] = [answer(503)]
        await post.put("hook")
        await dispatcher.look()
        await dispatcher.drained()
        running = asyncio.create_task(dispatcher.run())
        found = await ChannelDesk(post.settings, store, clock).test("hook")
        running.cancel()
        await asyncio.wait([running])
    assert found.status == "sent"
    assert (await desk.channels())[0].waiting == 1, "what was refused waits for its time"


_SENDER = """
import asyncio, json, sys
from alerting.channels.component import build_channels
from alerting.dispatcher import Dispatcher
from alerting.settings import AlertingSettings
from storage.component import build_alert_store, build_sqlite_history, build_postgres_history
from storage.settings import StorageSettings
from telemetry import Counters

async def main(url, settings):
    build = build_sqlite_history if url.startswith("sqlite") else build_postgres_history
    history = build(StorageSettings(), url)
    await history.start()
    store = build_alert_store(history)
    fence = await store.rounds.take("process", await store.rounds.lease())
    settings = AlertingSettings.model_validate(json.loads(settings))
    dispatcher = Dispatcher(settings, store.outbox, build_channels(settings), lambda: ("process", fence), Counters())
    await dispatcher.run()

asyncio.run(main(*sys.argv[1:]))
"""


async def test_a_crash_between_sending_and_recording_repeats_it_once(
    store: AlertStore, clock: ManualClock, database_url: str
) -> None:
    """A process is killed while the target has the notification and the answer is on its way; the next sends it again.

    Once, with the same id, and nothing after that.
    """
    async with HttpSink(is_mute=True) as sink:
        tree = {
            "channels": [{"name": "hook", "url": f"http://127.0.0.1:{sink.port}/"}],
            "allowed_networks": "127.0.0.0/8",
            "send_timeout_s": 3,
            "retry_min_s": 0.1,
        }
        fence = await store.rounds.take("me", await store.rounds.lease()) or 0
        await store.rounds.commit("me", fence, Round("", outbox=[outbox_row(notification(), "hook", 0)]))
        first = await started(database_url, tree)
        await eventually(lambda: sink.posted, timeout_s=60)
        first.send_signal(signal.SIGKILL)
        await first.wait()
        sink.is_mute = False
        second = await started(database_url, tree)
        await eventually(lambda: len(sink.posted) == 2, timeout_s=60)
        await eventually(lambda: is_sent(store), timeout_s=60)
        second.terminate()
        await second.wait()
        third = await started(database_url, tree)
        await eventually(lambda: has_lease(store, "process", fence + 3), timeout_s=60)
        third.terminate()
        await third.wait()
    assert len(sink.posted) == 2
    assert len({posted.headers["idempotency-key"] for posted in sink.posted}) == 1


async def started(database_url: str, tree: dict[str, Any]) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", _SENDER, database_url, json.dumps(tree), cwd=Path(__file__).parents[2]
    )


async def is_sent(store: AlertStore) -> bool:
    return {row.status for row in await store.outbox.latest(9)} == {"sent"}


async def has_lease(store: AlertStore, holder: str, fence: int) -> bool:
    lease = await store.rounds.lease()
    return (lease.holder, lease.fence) == (holder, fence)


def test_channels_are_written_in_one_variable_or_its_file(tmp_path: Path) -> None:
    """As YAML; a file keeps the secrets out of the environment."""
    text = "[{name: oncall, url: 'slack://a/b/c', labels: {service: 'fraud-*'}, min_severity: critical}]"
    (tmp_path / "channels").write_text(text)
    for environ in (
        {"MODELWATCH_ALERTS__CHANNELS": text},
        {"MODELWATCH_ALERTS__CHANNELS_FILE": str(tmp_path / "channels")},
    ):
        (one,) = load(Settings, environ).alerts.channels
        assert (one.name, one.target(), dict(one.labels)) == ("oncall", "slack://a/b/c", {"service": "fraud-*"})


@pytest.mark.parametrize(
    ("channels", "says"),
    [
        ("[{name: a, url: 'x://y'}, {name: a, url: 'x://z'}]", "two channels named 'a'"),
        ("[{name: A, url: 'x://y'}]", "pattern"),
        ("[{name: a}]", "either url or url_file"),
        ("[{name: a, url: nothing}]", "must be one URL"),
        ("[{name: a, url: 'x://y', signing_secret: a, signing_secret_file: b}]", "both signing_secret"),
        ("{{", "no YAML list"),
        ("!!timestamp x", "no YAML list"),
        ("[" * 3_000, "no YAML list"),
        ("[{name: a, url:https://h/SEKRET}]", "is there a space after each colon?"),
        ("[{name: a, url=https://h/SEKRET}]", "is there a space after each colon?"),
        ("[{name: a, url: 'x://y', labels: {url:https://h/SEKRET: [1]}}]", "should be a valid string"),
        ("[{name: a, url: 'x://y', SEKRETSEKRETSEKRETSEKRETSEKRETSEKRETSEKRET: 1}]", "a field of it is not known"),
        ("url=https://h/SEKRET", "valid tuple"),
        ("[{name: a, 7: b}]", "MODELWATCH_ALERTS__CHANNELS"),
    ],
)
def test_a_mistake_in_the_channels_stops_the_start_with_one_line(channels: str, says: str) -> None:
    """It names what is wrong, and not the value."""
    with pytest.raises(StartError) as caught:
        load(Settings, {"MODELWATCH_ALERTS__CHANNELS": channels})
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "MODELWATCH_ALERTS__CHANNELS" in str(caught.value)
    assert "SEKRET" not in str(caught.value)


def test_a_secret_that_does_not_fit_stops_the_start(tmp_path: Path) -> None:
    """A file that is not there or empty; a signature for what is no webhook."""
    (tmp_path / "empty").write_text("\n")
    for fields, says in (
        ({"url_file": str(tmp_path / "absent")}, "url_file cannot be read"),
        ({"url_file": str(tmp_path / "empty")}, "empty or too large"),
        ({"url": "slack://a/b/c", "signing_secret": "x"}, "for webhooks only"),
        ({"url": "https:///x"}, "no address of a webhook"),
        ({"url": "http://h:99999/"}, "no address of a webhook"),
        ({"url": "http://h:0/"}, "no address of a webhook"),
        ({"url": "http://a..b/"}, "no address of a webhook"),
        ({"url": f"http://{'a' * 64}.example/"}, "no address of a webhook"),
        ({"url": "http://xn--/"}, "no address of a webhook"),
    ):
        with pytest.raises(StartError, match=says):
            build_channels(AlertingSettings.model_validate({"channels": [{"name": "c", **fields}]}))
