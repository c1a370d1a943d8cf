"""The three model APIs as real processes under plain uvicorn, one set for all tests of this folder."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.support.ports import free_port

REPOSITORY = Path(__file__).parent.parent.parent
START_TIMEOUT_S = 60.0
NAMES = ("tumour-classifier", "diabetes-regressor", "digits-reader")
ACCESS_LINE = re.compile(r'"(?P<request>[A-Z]+ \S+) HTTP/1\.1" (?P<status>\d{3})')


@dataclass(frozen=True)
class ModelApi:
    """One running API: its address, and what it logged."""

    url: str
    log_path: Path
    process: subprocess.Popen[bytes]

    def log(self) -> str:
        """Return all that it logged."""
        return self.log_path.read_text()

    def wait_for_log(self, text: str) -> None:
        """Return once the text is in the log: a traceback is written after the answer is sent."""
        poll(lambda: text in self.log(), timeout_s=5, what=f"{text!r} in {self.log_path}")

    def statuses(self) -> Counter[str]:
        """Return how often it answered with which status, by its access log."""
        return Counter(match["status"] for match in ACCESS_LINE.finditer(self.log()))


@pytest.fixture(scope="session")
def model_apis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, ModelApi]]:
    """Return the three APIs by name, trained and ready."""
    folder = tmp_path_factory.mktemp("model-apis")
    apis = {name: _start(name, folder / f"{name}.log") for name in NAMES}
    try:
        for api in apis.values():
            _wait_until_ready(api)
        yield apis
    finally:
        for api in apis.values():
            api.process.terminate()
        for api in apis.values():
            api.process.wait(timeout=20)


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    """Return an HTTP client that goes to loopback directly, each time anew: uvicorn closes after an exception."""
    with httpx.Client(timeout=30, trust_env=False, limits=httpx.Limits(max_keepalive_connections=0)) as client:
        yield client


@pytest.fixture
def healthy_stores(model_apis: dict[str, ModelApi], client: httpx.Client) -> Iterator[None]:
    """Put the record stores right again after a test that upset them."""
    yield
    for name in ("tumour-classifier", "digits-reader"):
        client.put(f"{model_apis[name].url}/demo/store", json={}).raise_for_status()


def _start(name: str, log_path: Path) -> ModelApi:
    port = free_port()
    environ = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "UVICORN_"))}
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "uvicorn", f"examples.model_apis.{name.replace('-', '_')}:app"],
            env=environ | {"UVICORN_PORT": str(port), "OMP_NUM_THREADS": "1"},
            cwd=REPOSITORY,
            stdout=log,
            stderr=log,
        )
    return ModelApi(f"http://127.0.0.1:{port}", log_path, process)


def _wait_until_ready(api: ModelApi) -> None:
    def is_ready() -> bool:
        assert api.process.poll() is None, f"ended with code {api.process.returncode}: {api.log()}"
        try:
            return httpx.get(f"{api.url}/health", trust_env=False).status_code == httpx.codes.OK
        except httpx.TransportError:
            return False

    poll(is_ready, timeout_s=START_TIMEOUT_S, what=f"{api.url} ready")


def poll(condition: Callable[[], bool], *, timeout_s: float, what: str) -> None:
    """The asynchronous `eventually` for tests and fixtures that are not."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout_s} s: {what}"
        time.sleep(0.05)
