"""What the doctor says of the channels of alerts: whether they can be made, and never where they lead."""

from __future__ import annotations

from pathlib import Path

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
