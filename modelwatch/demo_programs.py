"""What the demo starts: ModelWatch itself, three model APIs under zero-code instrumentation, and their traffic.

Pure but for looking at the disk and at ports; `demo` runs what is listed here.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from urllib.parse import quote

from sqlalchemy import make_url

from modelwatch.fences import Fence, Limits
from modelwatch.processes import Program
from modelwatch.settings import Settings
from modelwatch.settings_sources import variable_of
from modelwatch.urls import SQLITE, history_url_of
from otlp_receiver.key_file import read_keys
from telemetry import StartError

MODELWATCH, INGEST, ALERTS, TRAFFIC = "modelwatch", "modelwatch-ingest", "modelwatch-alerts", "traffic"
MODEL_API_VERSIONS: Mapping[str, str] = {
    "tumour-classifier": "2.3.1",
    "diabetes-regressor": "1.8.0",
    "digits-reader": "4.0.2",
}
FENCED: Mapping[str, Limits] = {
    "diabetes-regressor": Limits(cpus=0.5, memory_bytes=1024**3, is_guaranteed=True),
    "digits-reader": Limits(cpus=1.0, memory_bytes=512 * 1024**2),
}
"""Those that are given limits of their own, so that they can be seen to be short of CPU and of memory."""
LOOPBACK = "127.0.0.1"
MODELWATCH_STOP_TIMEOUT_S = 20.0


@dataclass(frozen=True)
class Server:
    """A program that is ready when `ready_path` at its address answers 200."""

    program: Program
    host: str
    port: int
    ready_path: str
    origin: str = ""
    """What its addresses begin with, where that is not plain HTTP at host and port."""

    def url(self, path: str = "") -> str:
        """Return the address for people and for other programs."""
        return f"{self.origin or f'http://{_bracketed(self.host)}:{self.port}'}{path}"


def modelwatch_servers(
    settings: Settings, environ: Mapping[str, str], logs_dir: Path, *, is_split: bool = False
) -> dict[str, Server]:
    """Return ModelWatch with the settings of this process, which it reads for itself; the first has the page.

    It is one process, or split into what takes and stores data, the page, and the alerts: then the last two are seen to
    go on while the first does not. Where each of these tells its health is not for people, and on ports that are free.
    """
    if not is_split:
        return {MODELWATCH: _page("up", settings, environ, logs_dir)}
    ingest_port, alerts_port = _free_ports(2)
    api = {"MODELWATCH_API__HOST": LOOPBACK, "MODELWATCH_API__PORT": str(ingest_port)}
    health = {"MODELWATCH_HEALTH__HOST": LOOPBACK, "MODELWATCH_HEALTH__PORT": str(alerts_port)}
    ingest = _role("up", INGEST, {**environ, **api, "MODELWATCH_ALERTS__IS_ENABLED": "false"}, logs_dir)
    alerts = _role("alerts", ALERTS, {**environ, **health}, logs_dir)
    return {
        MODELWATCH: _page("dashboard", settings, environ, logs_dir),
        INGEST: Server(ingest, LOOPBACK, ingest_port, "/readyz", origin=settings.api.url(LOOPBACK, ingest_port, "")),
        ALERTS: Server(alerts, LOOPBACK, alerts_port, "/readyz"),
    }


def _page(role: str, settings: Settings, environ: Mapping[str, str], logs_dir: Path) -> Server:
    api, host = settings.api, _reachable(settings.api.host)
    program = _role(role, MODELWATCH, environ, logs_dir)
    return Server(program, host, api.port, "/readyz", origin=api.url(host, api.port, ""))


def _role(role: str, name: str, environ: Mapping[str, str], logs_dir: Path) -> Program:
    command = [sys.executable, "-P", "-m", "modelwatch", role]
    return Program(name, command, environ, logs_dir / f"{name}.log", stop_timeout_s=MODELWATCH_STOP_TIMEOUT_S)


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.create_server((LOOPBACK, 0))) for _ in range(count)]
        return [int(probe.getsockname()[1]) for probe in probes]


def model_api_servers(
    settings: Settings,
    environ: Mapping[str, str],
    repository: Path,
    logs_dir: Path,
    fences: Mapping[str, Fence] = MappingProxyType({}),
) -> dict[str, Server]:
    """Return the three model APIs: `opentelemetry-instrument uvicorn MODULE:app`, all else by the environment.

    Each is given one CPU, as model servers are, so that one busy Python thread is short of CPU, and is seen to be.
    """
    tools = Path(sys.executable).parent
    cpus = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [None]
    servers = {}
    for place, (name, version) in enumerate(MODEL_API_VERSIONS.items()):
        port, log_path = settings.demo.first_port + place, logs_dir / f"{name}.log"
        module = f"examples.model_apis.{name.replace('-', '_')}"
        command = [str(tools / "opentelemetry-instrument"), str(tools / "uvicorn"), f"{module}:app"]
        own_environ = _plain(environ) | _uvicorn_environ(port) | _otel_environ(settings, name, version)
        cpu = cpus[place % len(cpus)]
        entrances = fences[name].entrances if name in fences else ()
        program = Program(
            name, command, own_environ, log_path, working_dir=repository, cpu=cpu, cgroup_entrances=entrances
        )
        servers[name] = Server(program, LOOPBACK, port, "/health")
    return servers


def traffic_program(
    settings: Settings,
    environ: Mapping[str, str],
    repository: Path,
    logs_dir: Path,
    servers: Mapping[str, Server],
    incidents: Sequence[str] = (),
    fenced: Collection[str] = (),
) -> Program:
    """Return the visitors of the APIs; what they announce is seen on the terminal.

    `incidents` are those that are asked for, `fenced` the APIs that have limits of their own.
    """
    command = [sys.executable, "-m", "examples.traffic", "--rate", str(settings.demo.rate_per_s)]
    for name, server in servers.items():
        command += ["--target", f"{name}={server.url()}"]
    for incident in incidents:
        command += ["--incident", incident]
    for name in sorted(fenced):
        command += ["--memory-limit", f"{name}={FENCED[name].memory_bytes}"]
    log_path = logs_dir / f"{TRAFFIC}.log"
    return Program(TRAFFIC, command, _plain(environ), log_path, working_dir=repository, is_output_seen=True)


def knowing_what_to_stop(traffic: Program, settings: Settings, pid: int) -> Program:
    """Return the visitors' program, told which process takes and stores data: it may be made to stand still."""
    scheme, url = history_url_of(settings)
    file = f"={make_url(url).database}" if scheme == SQLITE else ""
    return replace(traffic, command=[*traffic.command, "--processor", f"{pid}{file}"])


