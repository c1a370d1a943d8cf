"""Real applications in their own processes, under `opentelemetry-instrument uvicorn` and environment variables only."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from tests.support.ports import free_port

APPS = Path(__file__).parent.parent / "instrumentation" / "apps"
BIN = Path(sys.executable).parent
START_TIMEOUT_S = 60.0
PORT = "{port}"
NEVER_MS = "600000"
"""An export delay that never comes: what arrives with it arrived by a flush."""


class WatchedApp:
    """One application of `apps/` in processes of its own, instrumented by nothing but its environment."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, service: str, log: Path) -> None:
        self.service = service
        self.url = f"http://127.0.0.1:{port}"
        self._port = port
        self._process = process
        self._log = log

    @property
    def log(self) -> str:
        """What it printed so far."""
        return self._log.read_text()

    def is_listening(self) -> bool:
        """Tell whether a connection is taken."""
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self._port), timeout=5):
            return True
        return False

    def request(self, method: str, path: str, **more: str) -> tuple[str, int]:
        """Send a request as the client of a new trace, with more headers by their names in Python.

        Return the trace's id and the status, 0 for a broken answer.
        """
        trace_id = secrets.token_hex(16)
        headers = {**more, "traceparent": f"00-{trace_id}-{secrets.token_hex(8)}-01"}
        try:
            return trace_id, self._ask(method, path, headers)[0]
        except HTTPException:
            return trace_id, 0

    def get(self, path: str) -> str:
        """Return a page's text."""
        return self._ask("GET", path, {})[1]

    def is_running(self) -> bool:
        """Tell whether the process that was started has not ended."""
        return self._process.poll() is None

    def answering_pids(self, *, workers: int, least: int = 1, path: str = "/") -> Counter[str]:
        """Ask for a page of process ids until every worker has answered; return the number of answers by id.

        Eight ask at a time: one after the other they may all be answered by the same worker.
        """
        answers: Counter[str] = Counter()
        deadline_s = time.monotonic() + 100
        with ThreadPoolExecutor(8) as clients:
            while answers.total() < least or len(answers) < workers:
                assert time.monotonic() < deadline_s, f"only {len(answers)} of {workers} workers answer:\n{self.log}"
                answers.update(clients.map(self.get, [path] * 16))
        return answers

    def _ask(self, method: str, path: str, headers: Mapping[str, str]) -> tuple[int, str]:
        """Ask on a connection of its own, so that every worker has its turn."""
        with contextlib.closing(HTTPConnection("127.0.0.1", self._port, timeout=20)) as connection:
            connection.request(method, path, headers=dict(headers))
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

    def stop(self, with_signal: signal.Signals = signal.SIGTERM) -> float:
        """Send the signal and wait for the end; return the seconds it took."""
        asked = time.monotonic()
        self._process.send_signal(with_signal)
        self._process.wait(timeout=60)
        return time.monotonic() - asked

    def kill(self) -> None:
        """End it and its workers if they still run, with SIGKILL."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


@contextlib.contextmanager
def watched(
    app: str, endpoint: str, protocol: str | None = "grpc", *arguments: str, **env: str
) -> Iterator[WatchedApp]:
    """Serve `apps/<app>.py` with uvicorn until the block ends; `env` overrides, `protocol=None` leaves it to us."""
    command = ("uvicorn", f"{app}:app", "--port", PORT, *arguments)
    with served(command, endpoint, protocol, **env) as running:
        _wait_until(running, lambda: "Application startup complete" in running.log)
        yield running


@contextlib.contextmanager
def served(
    command: Sequence[str], endpoint: str, protocol: str | None = "grpc", folder: Path = APPS, **env: str
) -> Iterator[WatchedApp]:
    """Run a server of `.venv/bin` under `opentelemetry-instrument`, with `PORT` for its port, and wait for the port."""
    service, port = f"{command[0]}-{secrets.token_hex(4)}", free_port()
    variables = {"OTEL_SERVICE_NAME": service, "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}
    if protocol is not None:
        variables["OTEL_EXPORTER_OTLP_PROTOCOL"] = protocol
    program, *arguments = (word.replace(PORT, str(port)) for word in command)
    with tempfile.TemporaryDirectory() as directory:
        log = Path(directory) / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [str(BIN / "opentelemetry-instrument"), str(BIN / program), *arguments],
                cwd=folder,
                env=_environment(variables | env),
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        running = WatchedApp(process, port, service, log)
        try:
            _wait_until(running, running.is_listening)
            yield running
        finally:
            running.kill()


def _environment(variables: Mapping[str, str]) -> dict[str, str]:
    """Return this process's environment without its telemetry, and with the application's."""
    bare = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "PYTHONPATH"))}
    return {**bare, "PYTHONUNBUFFERED": "1", **variables}


def _wait_until(app: WatchedApp, is_up: Callable[[], bool]) -> None:
    """Wait without a request, which would be one span more."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and app.is_running():
        if is_up():
            return
        time.sleep(0.05)
    raise AssertionError(f"the application did not start:\n{app.log}")
