"""What `modelwatch alerts check` says beside mistakes."""

from __future__ import annotations

import io
from argparse import Namespace
from pathlib import Path

import pytest

from modelwatch.alert_rules import run
from modelwatch.settings import Settings
from modelwatch.settings_sources import load

CHANNELS = "[{name: oncall, url: 'slack://a/b/c'}, {name: audit, url: 'https://h.example/SEKRET'}]"


@pytest.mark.parametrize(
    ("wanted", "channels", "says"),
    [
        ("[onccall]", CHANNELS, "there is no channel 'onccall', so it is told to all channels"),
        ("[onccall, audit]", CHANNELS, "there is no channel 'onccall', so it is told to audit alone"),
        ("[x, oncall, y, audit]", CHANNELS, "there are no channels 'x', 'y', so it is told to oncall, audit alone"),
        ("[oncall]", CHANNELS, ""),
        ("[]", CHANNELS, ""),
        ("[onccall]", "[]", ""),
    ],
)
def test_a_channel_that_is_not_there_is_warned_of(
    wanted: str, channels: str, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where channels are known; it is no mistake, as they may be another process's."""
    file = tmp_path / "rules.yaml"
    file.write_text(f"rules: [{{rule_id: a, name: A, signal: error_rate, warning: 0.1, channels: {wanted}}}]")
    settings = load(Settings, {"MODELWATCH_ALERTS__CHANNELS": channels})
    out = io.StringIO()
    assert run(settings, Namespace(action="check", file=str(file)), out) == 0
    assert out.getvalue() == "1 rules, no mistakes\n"
    assert capsys.readouterr().err == (f"{file}: warning: a: channels: {says}\n" if says else "")
