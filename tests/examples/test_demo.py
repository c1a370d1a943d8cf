"""The demo as a person runs it: one command, real processes, Ctrl-C."""

from __future__ import annotations

import signal
import socket
import subprocess
from pathlib import Path

import psutil
import pytest

from tests.examples.conftest import NAMES, poll
from tests.examples.running_demo import Demo

PAGE_WITH_DATA_WITHIN_S = 60
STOPPED_WITHIN_S = 25
pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def demo(tmp_path: Path) -> Demo:
    return Demo(tmp_path)


def family_of(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


def all_gone(family: list[psutil.Process]) -> bool:
    return not any(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in family)


def test_the_demo_shows_data_stops_cleanly_and_keeps_its_history(demo: Demo) -> None:
    """Data of all three APIs within a minute; two Ctrl-C leave nothing behind; the next start, ended by SIGKILL, still
    knows what was, and leaves nothing behind either."""
    with demo.running() as process:
        poll(demo.shows_all, timeout_s=PAGE_WITH_DATA_WITHIN_S, what="data of all three APIs")
        family = family_of(process)
        assert len(family) == 5
        seen = sum(item["calls"] for item in demo.services().values())
        process.send_signal(signal.SIGINT)
        poll(lambda: "Stopping" in demo.output(), timeout_s=5, what="a word that it is stopping")
        process.send_signal(signal.SIGINT)
        assert process.wait(STOPPED_WITHIN_S) == 0
        assert all_gone(family)
    output = demo.output()
    assert demo.page in output
    assert all(f"{name} has trained its model and is ready after" in output for name in NAMES)
    assert "Traceback" not in output
    assert "killed" not in output
    logs = demo.folder / "data" / "logs"
    assert {path.name for path in logs.iterdir()} == {f"{name}.log" for name in (*NAMES, "modelwatch", "traffic")}

    with demo.running() as process:
        poll(
            lambda: sum(item["calls"] for item in demo.services().values()) >= seen,
            timeout_s=PAGE_WITH_DATA_WITHIN_S,
            what="the history of the first start",
        )
        family = family_of(process)
        process.kill()
        process.wait()
        poll(lambda: all_gone(family), timeout_s=STOPPED_WITHIN_S, what="the end of all processes")


def test_when_one_process_dies_everything_stops_and_it_is_named(demo: Demo) -> None:
    """Kill one API while it starts: the demo names it and how it ended, stops the others, and fails."""

    def victim() -> psutil.Process | None:
        found = [one for one in family_of(process) if "digits_reader" in " ".join(one.cmdline())]
        return found[0] if found else None

    with demo.running() as process:
        poll(lambda: victim() is not None, timeout_s=30, what="digits-reader started")
        family = family_of(process)
        victim().kill()  # type: ignore[union-attr]
        assert process.wait(STOPPED_WITHIN_S) == 1
        assert all_gone(family)
    assert "modelwatch demo: digits-reader was ended by SIGKILL" in demo.output()


def test_a_port_that_is_taken_ends_it_with_one_line(demo: Demo) -> None:
    """Before anything is started, one line names the port and the setting."""
    with socket.create_server(("127.0.0.1", demo.first_port + 1)), demo.running() as process:
        assert process.wait(30) != 0
    lines = demo.output().splitlines()
    assert len(lines) == 1
    assert f"port {demo.first_port + 1}" in lines[0]
    assert "MODELWATCH_DEMO__FIRST_PORT" in lines[0]
    assert not (demo.folder / "data").exists()
