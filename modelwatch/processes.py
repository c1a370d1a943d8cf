"""Child processes that cannot outlive their parent: started with a log file, watched, and stopped in bounded time.

The demo runs ModelWatch, the model APIs and the traffic through this.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PR_SET_PDEATHSIG = 1
TAIL_BYTES = 8192


@dataclass(frozen=True)
class Program:
    """What to start. Standard error always goes to the log; standard output too, unless it is to be seen."""

    name: str
    command: Sequence[str]
    environ: Mapping[str, str]
    log_path: Path
    working_dir: Path | None = None
    is_output_seen: bool = False
    stop_timeout_s: float = 8.0
    cpu: int | None = None
    """The only CPU that it may run on, where the system can do that (Linux)."""
    cgroup_entrances: Sequence[Path] = ()
    """The files of a cgroup by which it enters that."""


class Children:
    """The processes that are running. Each leads its own process group, so that Ctrl-C reaches the parent alone."""

    def __init__(self) -> None:
        self._running: dict[str, tuple[Program, asyncio.subprocess.Process]] = {}
        self._watchers: set[asyncio.Task[None]] = set()
        self._ended: asyncio.Queue[tuple[str, str]] = asyncio.Queue()

    async def start(self, program: Program, *, is_again: bool = False) -> int:
        """Start it with an empty log, or with the one it had; return its process id.

        Raises `OSError` if command or log cannot be opened.
        """
        with program.log_path.open("ab" if is_again else "wb") as log:
            process = await asyncio.create_subprocess_exec(
                *program.command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=None if program.is_output_seen else log,
                stderr=log,
                env=dict(program.environ),
                cwd=program.working_dir,
                start_new_session=True,
                preexec_fn=_before_exec(program),
            )
        self._running[program.name] = program, process
        watcher = asyncio.create_task(self._watch(program.name, process))
        self._watchers.add(watcher)
        watcher.add_done_callback(self._watchers.discard)
        return process.pid

    async def first_to_end(self) -> str:
        """Wait until any of them ends by itself; return one line that says which, how, and its last words."""
        _, words = await self.next_end()
        return words

    async def next_end(self) -> tuple[str, str]:
        """Return the name of the next one that ends by itself, and the same line."""
        return await self._ended.get()

    async def stop(self, names: Iterable[str]) -> list[str]:
        """Ask each to end, together; return the names of those that had to be killed."""
        stopping = [self._running.pop(name) for name in names if name in self._running]
        killed = await asyncio.gather(*(_stop(program, process) for program, process in stopping))
        return [name for name in killed if name]

    async def _watch(self, name: str, process: asyncio.subprocess.Process) -> None:
        await process.wait()
        known = self._running.pop(name, None)
        if known is not None:
            _kill_group(process.pid)  # what it may have started itself
            words = f"{name} {_describe_exit(process)}: {_last_words(known[0].log_path)}"
            self._ended.put_nowait((name, words))


def _describe_exit(process: asyncio.subprocess.Process) -> str:
    """Return "ended with code 3" or "was ended by SIGKILL"."""
    code = process.returncode
    if code is not None and code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    return f"ended with code {code}"


async def _stop(program: Program, process: asyncio.subprocess.Process) -> str | None:
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(program.stop_timeout_s):
            await process.wait()
        return None
    except TimeoutError:
        return program.name
    finally:
        _kill_group(process.pid)
        await process.wait()


def _kill_group(leader_pid: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(leader_pid, signal.SIGKILL)


def _last_words(log_path: Path) -> str:
    with suppress(OSError), log_path.open("rb") as log:
        log.seek(max(0, log.seek(0, os.SEEK_END) - TAIL_BYTES))
        lines = log.read().decode(errors="replace").split("\n")
        words = next((line.strip() for line in reversed(lines) if line.strip()), "")
        if words:
            return f"{words} ({log_path})"
    return f"it left no word in {log_path}"


def _before_exec(program: Program) -> Callable[[], None] | None:
    """Return what has the kernel send SIGTERM to the child once this process is gone, even by SIGKILL (Linux only).

    It also keeps the child to its CPU and puts it into its cgroup, if it has one.
    """
    if sys.platform != "linux":
        return None
    cpu, entrances = program.cpu, program.cgroup_entrances
    prctl, parent_pid = ctypes.CDLL(None).prctl, os.getpid()

    def before_exec() -> None:
        prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent_pid:  # it went before the line above took effect
            os._exit(1)
        with suppress(OSError):  # it was taken from us meanwhile: better anywhere than not at all
            if cpu is not None:
                os.sched_setaffinity(0, {cpu})
            for entrance in entrances:
                entrance.write_text("0")

    return before_exec
