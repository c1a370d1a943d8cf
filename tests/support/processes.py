"""Real processes for tests: ModelWatch's roles and watched model APIs, started as a person would start them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import httpx

from tests.support.ports import free_port
from tests.support.waiting import eventually

REPOSITORY = Path(__file__).parent.parent.parent
BIN = Path(sys.executable).parent

_NO_CANARY = {"MODELWATCH_SELF_WATCH__CANARY_IS_ENABLED": "false"}
"""Tests count every span; those about the canary turn it on."""


class RunningProcess:
    """A process with its output in a file, in a group of its own."""

    def __init__(self, command: list[str], environment: Mapping[str, str], log: Path) -> None:
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "MODELWATCH_"))}
        self.log = log
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                command,
                env={**clean, "PYTHONUNBUFFERED": "1", **_NO_CANARY, **environment},
                cwd=REPOSITORY,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    def kill(self) -> None:
        """End the whole group with SIGKILL."""
        self._signal(signal.SIGKILL)
        self.process.wait(10)

    def stop(self, timeout_s: float = 20.0) -> int:
        """Ask it to end with SIGTERM and return its exit code; SIGKILL if it does not."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                self.kill()
                raise AssertionError(f"did not stop within {timeout_s} s:\n{self.output()}") from None
        return self.process.returncode

    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def assert_running(self) -> bool:
        assert self.process.poll() is None, f"ended with {self.process.returncode}:\n{self.output()[-4000:]}"
        return True

    def _signal(self, number: int) -> None:
        try:
            os.killpg(self.process.pid, number)
        except ProcessLookupError:
            pass


async def answers(url: str) -> bool:
    """Tell whether a GET succeeds."""
    async with httpx.AsyncClient() as client:
        try:
            return (await client.get(url, timeout=2)).status_code == 200
        except httpx.HTTPError:
            return False


async def start_role(role: str, environment: Mapping[str, str], log: Path, ready_port: int) -> RunningProcess:
    """Start `modelwatch ROLE` and return when /readyz says so on `ready_port`."""
    running = RunningProcess([sys.executable, "-m", "modelwatch", role], environment, log)
    try:
        await _until_ready(running, f"http://127.0.0.1:{ready_port}/readyz")
    except BaseException:
        running.kill()
        raise
    return running


async def start_watched_app(
    module: str, service: str, endpoint: str, log: Path, environment: Mapping[str, str] | None = None
) -> tuple[RunningProcess, str]:
    """Start a model API under zero-code instrumentation, with environment variables alone; return it and its URL."""
    port = free_port()
    running = RunningProcess(
        [str(BIN / "opentelemetry-instrument"), str(BIN / "uvicorn"), module, "--port", str(port), "--no-access-log"],
        {"OTEL_SERVICE_NAME": service, "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, **(environment or {})},
        log,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        await _until_ready(running, f"{url}/ready")
    except BaseException:
        running.kill()
        raise
    return running, url


async def _until_ready(running: RunningProcess, url: str) -> None:
    async def is_ready() -> bool:
        if running.process.poll() is not None:
            raise RuntimeError(f"ended with {running.process.returncode}:\n{running.output()[-4000:]}")
        return await answers(url)

    await eventually(is_ready, timeout_s=40, what=f"{url} answers:\n{running.output()[-2000:]}")
