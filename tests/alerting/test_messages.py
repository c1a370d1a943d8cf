"""Messages say what there is to know, in few lines, and nothing that a stranger wrote does anything in them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerting.channels.escaping import MARKDOWN, PLAIN, code, one_line, plain
from alerting.channels.filtering import accepts, narrowed
from alerting.channels.message import MAX_CHARS, incidents_of, message_of
from alerting.channels.outcome import retry_after_s
from alerting.channels.settings import ChannelSettings
from alerting.notification import AlertItem, Contributor, Evidence, Links, Notification, Severity, Told
from tests.support.notifications import notification

EVIL = [
    "@channel",
    "@everyone",
    "<!here>",
    "<@U123|x>",
    "<b>bold</b>",
    "<script>alert(1)</script>",
    "[click](https://evil.example)",
    "https://evil.example/login",
    "www.evil.example",
    "mailto:x@evil.example",
    "javascript:alert(1)",
    "`code` **bold** _it_ ~~x~~ ||spoiler||",
    "# head\n## head",
    "line\r\nSubject: other",
    "\u202egnp.exe",
    "a\u200bb\u2060c",
    "\x1b[31mred\x00",
    "&lt;!channel&gt;",
    "x" * 5_000,
]
LINKS = Links(page="https://watch.example.com/?service=a&at=1", alerts="https://watch.example.com/alerts")


def item(**changes: object) -> AlertItem:
    return notification().items[0].model_copy(update={"links": LINKS, **changes})


def told(*items: AlertItem, **changes: object) -> Notification:
    return notification(items=items, **changes)


FULL = Evidence(
    window_s=60,
    calls=1_340,
    errors=12,
    p50_s=0.12,
    p95_s=1.92,
    p99_s=3.1,
    contributors=(
        Contributor(dimension="route", name="/predict", calls=1_203, errors=11, p95_s=2.1, share=0.9),
        Contributor(dimension="version", name="2.1", calls=1_340, errors=12, p95_s=1.92, share=1.0),
        Contributor(dimension="instance", name="pod-7", calls=700, errors=6, p95_s=2.4, share=0.52),
    ),
    cpu_cores=1.8,
    cpu_share=0.9,
    memory_bytes=1.2 * 2**30,
    memory_share=0.6,
)


def test_a_message_holds_everything_needed_to_act() -> None:
    """Number and threshold, since when, who contributes most, CPU and memory, the page at that time, the runbook."""
    alert = item(evidence=FULL, labels={"service": "tumour-classifier", "route": "/predict"})
    message = message_of([told(alert, created_s=1_700_000_300.0, runbook_url="https://wiki.example.com/slow")])
    assert message.title == "[CRITICAL] High latency: tumour-classifier, /predict"
    assert message.kind == "failure"
    assert message.text.split("\n") == [
        "P95 1.92 s, above 1 s",
        "service tumour-classifier, route /predict",
        "Since 2023-11-14 22:13:20 UTC, for 5 min; above 1 s for 15 s",
        "https://watch.example.com/?service=a&at=1",
        "Runbook: https://wiki.example.com/slow",
        "Most of it: route /predict (90 %, 1203 calls, 11 errors, P95 2.1 s); version 2.1 (100 %, 1340 calls, "
        "12 errors, P95 1.92 s); instance pod-7 (52 %, 700 calls, 6 errors, P95 2.4 s)",
        "1340 calls in 1 min, 12 errors, P50 120 ms, P95 1.92 s, P99 3.1 s",
        "CPU 1.8 cores (90 % of the limit), memory 1.2 GiB (60 % of the limit)",
    ]
    assert "route `/predict` (90 %" in message.markdown
    assert message.markdown.startswith("**P95 1.92 s, above 1 s**\n")


def test_evidence_of_another_time_says_which() -> None:
    """News that were held back, and what is over, show the figures under the time that they are of."""
    began_s, told_s = 1_700_000_000.0, 1_700_000_300.0
    older = message_of([told(item(evidence=FULL.model_copy(update={"at_s": began_s})), created_s=told_s)])
    lines = older.text.splitlines()
    at = lines.index("At 2023-11-14 22:13:20 UTC:")
    assert lines[at + 1].startswith("Most of it: route /predict")
    now = message_of([told(item(evidence=FULL.model_copy(update={"at_s": told_s})), created_s=told_s)])
    assert "\nAt " not in now.text


def test_what_is_over_is_told_as_over_and_what_repeats_as_repeated() -> None:
    """With how long it lasted; a warning is no failure; no data is said."""
    over = item(state=Told.RESOLVED, ended_s=1_700_000_000.0 + 4_210)
    message = message_of([told(over)])
    assert (message.title, message.kind) == ("[RESOLVED] High latency: tumour-classifier", "success")
    assert "over 2023-11-14 23:23:30 UTC, after 1 h 10 min" in message.text
    again = message_of([told(item(is_repeat=True, severity=Severity.WARNING))])
    assert (again.title, again.kind) == ("[WARNING] still firing, High latency: tumour-classifier", "warning")
    assert message_of([told(item(state=Told.NO_DATA))]).title.startswith("[NO DATA] ")
    assert message_of([told(item(), is_test=True)]).title == "[TEST] ModelWatch can reach this channel"


def test_a_storm_is_counted_and_named_as_far_as_there_is_room() -> None:
    """The gravest word first, all of them counted, and said how many are not named."""
    many = [told(item(alert_id=f"a{n}", labels={"service": f"s{n}"})) for n in range(60)]
    many.append(told(item(state=Told.RESOLVED, ended_s=1.0), rule_id="other", left_out=5))
    message = message_of(many)
    assert message.title == "[CRITICAL] alerts: 60 firing, 1 resolved, 5 more"
    named = len(re.findall(r"service s\d+$", message.text, re.MULTILINE))
    assert 5 < named < 60
    assert message.text.endswith(f"and {66 - named} more: https://watch.example.com/alerts")
    assert len(message.text) <= MAX_CHARS


def test_few_alerts_are_told_whole() -> None:
    """Two at the same moment lose nothing of what one would have."""
    two = [told(item(evidence=FULL), created_s=1_700_000_060.0), told(item(), rule_name="Other")]
    text = message_of(two).text
    assert text.startswith("CRITICAL High latency: service tumour-classifier\n  P95 1.92 s, above 1 s\n")
    for said in ("CRITICAL Other", "Most of it: route /predict", "memory 1.2 GiB", "for 1 min"):
        assert said in text


def test_a_pager_is_told_of_each_alert_by_itself() -> None:
    """Under the key of the alert, the same when it begins and when it ends, so that one end does not close others."""
    over = item(alert_id="b", state=Told.RESOLVED, ended_s=9e9)
    incidents = incidents_of([told(item(alert_id="a"), over)])
    assert [(one.key, one.kind) for one in incidents] == [("modelwatch-a", "failure"), ("modelwatch-b", "success")]


@pytest.mark.parametrize("evil", EVIL)
def test_nothing_from_strangers_does_anything(evil: str) -> None:
    """No mention, no markup, no address, no second line, nothing without end, wherever a name can stand."""
    contributor = Contributor(dimension="route", name=evil, calls=1, errors=1, p95_s=1.0, share=1.0)
    alert = item(
        labels={"service": evil, evil: evil},
        summary=f"max of {evil} 3, above 2",
        reason=evil,
        evidence=Evidence(window_s=60, contributors=(contributor,)),
        links=Links(page="/", alerts="/"),
    )
    notifications = [told(alert, rule_name=evil, description=evil, runbook_url=evil)]
    for told_now in (notifications, notifications * 3):
        message = message_of(told_now)
        outside = re.sub(r"`[^`\n]*`", "", message.markdown)
        for text in (message.title, message.text, message.markdown):
            assert not re.search(
                r"[@<>\r\x00\x1b\u202e\u200b\u2060]|://|mailto:|script:",
                _no_runbook(text, evil),
            )
        assert not re.search(r"evil\.example|[*~|#\[\]]", _no_runbook(message.text, evil))
        assert not re.search(r"evil\.example|(?<!\*)\*(?!\*)|[\[\]~|#]", _no_runbook(outside, evil))
        assert "\n" not in message.title
        assert len(message.title) <= 200
        assert max(len(message.text), len(message.markdown)) <= MAX_CHARS


def _no_runbook(text: str, evil: str) -> str:
    """A runbook is an address that people set with the rule; that one is a link is meant."""
    return text.replace(f"Runbook: {evil}", "")


@given(st.text(max_size=300))
def test_names_are_one_bounded_line_in_every_format(text: str) -> None:
    """Whatever the characters: nothing that ends a code span, a line or a tag."""
    for made in (plain(text), PLAIN.prose(text), MARKDOWN.prose(text), code(text)[1:-1]):
        assert not re.search(r"[@<>`\n\r\x00-\x1f]", made)
        assert len(made) <= 401
    assert code(text).count("`") == 2
    assert one_line(one_line(text, 50), 50) == one_line(text, 50)


def channel(**fields: object) -> ChannelSettings:
    return ChannelSettings.model_validate({"name": "c", "url": "json://x/", **fields})


def test_a_channel_gets_what_it_is_for_and_no_more() -> None:
    """By severity, state and labels with wildcards, which special characters of patterns are not."""
    fraud = item(alert_id="f", labels={"service": "fraud[1]"}, severity=Severity.WARNING)
    other = item(alert_id="o", labels={"service": "other"})
    both = told(other, fraud)
    only_fraud = channel(labels={"service": "fraud[1*"})
    assert [one.alert_id for one in narrowed(only_fraud, both).items] == ["f"]
    assert narrowed(only_fraud, both).severity == Severity.WARNING
    assert narrowed(channel(), both) == both
    assert [one.alert_id for one in narrowed(channel(min_severity="critical"), both).items] == ["o"]
    assert not accepts(channel(states=["resolved"]), both)
    assert not accepts(channel(labels={"service": "*", "team": "x*"}), both)
    assert accepts(channel(labels={"rule": "high-*"}), both)
    in_production = channel(labels={"environment": "prod*"})
    assert not accepts(in_production, both)
    assert accepts(in_production, both.model_copy(update={"scope_labels": {"environment": "production"}}))
    assert accepts(channel(states=["resolved"]), told(other, is_test=True))


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("17", 17),
        ("0", 0),
        ("Wed, 15 Nov 2023 22:13:20 GMT", 86_400),
        ("Mon, 13 Nov 2023 22:13:20 GMT", 0),
        ("-5", 0),
        ("soon", 0),
        ("", 0),
        (None, 0),
        ("9" * 400, 999_999_999),
        ("٣", 0),
    ],
)
def test_retry_after_is_read_in_both_forms(header: str | None, seconds: float) -> None:
    """Seconds and dates (RFC 9110, 10.2.3); anything else asks for nothing."""
    assert retry_after_s(header, 1_700_000_000.0) == seconds
