"""The demo as a person starts it, with ports and a data folder of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

from tests.examples.conftest import NAMES, REPOSITORY
from tests.support.ports import free_port


@dataclass
class Demo:
    """A demo with ports and a data folder of its own; it can be started again."""

    folder: Path
    more_settings: str = ""
    first_port: int = field(default_factory=lambda: free_port(1, 2, 3, 4, 5))

    @property
    def page(self) -> str:
        return f"http://127.0.0.1:{self.first_port + 5}"

    def environ(self) -> dict[str, str]:
        """Return ours, with the data folder; the ports stand in a file."""
        environ = {key: value for key, value in os.environ.items() if not key.startswith(("MODELWATCH_", "OTEL_"))}
        return environ | {"MODELWATCH_DATA_DIR": str(self.folder / "data")}

    def config(self) -> Path:
        """Return a settings file with the ports, which the demo's own ModelWatch must find as well."""
        path = self.folder / "ports.yaml"
        path.write_text(
            f"demo: {{first_port: {self.first_port}}}\n"
            f"receiver: {{grpc_port: {self.first_port + 3}, http_port: {self.first_port + 4}}}\n"
            f"api: {{port: {self.first_port + 5}}}\n"
            f"{self.more_settings}"
        )
        return path

    def output(self) -> str:
        return (self.folder / "output").read_text()

    @contextmanager
    def running(self, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
        """Start it; whatever the test leaves is killed."""
        with (self.folder / "output").open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "modelwatch", "demo", "--config", str(self.config()), *arguments],
                env=self.environ(),
                cwd=REPOSITORY,
                stdout=output,
                stderr=output,
            )
        family = [psutil.Process(process.pid)]
        try:
            yield process
        finally:
            family += family[0].children(recursive=True) if family[0].is_running() else []
            for one in family:
                if one.is_running():
                    one.kill()
            process.wait()

    def services(self) -> dict[str, Any]:
        """Return what the page's API says of the last hour, by service; empty while it does not answer."""
        try:
            answer = httpx.get(f"{self.page}/api/v1/services?window=1h", trust_env=False, timeout=10)
        except httpx.TransportError:
            return {}
        return {item["service"]: item for item in answer.json()["items"]} if answer.is_success else {}

    def shows_all(self) -> bool:
        services = self.services()
        return all(services.get(name, {"calls": 0})["calls"] > 10 for name in NAMES)
