"""One application under uvicorn in processes of its own, each instrumented differently, which take turns.

The best round of each counts, because other work on the machine can only slow a round down; what is added is the
difference from the best of the bare application. Servers are bound to one core, the client and the sinks run on the
others.
"""

from __future__ import annotations

import gc
import itertools
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from benchmarks import _paced
from benchmarks._watched_app import ROUTES

ROUNDS = 4
PER_S = 500
PACED_S = 2.0
FLAT_OUT_S = 1.0
CONNECTIONS = 16
BARE = "bare"
OURS = "modelwatch-instrumentation"
_BIN = Path(sys.executable).parent
_INSTRUMENT = str(_BIN / "opentelemetry-instrument")
_OURS = "modelwatch_starlette,modelwatch_uvicorn,modelwatch_servers"
_STANDARD = """
from opentelemetry.instrumentation.distro import BaseDistro
from opentelemetry.sdk._configuration import _OTelSDKConfigurator
import os

class Distro(BaseDistro):
    def _configure(self, **kwargs):
        for signal in ("TRACES", "METRICS", "LOGS"):
            os.environ.setdefault(f"OTEL_{signal}_EXPORTER", "otlp")
        os.environ.setdefault("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")

class Configurator(_OTelSDKConfigurator):
    pass
"""
"""What `opentelemetry-distro` does. The package itself, where it is installed, may take the place of ours."""


@dataclass
class Server:
    """A running set-up, and what was measured of it, a value for each round."""

    port: int
    process: psutil.Process
    at_pace: list[dict[str, float]] = field(default_factory=list)
    flat_out: list[dict[str, float]] = field(default_factory=list)


def measure() -> list[dict[str, Any]]:
    """Return rows of name, value and unit, for each set-up and what it adds to the bare application."""
    gc.disable()
    with _before_others(), tempfile.TemporaryDirectory() as folder, ExitStack() as running:
        servers = {
            name: running.enter_context(_server(command, environment))
            for name, (command, environment) in _set_ups(Path(folder), *running.enter_context(_sinks())).items()
        }
        for server in servers.values():
            _paced.flat_out(server.port, _paths(), CONNECTIONS, 0.5)
        for _ in range(ROUNDS):
            for server in servers.values():
                server.at_pace.append(_at_pace(server))
            for server in servers.values():
                server.flat_out.append(_flat_out(server))
        memory = {name: server.process.memory_info().rss / 1e6 for name, server in servers.items()}
    gc.enable()
    return [row for name, server in servers.items() for row in _rows(name, server, servers[BARE], memory)]


@contextmanager
def _before_others() -> Iterator[None]:
    """Let other work on the machine wait, not what is measured, where the system allows it (sched(7), autogroup)."""
    group = Path("/proc/self/autogroup")
    with suppress(OSError):
        group.write_text("-15")
    yield
    with suppress(OSError):
        group.write_text("0")


def _paths() -> Iterator[str]:
    return (f"/model-{number % ROUTES}/{number}" for number in itertools.count())


def _at_pace(server: Server) -> dict[str, float]:
    began_s = _cpu_s(server)
    latencies = _paced.at_pace(server.port, _paths(), PER_S, PACED_S)
    time.sleep(1.1)  # the last spans are exported
    cpu_us = (_cpu_s(server) - began_s) / len(latencies) * 1e6
    cuts = statistics.quantiles(latencies, n=100)
    return {"P50": cuts[49] * 1e3, "P95": cuts[94] * 1e3, "P99": cuts[98] * 1e3, "CPU": cpu_us}


def _flat_out(server: Server) -> dict[str, float]:
    began_s = _cpu_s(server)
    per_s = _paced.flat_out(server.port, _paths(), CONNECTIONS, FLAT_OUT_S)
    time.sleep(1.1)
    return {"rate": per_s, "CPU": (_cpu_s(server) - began_s) / (per_s * FLAT_OUT_S) * 1e6}


