"""The cgroups of the demo's model APIs, in a tree made for the test."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from modelwatch.fences import PREFIX, Limits, make_fence

LIMITS = Limits(cpus=0.5, memory_bytes=512 * 1024**2)


def test_without_cgroups_the_reason_is_told(tmp_path: Path) -> None:
    """Nothing is made where there is nothing to make it in."""
    for text in ("", "0::/\n"):
        with pytest.raises(OSError, match="cgroup"):
            make_fence("api", LIMITS, text, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_cgroup_that_hands_no_controllers_down_is_left_as_it_was(tmp_path: Path) -> None:
    """What was made in vain is removed."""
    (tmp_path / "user").mkdir()
    with pytest.raises(PermissionError, match="hands down"):
        make_fence("api", LIMITS, "0::/user\n", tmp_path)
    assert list((tmp_path / "user").iterdir()) == []


def test_what_a_killed_demo_left_is_removed(tmp_path: Path) -> None:
    """Its number is no process any more; that of a demo that runs is left alone."""
    gone, running = tmp_path / f"{PREFIX}4194305-api", tmp_path / f"{PREFIX}{os.getpid()}-other"
    gone.mkdir()
    running.mkdir()
    with pytest.raises(PermissionError):
        make_fence("api", LIMITS, "0::/\n", tmp_path)
    assert [one.name for one in tmp_path.iterdir()] == [running.name]
