"""Channels that are made, changed and removed while ModelWatch runs: on both databases, in every evaluator."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from alerting.channels.book import ChannelBook, ChannelConflictError, UnknownChannelError
from alerting.channels.component import build_channels
from alerting.channels.desk import ChannelDesk
from alerting.channels.following import ChannelFollower
from alerting.channels.given import GivenChannel
from alerting.channels.matching import filter_trouble
from alerting.channels.settings import ChannelSettings
from alerting.dispatcher import Dispatcher
from alerting.settings import AlertingSettings
from modelwatch.settings import Settings
from modelwatch.tunables import TUNABLES
from query import QuestionError
from storage.alert_rounds import Round
from storage.alert_store import AlertStore
from storage.component import build_setting_changes
from storage.history import SqlHistory
from storage.ports import StorageUnavailableError
from telemetry import Counters, StartError
from tests.support.alert_world import rule
from tests.support.doubles import ManualClock
from tests.support.http_sink import HttpSink
from tests.support.notifications import notification, outbox_row
from tests.support.waiting import eventually
from tuning.component import Tuning
from tuning.desk import value_of
from tuning.settings import TuningSettings

LOCAL = {"allowed_networks": "127.0.0.0/8", "send_timeout_s": 60}


def settings_for(**more: Any) -> AlertingSettings:
    """Return settings with a channel of the configuration."""
    return AlertingSettings.model_validate({"channels": "[{name: given, url: 'json://h/x'}]", **LOCAL, **more})


def given(**fields: Any) -> GivenChannel:
    """Return what somebody gives."""
    return GivenChannel.model_validate(fields)


class Evaluating:
    """A process that evaluates and sends, on the database that others change."""

    def __init__(self, store: AlertStore, clock: ManualClock, settings: AlertingSettings | None = None) -> None:
        self.store, self.clock, self.settings = store, clock, settings or settings_for()
        self.book = ChannelBook(self.settings, store.channels, clock)
        configured = build_channels(self.settings)
        self.follower = ChannelFollower(self.settings, configured, self.book, interval_s=0.1)
        self.leader: tuple[str, int] | None = None
        self.heard: list[list[str]] = []
        self.dispatcher = Dispatcher(
            self.settings,
            store.outbox,
            configured,
            lambda: self.leader,
            Counters(),
            clock,
            renew_channels=self.follower.refresh,
        )
        self.follower.listen(self.dispatcher.use_channels)
        self.follower.listen(lambda channels: self.heard.append([one.name for one in channels]))

    async def tell(self, *channels: str) -> None:
        """Have a notification sent to these."""
        if self.leader is None:
            self.leader = "me", await self.store.rounds.take("me", await self.store.rounds.lease()) or 0
        told = notification(f"n{len(await self.store.outbox.latest(99))}")
        rows = [outbox_row(told, name, self.clock() // 1_000_000) for name in channels]
        await self.store.rounds.commit(*self.leader, Round("", outbox=rows))
        await self.dispatcher.look()
        await self.dispatcher.drained()


async def test_every_evaluator_takes_up_what_is_made_changed_and_removed(store: AlertStore, clock: ManualClock) -> None:
    """Within moments, without a restart; one that starts later begins with it, and sends at once where it must."""
    desk, one = ChannelDesk(settings_for(), store, clock), Evaluating(store, clock)
    await one.follower.start()
    async with HttpSink() as first, HttpSink() as second:
        made = await desk.book.add("hook", given(url=f"http://127.0.0.1:{first.port}/a"), "mei")
        await eventually(lambda: one.heard == [["given", "hook"]], what="the evaluator knows the channel")
        other = Evaluating(store, clock)
        await other.follower.start()
        assert other.heard == [["given", "hook"]]
        await one.tell("hook")
        clock.advance(1)
        changed = await desk.book.change("hook", given(url=f"http://127.0.0.1:{second.port}/b"), made.revision, "mei")
        assert changed.revision > made.revision
        await one.follower.refresh()
        await one.tell("hook")
        assert (len(first.posted), len(second.posted)) == (1, 1)
        await desk.book.remove("hook", changed.revision, "ana")
        await eventually(lambda: other.heard[-1] == ["given"], what="the other evaluator knows that it is gone")
        await one.tell("hook")
        assert [len(first.posted), len(second.posted)] == [1, 1]
    assert [row.detail for row in await store.outbox.latest(1)] == ["there is no such channel any more"]
    for process in (one, other):
        await process.follower.stop()


async def test_a_test_right_after_a_change_goes_where_the_change_says(store: AlertStore, clock: ManualClock) -> None:
    """Although no evaluator has looked since."""
    one = Evaluating(store, clock)
    desk = ChannelDesk(one.settings, store, clock, wait_s=0)
    async with HttpSink() as sink:
        await desk.book.add("hook", given(url=f"http://127.0.0.1:{sink.port}/a"), "mei")
        assert (await desk.test("hook")).status == "waiting"
        one.leader = "me", await store.rounds.take("me", await store.rounds.lease()) or 0
        await one.dispatcher.look()
        await one.dispatcher.drained()
        assert len(sink.posted) == 1


async def test_secrets_go_one_way(
    store: AlertStore, clock: ManualClock, history: SqlHistory, caplog: pytest.LogCaptureFixture
) -> None:
    """They are in no answer, note, error or log; left out they stay, but are kept for no other address."""
    caplog.set_level(logging.DEBUG)
    desk = ChannelDesk(settings_for(), store, clock)
    url, told = "http://127.0.0.1:9/s3cr3t", []
    await desk.book.add("hook", given(url=url, authorization="Bearer t0k3n", signing_secret="s1gn"), "mei")
    kept = await desk.book.change("hook", given(min_severity="critical"), None, "ana")
    assert kept.settings is not None
    assert kept.settings.target() == url
    assert kept.settings.secret("authorization") == "Bearer t0k3n"
    for fields in ({"url": url + "/2"}, {"url": url + "/2", "signing_secret": None}):
        with pytest.raises(QuestionError, match="no other secret is kept") as refused:
            await desk.book.change("hook", given(**fields), None, "eve")
        told.append(str(refused.value))
    bare = await desk.book.change("hook", given(url=url + "/2", signing_secret=None, authorization=None), None, "ana")
    assert bare.settings is not None
    assert bare.settings.secret("authorization") is None
    await desk.book.remove("hook", None, "ana")
    changes = await build_setting_changes(history).read(9)
    assert [(one.name, one.changed_by, (value_of(one.value) or {}).get("secrets")) for one in changes] == [
        ("alerts.channels", "ana", None),
        ("alerts.channels", "ana", ["url"]),
        ("alerts.channels", "ana", ["url", "signing_secret", "authorization"]),
        ("alerts.channels", "mei", ["url", "signing_secret", "authorization"]),
    ]
    told += [str(changes), str(await desk.channels()), repr(kept), caplog.text]
    assert not [secret for secret in ("s3cr3t", "t0k3n", "s1gn") if any(secret in text for text in told)]


async def test_notes_of_channels_are_no_settings(store: AlertStore, clock: ManualClock, history: SqlHistory) -> None:
    """What takes settings up passes them by."""
    await ChannelBook(settings_for(), store.channels, clock).add("hook", given(url="json://h/x"), "mei")
    tuning = Tuning(TuningSettings(), Settings(), TUNABLES, build_setting_changes(history))
    await tuning.refresh()
    assert (tuning.failures, tuning.current) == ({}, tuning.started_with)


BAD: list[tuple[dict[str, Any], str, str]] = [
    ({}, "url", "either url or url_file"),
    ({"url": "nonsense"}, "url", "one URL"),
    ({"url": " "}, "url", "empty"),
    ({"url": "slack://nope"}, "url", "none that Apprise can read"),
    ({"url": "syslog://localhost"}, "url", "none that Apprise can read"),
    ({"url": "http://h:99999/"}, "url", "no address of a webhook"),
    ({"url": "json://h/x", "authorization": "x"}, "authorization", "for webhooks only"),
    ({"url": "json://h/x", "signing_secret": "x"}, "signing_secret", "for webhooks only"),
    ({"url": "https://h/x", "authorization": "Bearer a\nX-More: b"}, "authorization", "one line of ASCII"),
    ({"url": "https://h/x", "authorization": "Bearer ü"}, "authorization", "one line of ASCII"),
    ({"url_file": "../../etc/passwd"}, "url_file", "without a folder"),
    ({"url_file": "url"}, "url_file", "MODELWATCH_ALERTS__CHANNEL_FILES_DIR"),
    ({"url": "https://h/x", "authorization_file": "key"}, "url_file", "the url must be in one too"),
    ({"url": "json://h/x", "labels": {str(i): "x" * 2_000 for i in range(9)}}, "labels", "characters"),
]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_what_would_not_work_is_refused(store: AlertStore, clock: ManualClock) -> None:
    """As at a start, and no file can be read but those of the folder; nothing is kept, and no URL repeated."""
    book = ChannelBook(settings_for(), store.channels, clock)
    for fields, parameter, words in BAD:
        with pytest.raises(QuestionError, match=words) as refused:
            await book.add("hook", given(**fields), "mei")
        assert refused.value.parameter == parameter
    with pytest.raises(QuestionError, match="small letters, digits"):
        await book.add("No Name", given(url="json://h/x"), "mei")
    assert await store.channels.rows() == []


async def test_what_the_configuration_gives_stays_as_it_is(store: AlertStore, clock: ManualClock) -> None:
    """It is neither changed nor removed, wins over one of its name that was kept, and counts towards the most."""
    book = ChannelBook(settings_for(), store.channels, clock)
    await book.add("hook", given(url="json://h/x"), "mei")
    for name in ("given", "hook"):
        with pytest.raises(ChannelConflictError, match="already"):
            await book.add(name, given(url="json://h/y"), "mei")
    with pytest.raises(ChannelConflictError, match="configuration"):
        await book.change("given", given(url="json://h/y"), None, "mei")
    with pytest.raises(ChannelConflictError, match="configuration"):
        await book.remove("given", None, "mei")
    with pytest.raises(UnknownChannelError):
        await book.remove("nope", None, "mei")
    with pytest.raises(ChannelConflictError, match="meanwhile"):
        await book.change("hook", given(max_per_minute=2), 1, "mei")
    later = settings_for(channels="[{name: given, url: 'json://h/x'}, {name: hook, url: 'xml://h/x'}]")
    found = await ChannelBook(later, store.channels, clock).channels()
    assert [(one.name, one.revision) for one in found] == [("given", 0), ("hook", 0)]
    many = [{"name": f"c{number}", "url": "json://h/x"} for number in range(31)]
    full = ChannelBook(settings_for(channels=many), store.channels, clock)
    with pytest.raises(ChannelConflictError, match="at most"):
        await full.add("more", given(url="json://h/x"), "mei")


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_secrets_may_be_in_files_of_one_folder(store: AlertStore, clock: ManualClock, tmp_path: Path) -> None:
    """What goes to a channel whose file is gone waits, and leaves when it is there again; others are as ever."""
    async with HttpSink() as sink:
        file = tmp_path / "url"
        file.write_text(f"http://127.0.0.1:{sink.port}/a")
        settings = settings_for(channel_files_dir=tmp_path)
        desk, one = ChannelDesk(settings, store, clock), Evaluating(store, clock, settings)
        await desk.book.add("hook", given(url_file="url"), "mei")
        assert [row.document for row in await store.channels.rows() if str(tmp_path) in row.document] == []
        for text, words in (("no url", "one URL"), ("http://h:99999/", "no address"), ("slack://x", "Apprise")):
            file.write_text(text)
            with pytest.raises(QuestionError, match=words) as refused:
                await desk.book.add("other", given(url_file="url"), "mei")
            assert refused.value.parameter == "url_file"
        file.unlink()
        await one.follower.refresh()
        await one.tell("hook")
        (row,) = await store.outbox.latest(1)
        assert (row.status, row.detail) == (
            "waiting",
            "channel 'hook': url_file cannot be read (No such file or directory)",
        )
        file.write_text(f"http://127.0.0.1:{sink.port}/b")
        await one.follower.refresh()
        clock.advance(60)
        await one.dispatcher.look()
        await one.dispatcher.drained()
        assert len(sink.posted) == 1
        without = await ChannelDesk(settings_for(), store, clock).channel("hook")
        assert "MODELWATCH_ALERTS__CHANNEL_FILES_DIR is not set here" in without.failure


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_without_the_database_there_is_no_start_and_what_is_known_goes_on(
    store: AlertStore, clock: ManualClock, history: SqlHistory
) -> None:
    """A channel that is not known would have what it is told go to all others."""
    one = Evaluating(store, clock)
    await ChannelBook(one.settings, store.channels, clock).add("hook", given(url="json://h/x"), "mei")
    await one.follower.refresh()
    await history.stop()
    with pytest.raises(StorageUnavailableError):
        await one.follower.refresh()
    with pytest.raises(StartError, match="channels that were made while running"):
        await one.follower.start()
    assert one.heard == [["given", "hook"]]


@pytest.mark.parametrize(
    ("labels", "rules", "is_fine"),
    [
        ({}, [], True),
        ({"service": "a*"}, [{}], True),
        ({"environment": "production"}, [{}], False),
        ({"environment": "*"}, [{}], True),
        ({"environment": "production"}, [{"scope": {"environment": "production"}}], True),
        ({"environment": "production"}, [{"scope": {"environment": "staging"}}], False),
        ({"environment": "production"}, [{"scope": {"environment": "prod*"}}], False),
        ({"environment": "prod*"}, [{"group_by": ("environment",), "scope": {"environment": "p*"}}], True),
        ({"environment": "production"}, [{"group_by": ("environment",), "is_enabled": False}], False),
        ({"environment": "production"}, [{"group_by": ("environment",), "channels": ("other",)}], False),
        ({"environment": "x", "route": "/buy"}, [{"group_by": ("environment",)}, {"group_by": ("route",)}], False),
        ({"rule": "fail*"}, [{}], True),
        ({"rule": "slow"}, [{}], False),
    ],
)
def test_a_filter_that_no_rule_can_match_is_known(
    labels: dict[str, str], rules: list[dict[str, Any]], is_fine: bool
) -> None:
    """One rule must have all that the channel asks for, and must be told to it."""
    channel = ChannelSettings.model_validate({"name": "chat", "url": "json://h/x", "labels": labels})
    trouble = filter_trouble(channel, [rule(**changes) for changes in rules])
    assert (trouble == "") is is_fine, trouble
