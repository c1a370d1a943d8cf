"""Where the engine is looked for, what its settings may say, and what is agreed on with it."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from container_stats.engine_address import find_engine
from container_stats.engine_client import EngineError, agreed_version
from container_stats.engine_events import event_of
from container_stats.names import METRICS
from container_stats.settings import ContainerSettings
from telemetry import StartError


@pytest.mark.parametrize(
    ("setting", "docker_host", "expected"),
    [
        ("unix:///a/b.sock", "", "unix:///a/b.sock"),
        ("", "unix:///a/b.sock", "unix:///a/b.sock"),
        ("tcp://proxy", "unix:///a/b.sock", "http://proxy:2375"),
        ("tcp://[::1]:99", "", "http://[::1]:99"),
        ("https://h", "", "https://h:2376"),
        ("none", "unix:///a/b.sock", "None"),
    ],
)
def test_the_setting_counts_before_docker_host(setting: str, docker_host: str, expected: str) -> None:
    """And `none` is no engine at all."""
    assert str(find_engine(setting, docker_host)) == expected


@pytest.mark.parametrize(
    "text", ["docker.sock", "ssh://host", "unix://relative", "tcp://", "tcp://h:x", "http://h/path"]
)
def test_an_address_of_no_use_names_its_setting(text: str) -> None:
    """The start ends in one line that says what to set."""
    with pytest.raises(StartError, match="MODELWATCH_CONTAINERS__ENGINE"):
        find_engine(text, "")
    with pytest.raises(StartError, match="DOCKER_HOST"):
        find_engine("", text)


def test_the_first_socket_that_is_there_is_taken(tmp_path: Path) -> None:
    """Without any setting the usual places are looked at in turn; a file is no socket."""
    places = [tmp_path / "docker.sock", tmp_path / "podman.sock"]
    assert find_engine("", "", sockets=lambda: places) is None
    places[0].touch()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(places[1]))
        assert str(find_engine("", "", sockets=lambda: places)) == f"unix://{places[1]}"


@pytest.mark.parametrize(
    ("version", "agreed"),
    [
        ({"ApiVersion": "1.41", "MinAPIVersion": "1.12"}, "1.41"),
        ({"ApiVersion": "1.52", "MinAPIVersion": "1.44"}, "1.47"),
        ({"ApiVersion": "1.40"}, "1.40"),
    ],
)
def test_the_newest_version_of_both_is_agreed_on(version: dict[str, Any], agreed: str) -> None:
    """Whichever side is older decides."""
    assert agreed_version(version) == agreed


@pytest.mark.parametrize("version", [{}, {"ApiVersion": "x"}, {"ApiVersion": "2.0", "MinAPIVersion": "1.99"}])
def test_without_a_common_version_it_says_so(version: dict[str, Any]) -> None:
    """Something else than an engine, or one of the far future."""
    with pytest.raises(EngineError):
        agreed_version(version)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b'{"Type":"container","Action":"die","Actor":{"ID":"a"}}', ("a", False)),
        (b'{"status":"oom","id":"a"}', ("a", True)),
        (b'{"Type":"container","Action":"health_status: healthy","Actor":{"ID":"a"}}', ("a", False)),
        (b'{"Type":"container","Action":"exec_create: true","Actor":{"ID":"a"}}', None),
        (b'{"Type":"network","Action":"connect","Actor":{"ID":"a"}}', None),
        (b"[]", None),
        (b"nonsense", None),
    ],
)
def test_only_what_changes_a_container_is_an_event(line: bytes, expected: tuple[str, bool] | None) -> None:
    """Health checks alone make three events each time, of which none changes anything."""
    assert event_of(line) == expected


@pytest.mark.parametrize(
    "settings",
    [
        {"endpoint": "localhost:4318"},
        {"headers": "no equals sign"},
        {"process_commands": "("},
        {"process_pids": "0"},
        {"client_cert_file": "a.pem"},
        {"engine_key_file": "a.pem"},
        {"interval_s": 0.5},
    ],
)
def test_settings_of_no_use_are_refused(settings: dict[str, Any]) -> None:
    """Before anything is watched."""
    with pytest.raises(ValidationError):
        ContainerSettings(**settings)


def test_lists_are_written_with_commas() -> None:
    """As they come from the environment."""
    settings = ContainerSettings.model_validate({"process_pids": "1, 22", "container_labels": "a,b", "headers": "a=b"})
    assert (settings.process_pids, settings.container_labels) == ((1, 22), ("a", "b"))


def test_every_metric_is_explained_with_its_type_and_unit() -> None:
    """The table in docs/containers.md and what is sent are the same."""
    text = (Path(__file__).parent.parent.parent / "docs" / "containers.md").read_text()
    rows = [[cell.strip().strip("`") for cell in line.split("|")] for line in text.splitlines() if "| `" in line[:5]]
    explained = {row[1]: (row[3], row[4]) for row in rows if row[1].startswith(("container.", "process."))}
    assert explained == {name: tuple(metric) for name, metric in METRICS.items()}