def _cpu_s(server: Server) -> float:
    times = server.process.cpu_times()
    return float(times.user + times.system)


def _rows(name: str, server: Server, bare: Server, memory: dict[str, float]) -> Iterator[dict[str, Any]]:
    def row(what: str, value: float, unit: str) -> dict[str, Any]:
        return {"name": f"{name}: {what}", "value": round(value, 3), "unit": unit}

    def added(key: str) -> float:
        return min(one[key] for one in server.at_pace) - min(one[key] for one in bare.at_pace)

    yield row("requests at saturation", max(one["rate"] for one in server.flat_out), "/s")
    yield row("CPU of a request at saturation", min(one["CPU"] for one in server.flat_out), "µs")
    for key in ("P50", "P95", "P99"):
        yield row(f"{key} at {PER_S}/s", min(one[key] for one in server.at_pace), "ms")
    if name != BARE:
        for key in ("P50", "P95", "P99"):
            yield row(f"added {key} at {PER_S}/s", added(key), "ms")
        yield row(f"added CPU of a request at {PER_S}/s", added("CPU"), "µs")
        yield row("added memory", memory[name] - memory[BARE], "MB")


def _set_ups(folder: Path, grpc_port: int, http_port: int) -> dict[str, tuple[list[str], dict[str, str]]]:
    _install_standard(folder)
    otlp = {"OTEL_SERVICE_NAME": "bench", "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{grpc_port}"}
    named = {"OTEL_PYTHON_DISTRO": "bench_standard", "OTEL_PYTHON_CONFIGURATOR": "bench_standard"}
    standard = otlp | named | {"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": _OURS, "PYTHONPATH": str(folder)}
    return {
        BARE: ([], {}),
        OURS: ([_INSTRUMENT], otlp),
        "OpenTelemetry distro": ([_INSTRUMENT], standard),
        "OpenTelemetry distro, traces only": (
            [_INSTRUMENT],
            standard | {"OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none"},
        ),
        "Sentry SDK, all traces": ([], {"WATCHED_BY": "sentry", "SENTRY_SINK": f"http://key@127.0.0.1:{http_port}/1"}),
        "prometheus-fastapi-instrumentator": ([], {"WATCHED_BY": "prometheus"}),
    }


def _install_standard(folder: Path) -> None:
    (folder / "bench_standard.py").write_text(_STANDARD)
    metadata = folder / "bench_standard-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: bench-standard\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(
        "[opentelemetry_distro]\nbench_standard = bench_standard:Distro\n"
        "[opentelemetry_configurator]\nbench_standard = bench_standard:Configurator\n"
    )


@contextmanager
def _sinks() -> Iterator[tuple[int, int]]:
    command = [sys.executable, "-m", "benchmarks._swallowing"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        grpc_port, http_port = process.stdout.readline().split()
        try:
            yield int(grpc_port), int(http_port)
        finally:
            process.terminate()


@contextmanager
def _server(command: list[str], environment: dict[str, str]) -> Iterator[Server]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    uvicorn = [str(_BIN / "uvicorn"), "benchmarks._watched_app:app", "--port", str(port), "--no-access-log"]
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "PYTHONPATH"))}
    with subprocess.Popen([*command, *uvicorn], env=clean | environment, stderr=subprocess.DEVNULL) as process:
        try:
            _wait_for(port, process)
            watched = psutil.Process(process.pid)
            if len(os.sched_getaffinity(0)) > 1:
                watched.cpu_affinity([min(os.sched_getaffinity(0))])
                for thread in watched.threads():
                    os.sched_setaffinity(thread.id, {min(os.sched_getaffinity(0))})
            yield Server(port, watched)
        finally:
            process.terminate()


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline_s = time.monotonic() + 60
    while time.monotonic() < deadline_s and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError(f"uvicorn did not start; it ended with {process.poll()}")
