"""Starting and stopping many components."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from modelwatch.lifecycle import run_until_signal, start_all, stop_all
from telemetry import StartError
from tests.support.waiting import eventually


class Recorded:
    """A component that writes down what is asked of it."""

    def __init__(self, name: str, journal: list[str], fails: bool = False) -> None:
        self.name, self.journal, self.fails = name, journal, fails

    async def start(self) -> None:
        self.journal.append(f"start {self.name}")
        if self.fails:
            raise StartError(f"{self.name} cannot")

    async def stop(self) -> None:
        self.journal.append(f"stop {self.name}")


async def test_stopping_is_the_reverse_of_starting() -> None:
    """What was started last is stopped first."""
    journal: list[str] = []
    components = [Recorded(name, journal) for name in "abc"]
    await start_all(components)
    await stop_all(components)
    assert journal == ["start a", "start b", "start c", "stop c", "stop b", "stop a"]


async def test_a_failed_start_stops_what_was_started() -> None:
    """When one cannot start, its error is raised and everything touched so far is stopped; the rest never starts."""
    journal: list[str] = []
    components = [Recorded("a", journal), Recorded("b", journal, fails=True), Recorded("c", journal)]
    with pytest.raises(StartError, match="b cannot"):
        await start_all(components)
    assert journal == ["start a", "start b", "stop b", "stop a"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_the_run_cleanly(number: int) -> None:
    """SIGTERM and Ctrl-C stop all components once."""
    journal: list[str] = []
    running = asyncio.create_task(run_until_signal([Recorded("a", journal)], "ready"))
    await eventually(lambda: journal)
    os.kill(os.getpid(), number)
    await asyncio.wait_for(running, 5)
    assert journal == ["start a", "stop a"]


async def test_a_component_that_fails_to_stop_does_not_keep_the_others() -> None:
    """An error in one stop is logged, and the next component is stopped all the same."""

    class Broken(Recorded):
        async def stop(self) -> None:
            raise OSError("no")

    journal: list[str] = []
    await stop_all([Recorded("a", journal), Broken("b", journal)])
    assert journal == ["stop a"]


async def test_an_event_ends_the_run_as_a_signal_does() -> None:
    """Whoever runs the components may end the run without a signal."""
    journal: list[str] = []
    ended = asyncio.Event()
    running = asyncio.create_task(run_until_signal([Recorded("a", journal)], "ready", ended=ended))
    await eventually(lambda: journal)
    ended.set()
    await asyncio.wait_for(running, 5)
    assert journal == ["start a", "stop a"]


async def test_an_event_ends_a_start_that_takes_long() -> None:
    """What was started before the one that is still starting is stopped."""

    class Slow(Recorded):
        async def start(self) -> None:
            self.journal.append("slow")
            await asyncio.Event().wait()

    journal: list[str] = []
    ended = asyncio.Event()
    components = [Recorded("a", journal), Slow("b", journal)]
    running = asyncio.create_task(run_until_signal(components, "ready", ended=ended))
    await eventually(lambda: "slow" in journal)
    ended.set()
    await asyncio.wait_for(running, 5)
    assert journal == ["start a", "slow", "stop b", "stop a"]


async def test_a_component_may_ask_for_a_bound_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stop is cut off after the component's own `stop_timeout_s`, and after the common bound without one."""

    class Hanging(Recorded):
        async def stop(self) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                self.journal.append(f"cut off {self.name}")

    class Patient(Hanging):
        stop_timeout_s = 0.05

    journal: list[str] = []
    await asyncio.wait_for(stop_all([Patient("a", journal)]), 5)
    monkeypatch.setattr("modelwatch.lifecycle.STOP_TIMEOUT_S", 0.02)
    await asyncio.wait_for(stop_all([Hanging("b", journal)]), 5)
    assert journal == ["cut off a", "cut off b"]
