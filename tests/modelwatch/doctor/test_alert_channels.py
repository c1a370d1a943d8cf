"""What the doctor says of the channels of alerts: whether they can be made, and never where they lead."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

from alerting.rules import Rule, Signal
from modelwatch.doctor.configuration import examine
from modelwatch.settings import Settings
from tests.modelwatch.doctor.test_access import findings
from tests.support.ports import free_port

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


def test_channels_that_were_made_while_running_are_looked_at_too(tmp_path: Path) -> None:
    """As those of the configuration, which win over them; what cannot be used is a problem, and no target is named."""
    file = tmp_path / "modelwatch.db"
    documents = {
        "given": {"url": "json://elsewhere/x"},
        "made": {"url": f"https://h/{SECRET}"},
        "broken": {"url": f"https://h/{SECRET}", "authorization": f"{SECRET}\u00fc"},
        "newer": {"urls": [SECRET]},
        "without": {"url_file": "oncall"},
    }
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE alert_channels (name TEXT, document TEXT)")
        rows = [(name, json.dumps(document)) for name, document in documents.items()]
        connection.executemany("INSERT INTO alert_channels VALUES (?, ?)", rows)
    connection.close()
    tree = {"data_dir": tmp_path, "database_url": f"sqlite:///{file}", "receiver": {"grpc_port": free_port()}}
    given = {"channels": [{"name": "given", "url": "https://h/x"}]}
    settings = Settings.model_validate({**tree, "alerts": given})
    found = [(one.state, one.text) for one in examine(settings) if one.subject == "alert channels"]
    assert [state for state, _ in found] == ["problem", "problem", "problem", "ok"]
    for (_, text), words in zip(found, ("ASCII", "another version", "FILES_DIR"), strict=False):
        assert words in text
    assert found[-1][1] == "given (webhook), made (webhook)"
    assert SECRET not in str(found)