def find_repository() -> Path:
    """Return the folder that holds `examples/`. Raises `StartError` where ModelWatch was installed without it."""
    repository = Path(__file__).resolve().parent.parent
    if not (repository / "examples" / "model_apis").is_dir():
        raise StartError(f"the demo's model APIs are not at {repository / 'examples'}: run the demo in a clone")
    return repository


def check_tools() -> None:
    """Raise `StartError` if the packages that the demo's APIs need are missing."""
    for tool in ("opentelemetry-instrument", "uvicorn"):
        if not (Path(sys.executable).parent / tool).exists():
            raise StartError(f"{tool} is missing beside {sys.executable}: run `make setup`, which installs the demo's")


def check_ports(settings: Settings, servers: Mapping[str, Server]) -> None:
    """Raise `StartError`, naming port and setting, if anything the demo listens on is taken."""
    receiver, page = settings.receiver, settings.api
    _check_port(receiver.host, receiver.grpc_port, "OTLP/gRPC", variable_of(("receiver", "grpc_port")))
    _check_port(receiver.host, receiver.http_port, "OTLP/HTTP", variable_of(("receiver", "http_port")))
    _check_port(page.host, page.port, "the page", variable_of(("api", "port")))
    for name, server in servers.items():
        _check_port(server.host, server.port, name, variable_of(("demo", "first_port")))


def _check_port(host: str, port: int, purpose: str, variable: str) -> None:
    if port == 0:
        raise StartError(f"the demo needs a fixed port for {purpose}: set {variable} to one that is free")
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise StartError(
            f"port {port} on {host}, for {purpose}, cannot be had ({error.strerror}): free it, or set {variable}"
        ) from None


def _otel_environ(settings: Settings, name: str, version: str) -> dict[str, str]:
    endpoint = f"http://{_bracketed(_reachable(settings.receiver.host))}:{settings.receiver.grpc_port}"
    environ = {
        "OTEL_SERVICE_NAME": name,
        "OTEL_RESOURCE_ATTRIBUTES": f"service.version={version},deployment.environment.name=demo",
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
    }
    keys = settings.ingest_keys or (read_keys(settings.ingest_keys_file) if settings.ingest_keys_file else ())
    if keys:
        environ["OTEL_EXPORTER_OTLP_HEADERS"] = f"x-modelwatch-key={quote(keys[0].get_secret_value(), safe='')}"
    return environ


def _uvicorn_environ(port: int) -> dict[str, str]:
    return {
        "UVICORN_HOST": LOOPBACK,
        "UVICORN_PORT": str(port),
        "UVICORN_ACCESS_LOG": "false",
        "UVICORN_TIMEOUT_GRACEFUL_SHUTDOWN": "2",
        "OMP_NUM_THREADS": "1",  # three models on one machine; each is content with one core
        "OPENBLAS_NUM_THREADS": "1",
    }


def _plain(environ: Mapping[str, str]) -> dict[str, str]:
    """Leave out what is set for other programs: OpenTelemetry, uvicorn, proxies, and ModelWatch's own secrets."""
    foreign = ("OTEL_", "UVICORN_", "MODELWATCH_", "HTTP_PROXY", "HTTPS_PROXY", "GRPC_PROXY", "ALL_PROXY")
    return {name: value for name, value in environ.items() if not name.upper().startswith(foreign)}


def _reachable(host: str) -> str:
    return {"0.0.0.0": LOOPBACK, "": LOOPBACK, "::": "::1"}.get(host, host)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
