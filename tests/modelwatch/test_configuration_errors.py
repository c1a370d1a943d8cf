"""A receiver that is configured wrongly does not start at all, and says in one line what to set."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from modelwatch.cli import main
from tests.support.ports import free_port, is_free

pytestmark = pytest.mark.left_behind_is_fine  # while one test looks at its outcome, the next ones are still run

AT_ONCE = 3
"""Processes that are started side by side; each spends most of its second on imports."""

GRPC, HTTP = "MODELWATCH_RECEIVER__GRPC_PORT", "MODELWATCH_RECEIVER__HTTP_PORT"
HEALTH, WORKERS = "MODELWATCH_HEALTH__PORT", "MODELWATCH_RECEIVER__WORKERS"
KEYS, BROKER, DATA = "MODELWATCH_INGEST_KEYS_FILE", "MODELWATCH_BROKER_URL", "MODELWATCH_DATA_DIR"
CERTIFICATE, KEY = "MODELWATCH_RECEIVER__TLS_CERT_FILE", "MODELWATCH_RECEIVER__TLS_KEY_FILE"
HOST = "MODELWATCH_RECEIVER__HOST"

Mistake = Callable[["World"], dict[str, str]]


@dataclass
class World:
    """What a mistake may refer to: a folder, and a port that another program has."""

    folder: Path
    taken: int

    def file(self, content: bytes) -> str:
        path = self.folder / "file"
        path.write_bytes(content)
        return str(path)


MISTAKES: dict[str, tuple[str, Mistake]] = {
    "keys file missing": (KEYS, lambda world: {KEYS: str(world.folder / "none")}),
    "certificate is none": (CERTIFICATE, lambda world: {CERTIFICATE: world.file(b"x"), KEY: world.file(b"x")}),
    "gRPC port taken": (GRPC, lambda world: {GRPC: str(world.taken)}),
    "HTTP port taken": (HTTP, lambda world: {HTTP: str(world.taken)}),
    "health port taken": (HEALTH, lambda world: {HEALTH: str(world.taken)}),
    "open to anybody": (HOST, lambda world: {HOST: "0.0.0.0"}),
    "broker without a port": (BROKER, lambda world: {BROKER: "amqp://user:hunter2@host:port/"}),
    "spill cannot be written": (DATA, lambda world: {DATA: world.file(b"")}),
    "unknown setting": ("MODELWATCH_RECEIVER__GRPC_PROT", lambda world: {"MODELWATCH_RECEIVER__GRPC_PROT": "4317"}),
    "no workers": (WORKERS, lambda world: {WORKERS: "0"}),
}
CASES = [
    *((name, 1) for name in MISTAKES),
    # What a worker finds, what its parent finds before there is any, and after.
    *((name, 2) for name in ("keys file missing", "HTTP port taken", "health port taken")),
]


@dataclass(frozen=True)
class Outcome:
    code: int
    output: str
    ports: tuple[int, int, int]
    is_anyone_left: bool


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[tuple[str, int], Future[Outcome]]]:
    """What became of every case, run a few at a time."""
    with ExitStack() as stack:
        holder = stack.enter_context(socket.socket())
        # Whoever would share the port has it all the same.
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        pool = stack.enter_context(ThreadPoolExecutor(AT_ONCE))
        running = {}
        for name, workers in CASES:
            world = World(tmp_path_factory.mktemp("world"), holder.getsockname()[1])
            running[name, workers] = pool.submit(_run, world, MISTAKES[name][1](world), workers)
        yield running


def _run(world: World, wrong: dict[str, str], workers: int) -> Outcome:
    ports = free_port(), free_port(), free_port()
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("MODELWATCH_")},
        BROKER: f"amqp://guest:guest@127.0.0.1:{free_port()}/",
        DATA: str(world.folder / "data"),
        **dict(zip((GRPC, HTTP, HEALTH), map(str, ports), strict=True)),
        WORKERS: str(workers),
        **wrong,
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "modelwatch", "receiver"],
        env={name: value for name, value in environment.items() if value},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=40)
        return Outcome(process.returncode, output, ports, _is_anyone_in(process.pid))
    finally:
        if _is_anyone_in(process.pid):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _is_anyone_in(group: int) -> bool:
    """Tell whether a process of the group is left; Python's own helper of `multiprocessing` ends a moment later."""
    for _ in range(100):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return False
        time.sleep(0.02)
    return True


@pytest.mark.parametrize(("name", "workers"), CASES)
def test_a_mistake_in_the_settings_is_one_line_and_no_start(
    name: str, workers: int, outcomes: dict[tuple[str, int], Future[Outcome]]
) -> None:
    """The code is 2, the last line alone is for people and names the setting; nothing listens, no secret is told."""
    outcome = outcomes[name, workers].result(60)
    assert outcome.code == 2, outcome.output
    said = [line for line in outcome.output.splitlines() if not line.startswith("{")]
    assert len(said) == 1, outcome.output
    assert outcome.output.splitlines()[-1] == said[0]
    assert said[0].startswith("modelwatch: ")
    assert MISTAKES[name][0] in said[0]
    assert "is ready" not in outcome.output
    assert "Traceback" not in outcome.output
    assert "hunter2" not in outcome.output
    assert all(map(is_free, outcome.ports))
    assert not outcome.is_anyone_left


def test_workers_can_be_set_on_the_command_line_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--workers` is read as the setting is, so that a wrong number is one line that names it."""
    monkeypatch.setenv(WORKERS, "2")
    assert main(["receiver", "--workers", "0"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert WORKERS in said
