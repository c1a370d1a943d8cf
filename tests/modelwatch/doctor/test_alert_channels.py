"""What the doctor says of the channels of alerts: whether they can be made, and never where they lead."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from alerting.rules import Rule, Signal
from tests.modelwatch.doctor.test_access import findings

SECRET = "T1JJ3T3L2"


def test_channels_that_can_be_made_are_named_by_kind(tmp_path: Path) -> None:
    """Apprise is asked whether it can read their URLs; nothing is sent."""
    channels = [
        {"name": "ml-team", "url": f"slack://{SECRET}/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"},
        {"name": "audit", "url": f"https://audit.example.com/{SECRET}"},
    ]
    found = findings(tmp_path, {}, alerts={"channels": channels})
    assert (found["alert channels"].state, found["alert channels"].text) == ("ok", "ml-team (slack), audit (webhook)")
    assert SECRET not in str(found)


def test_a_channel_that_cannot_be_made_is_a_problem(tmp_path: Path) -> None:
    """It is named, its URL is not."""
    channels = [{"name": "ml-team", "url": f"slakc://{SECRET}/A1BRTD4JD/x"}]
    found = findings(tmp_path, {}, alerts={"channels": channels})
    assert found["alert channels"].state == "problem"
    assert found["alert channels"].text.startswith("channel 'ml-team': its URL is none that Apprise can read")
    assert SECRET not in str(found)


def test_a_filter_that_no_rule_can_match_is_said(tmp_path: Path) -> None:
    """By the rules that were written, and those that are there from the start; the database stays as it is."""
    channels = [
        {"name": "fraud", "url": "json://h/x", "labels": {"service": "fraud-*"}},
        {"name": "live", "url": "json://h/x", "labels": {"environment": "production"}},
    ]
    file = tmp_path / "modelwatch.db"
    settings = {"channels": channels}
    where = f"sqlite:///{file}"
    found = findings(tmp_path, {}, alerts=settings, database_url=where)["alert channels"]
    assert found.state == "note"
    assert "no rule that is turned on has alerts with environment=production, so nothing is told to channel 'live'" in (
        found.text
    )
    assert not file.exists()
    rule = Rule(
        rule_id="r", name="R", signal=Signal.ERROR_RATE, warning=0.1, group_by=("service", "environment"), scope={}
    )
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE alert_rules (document TEXT)")
        connection.execute("INSERT INTO alert_rules VALUES (?)", (rule.model_dump_json(),))
    connection.close()
    assert findings(tmp_path, {}, alerts=settings, database_url=where)["alert channels"].state == "ok"
