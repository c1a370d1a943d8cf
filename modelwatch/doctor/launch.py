"""How a model server is started for the doctor: under `opentelemetry-instrument`, with its spans sent to us."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

TOOL: Final = "opentelemetry-instrument"


def protocol_of(environ: Mapping[str, str]) -> str:
    """Return the OTLP protocol for traces: `grpc` or one over HTTP."""
    chosen = environ.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or environ.get("OTEL_EXPORTER_OTLP_PROTOCOL") or "grpc"
    return chosen.strip().lower()


def instrumented(command: Sequence[str]) -> tuple[list[str], bool]:
    """Return the command under `opentelemetry-instrument`, and whether modelwatch-instrumentation is beside that."""
    if any(Path(part).name == TOOL for part in command):
        tool = next(part for part in command if Path(part).name == TOOL)
        return list(command), _has_our_distro(shutil.which(tool))
    executable = shutil.which(command[0])
    beside = str(Path(executable).parent) if executable else ""
    own = str(Path(sys.executable).parent)
    tool_path = shutil.which(TOOL, path=os.pathsep.join(filter(None, [beside, own, os.environ.get("PATH", "")])))
    if tool_path is None:
        return list(command), False
    return [tool_path, *command], _has_our_distro(tool_path)


def _has_our_distro(tool_path: str | None) -> bool:
    if tool_path is None:
        return False
    packages = Path(tool_path).resolve().parent.parent / "lib"
    return any(packages.glob("python*/*-packages/modelwatch_instrumentation-*"))


def redirected(environ: Mapping[str, str], grpc_port: int, http_port: int) -> dict[str, str]:
    """Return the environment with a receiver on loopback in place of the endpoint, for traces and all else."""
    kept = {name: value for name, value in environ.items() if not _names_an_endpoint(name)}
    port = http_port if protocol_of(environ).startswith("http") else grpc_port
    return {**kept, "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}", "PYTHONUNBUFFERED": "1"}


def _names_an_endpoint(variable: str) -> bool:
    return variable.startswith("OTEL_EXPORTER_OTLP_") and variable.endswith(
        ("_ENDPOINT", "_CERTIFICATE", "_CLIENT_KEY")
    )
