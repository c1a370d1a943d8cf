"""Child processes: their logs, their ends, and that none is left."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from modelwatch.processes import Children, Program
from tests.support.waiting import eventually

READY = "print('ready', flush=True)"


@pytest.fixture
async def children() -> AsyncIterator[Children]:
    children = Children()
    yield children
    await children.stop(["child", "other"])


def program(tmp_path: Path, code: str, name: str = "child", stop_timeout_s: float = 5.0) -> Program:
    command = [sys.executable, "-c", code]
    return Program(name, command, dict(os.environ), tmp_path / f"{name}.log", stop_timeout_s=stop_timeout_s)


async def says(tmp_path: Path, text: str, name: str = "child") -> str:
    """Wait until the log holds the text; return the log."""
    path = tmp_path / f"{name}.log"
    await eventually(lambda: path.exists() and text in path.read_text())
    return path.read_text()


async def test_an_end_is_told_with_code_and_last_words(children: Children, tmp_path: Path) -> None:
    """A child that gives up is named, with its code and the last line of its log."""
    await children.start(
        program(tmp_path, "import sys; print('fine'); print('no such port\\n', file=sys.stderr); exit(3)")
    )
    assert await children.first_to_end() == f"child ended with code 3: no such port ({tmp_path}/child.log)"


async def test_a_kill_is_told_by_its_signal(children: Children, tmp_path: Path) -> None:
    """A child that was killed without a word is told so."""
    await children.start(program(tmp_path, "import os; os.kill(os.getpid(), 9)"))
    assert await children.first_to_end() == f"child was ended by SIGKILL: it left no word in {tmp_path}/child.log"


async def test_a_child_keeps_to_its_cpu(children: Children, tmp_path: Path) -> None:
    """The one that it is given; without one, and with one that is not to be had, it may use what its parent may."""
    mine = os.sched_getaffinity(0)
    for number, (cpu, allowed) in enumerate([(min(mine), {min(mine)}), (None, mine), (1_000, mine)]):
        name = f"child{number}"
        code = f"import os, time; print(sorted(os.sched_getaffinity(0))); {READY}; time.sleep(60)"
        await children.start(replace(program(tmp_path, code, name), cpu=cpu))
        assert str(sorted(allowed)) in await says(tmp_path, "ready", name)
        await children.stop([name])


async def test_a_stop_is_not_told_as_an_end(children: Children, tmp_path: Path) -> None:
    """Who is stopped on request is not reported; the next to end by itself is."""
    await children.start(program(tmp_path, f"import time; {READY}; time.sleep(60)"))
    await children.start(program(tmp_path, "exit(4)", "other"))
    assert (await children.first_to_end()).startswith("other ended with code 4")
    await says(tmp_path, "ready")
    assert await children.stop(["child"]) == []
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await children.first_to_end()


async def test_a_child_that_does_not_listen_is_killed_with_all_it_started(children: Children, tmp_path: Path) -> None:
    """Deaf to SIGTERM, a child is killed after its time, and its own child with it."""
    code = (
        "import signal, subprocess, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "grandchild = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']);"
        "print('ready', grandchild.pid, flush=True); time.sleep(60)"
    )
    await children.start(program(tmp_path, code, stop_timeout_s=0.3))
    grandchild = int((await says(tmp_path, "\n")).split()[1])
    started_s = time.monotonic()
    assert await children.stop(["child"]) == ["child"]
    assert time.monotonic() - started_s < 3
    await eventually(lambda: not psutil.pid_exists(grandchild) or psutil.Process(grandchild).status() == "zombie")


async def test_stopping_what_does_not_run_does_nothing(children: Children) -> None:
    """A name that was never started, or has ended, needs no stop."""
    assert await children.stop(["child", "other"]) == []


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent is gone")
async def test_children_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    """After SIGKILL to the parent, the kernel asks its children to end."""
    code = f"""
import asyncio, os, sys
from pathlib import Path
from modelwatch.processes import Children, Program

async def main():
    command = [sys.executable, "-c", "import os, time; print(os.getpid(), flush=True); time.sleep(60)"]
    await Children().start(Program("child", command, dict(os.environ), Path({str(tmp_path / "child.log")!r})))
    await asyncio.sleep(60)

asyncio.run(main())
"""
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", code)
    child = int(await says(tmp_path, "\n"))
    parent.send_signal(signal.SIGKILL)
    await parent.wait()
    await eventually(lambda: not psutil.pid_exists(child))
