"""OpenTelemetry's JavaScript exporters, in one Node.js process that tests tell what to export."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.clients.exports import Export, Report

HERE = Path(__file__).parent / "js"
OLDEST_NODE = (18, 19)
"""What the exporters of package-lock.json ask for."""

_HOW = "deploy/test-servers.sh (which `make test` runs) installs what is missing on Debian as root"


class JavaScriptClient:
    """Writes commands to the process, reads its reports. A `Client`."""

    language = "javascript"

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def export(self, *exports: Export) -> list[Report]:
        """Run the exports at the same time. The process reports by itself when an exporter does not."""
        assert self._process.stdin is not None
        for at, export in enumerate(exports):
            self._process.stdin.write(json.dumps(_command(at, export)) + "\n")
        self._process.stdin.flush()
        reports = [self._report() for _ in exports]
        return [_read(report) for report in sorted(reports, key=lambda report: int(report["id"]))]

    def _report(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise AssertionError(f"the JavaScript client ended with code {self._process.wait(5)}, see standard error")
        report: dict[str, Any] = json.loads(line)
        return report


@contextmanager
def running_client() -> Iterator[JavaScriptClient]:
    """Run the process until the block ends. Raises `AssertionError` saying what is missing."""
    node = _require_installed()
    command = [node, "export.js"]
    process = subprocess.Popen(command, cwd=HERE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield JavaScriptClient(process)
    finally:
        with process:  # closes its standard input, at which it ends
            try:
                process.communicate(timeout=5)
            except subprocess.TimeoutExpired:
                process.kill()


def _require_installed() -> str:
    node = shutil.which("node")
    if node is None:
        raise AssertionError(f"Node.js is missing; {_HOW}")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    if tuple(int(part) for part in version.removeprefix("v").split(".")[:2]) < OLDEST_NODE:
        raise AssertionError(f"Node.js {version} is older than {'.'.join(map(str, OLDEST_NODE))}")
    installed = HERE / "node_modules/.installed-lock.json"
    if not installed.exists() or installed.read_bytes() != (HERE / "package-lock.json").read_bytes():
        raise AssertionError(f"the JavaScript exporters of {HERE}/package-lock.json are not installed; {_HOW}")
    return node


def _command(at: int, export: Export) -> dict[str, Any]:
    return {
        "id": at,
        "signal": export.signal,
        "transport": export.transport,
        "endpoint": export.endpoint,
        "prefix": export.prefix,
        "count": export.count,
        "invalid": export.invalid,
        "timeoutMs": round(export.timeout_s * 1000),
        "compression": export.compression,
        "headers": export.headers,
    }


def _read(report: dict[str, Any]) -> Report:
    return Report(report["isSuccess"], report.get("error"), tuple(report["warnings"]))
