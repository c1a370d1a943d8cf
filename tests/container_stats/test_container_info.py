"""What is read of an inspection: names, limits, states in both engines' words, times."""

from __future__ import annotations

from typing import Any

import pytest

from container_stats.container_info import Limits, info_of, split_image
from container_stats.engine_times import unix_nano_of


def inspected(host: dict[str, Any] | None = None, state: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "Id": "a" * 64,
        "Name": "/shop_fraud_1",
        "Created": "2026-11-20T08:00:00Z",
        "RestartCount": 3,
        "State": {
            "Status": "running",
            "ExitCode": 0,
            "OOMKilled": False,
            "StartedAt": "2026-11-20T08:00:01.5Z",
            "FinishedAt": "0001-01-01T00:00:00Z",
            **(state or {}),
        },
        "HostConfig": host or {},
        "Config": {"Image": "registry:5000/team/fraud:1.2", "Labels": {"com.docker.compose.project": "shop", "x": "y"}},
    }


def test_an_inspection_names_the_container() -> None:
    """Name without slash, image and tag apart, the labels that were asked for, and nanoseconds."""
    info = info_of(inspected(), ("com.docker.compose.project", "com.docker.compose.service"))
    assert (info.name, info.image_name, info.image_tag, info.restarts) == (
        "shop_fraud_1",
        "registry:5000/team/fraud",
        "1.2",
        3,
    )
    assert info.labels == (("com.docker.compose.project", "shop"),)
    assert info.started_unix_nano == info.created_unix_nano + 1_500_000_000
    assert info.finished_unix_nano is None
    assert info.limits == Limits()


@pytest.mark.parametrize(
    ("host", "limits"),
    [
        ({"NanoCpus": 1_500_000_000}, Limits(1.5)),
        ({"CpuQuota": 50_000, "CpuPeriod": 0}, Limits(0.5)),
        ({"CpuQuota": 300_000, "CpuPeriod": 200_000}, Limits(1.5)),
        ({"CpuQuota": -1}, Limits()),
        ({"CpusetCpus": "0-2,5"}, Limits(4.0, 4)),
        ({"CpusetCpus": "1", "NanoCpus": 2_000_000_000}, Limits(1.0, 1)),
        ({"Memory": 1 << 30}, Limits(memory_bytes=1 << 30)),
        ({"Memory": 0, "NanoCpus": 0, "CpusetCpus": "nonsense"}, Limits()),
    ],
)
def test_limits_are_the_lowest_of_those_that_are_set(host: dict[str, Any], limits: Limits) -> None:
    """Quota in either form, CPU set, memory; what is zero or negative is no limit."""
    assert info_of(inspected(host), ()).limits == limits


@pytest.mark.parametrize(
    ("status", "state", "has_processes"),
    [
        ("running", "running", True),
        ("paused", "paused", True),
        ("restarting", "restarting", False),
        ("exited", "exited", False),
        ("Configured", "created", False),
        ("stopped", "exited", False),
        ("stopping", "running", True),
    ],
)
def test_states_are_told_in_dockers_words(status: str, state: str, has_processes: bool) -> None:
    """Podman's own words for a state are translated."""
    info = info_of(inspected(state={"Status": status}), ())
    assert (info.state, info.has_processes) == (state, has_processes)


@pytest.mark.parametrize(
    ("health", "expected"), [({"Status": "healthy"}, "healthy"), ({"Status": ""}, None), ({"Status": "none"}, None)]
)
def test_a_container_without_a_check_has_no_health(health: dict[str, str], expected: str | None) -> None:
    """Podman has an empty status where Docker has no health at all."""
    assert info_of(inspected(state={"Health": health}), ()).health == expected


@pytest.mark.parametrize(
    ("image", "parts"),
    [
        ("busybox", ("busybox", "")),
        ("localhost:5000/busybox", ("localhost:5000/busybox", "")),
        ("busybox:1@sha256:abc", ("busybox", "1")),
        ("sha256:" + "0123456789abcdef" * 4, ("0123456789ab", "")),
    ],
)
def test_an_image_is_a_name_and_a_tag(image: str, parts: tuple[str, str]) -> None:
    """A port is no tag, and a digest is neither."""
    assert split_image(image) == parts


@pytest.mark.parametrize("answer", [{}, {"State": None, "Config": {}}, {"State": {}, "Config": {}}])
def test_what_is_no_inspection_is_said_to_be_none(answer: dict[str, Any]) -> None:
    """An answer without the parts that are needed is one kind of error."""
    with pytest.raises(ValueError, match="no answer to an inspection"):
        info_of(answer, ())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-01T00:00:01.000000001Z", 1_000_000_001),
        ("1970-01-01T02:00:01.5+02:00", 1_500_000_000),
        ("0001-01-01T00:00:00Z", None),
        ("2026-99-01T00:00:00Z", None),
        ("soon", None),
        (7, None),
    ],
)
def test_times_are_read_to_the_nanosecond(text: object, expected: int | None) -> None:
    """Go's zero time and what is no time are none."""
    assert unix_nano_of(text) == expected
