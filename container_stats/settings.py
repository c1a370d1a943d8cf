"""The settings of the container statistics.

`modelwatch/` fills them from `modelwatch.yaml` and `MODELWATCH_CONTAINERS__…`.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, SecretStr, model_validator

MIB = 1024 * 1024


def _split_commas(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return tuple(part.strip() for part in value.split(",") if part.strip())


def _require_pattern(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"{pattern!r} is no regular expression: {error}") from None
    return pattern


def _require_headers(headers: SecretStr) -> SecretStr:
    for pair in filter(None, headers.get_secret_value().split(",")):
        name, equals, _ = pair.partition("=")
        if not equals or not re.fullmatch(r"[A-Za-z0-9!#$%&'+.^_`|~-]+", name.strip()):
            raise ValueError("headers are written name=value,name=value")
    return headers


Names = Annotated[tuple[str, ...], BeforeValidator(_split_commas)]
Pids = Annotated[tuple[Annotated[int, Field(ge=1)], ...], BeforeValidator(_split_commas)]
Patterns = Annotated[tuple[Annotated[str, AfterValidator(_require_pattern)], ...], BeforeValidator(_split_commas)]


class ContainerSettings(BaseModel, frozen=True, extra="forbid"):
    """Which containers and processes are watched, how often, and where their metrics go."""

    is_enabled: bool = Field(
        True, description="Watch containers and processes in `modelwatch up` and `modelwatch demo`."
    )
    interval_s: float = Field(10.0, ge=1, le=300, description="Time between two samples of everything.")
    engine: str = Field(
        "",
        description="The container engine: `unix:///var/run/docker.sock`, `tcp://host:2375`, `https://host:2376`, or "
        "`none`. Unset: `DOCKER_HOST`, else the first socket of Docker or Podman that there is.",
    )
    engine_ca_file: Path | None = Field(None, description="Authorities (PEM) that signed the engine's certificate.")
    engine_cert_file: Path | None = Field(None, description="Client certificate (PEM) for the engine.")
    engine_key_file: Path | None = Field(None, description="Private key of that certificate (PEM, not encrypted).")
    engine_timeout_s: float = Field(10.0, gt=0, le=300, description="Time that the engine has for one answer.")
    engine_retry_max_s: float = Field(
        30.0, gt=0, le=600, description="Longest pause between two attempts to reach the engine; the first is 0.5 s."
    )
    reconcile_interval_s: float = Field(
        60.0, ge=1, le=3600, description="Time between two looks at the engine's whole list, in case an event was lost."
    )
    max_containers: int = Field(
        500, ge=1, le=10_000, description="Most containers that are watched; running ones come first."
    )
    stopped_for_s: float = Field(
        3600.0, ge=0, le=30 * 86_400, description="Time for which the state of a stopped container is still sent."
    )
    container_labels: Names = Field(
        ("com.docker.compose.project", "com.docker.compose.service"),
        description="Labels of a container that become attributes `container.label.…`, separated by commas.",
    )
    host_name: str = Field("", description="The attribute `host.name`. Unset: what the engine, or the system, says.")
    watch_services: bool = Field(
        True,
        description="Watch the processes on this host that the resources of spans name (`host.name`, `process.pid`), "
        "as the history tells them, or where there is none, such as in `modelwatch containers`, `instances_url`.",
    )
    instances_url: str = Field(
        "",
        description="Address of ModelWatch's pages and API, such as `http://dashboard:8050`, to ask whose processes "
        "run on this host. Unset: without a history only processes that are configured are watched.",
    )
    instances_token: SecretStr = Field(
        SecretStr(""), description="API token for it, sent as `Authorization: Bearer TOKEN`; it need only read."
    )
    process_pids: Pids = Field((), description="Processes to watch, with their children, separated by commas.")
    process_commands: Patterns = Field(
        (),
        description="Regular expressions, separated by commas; a process whose command line has a match is watched, "
        "with its children, such as `gunicorn .*fraud`.",
    )
    max_processes: int = Field(200, ge=1, le=10_000, description="Most processes that are watched.")
    measure_uss: bool = Field(
        False,
        description="Measure the memory that a process shares with nobody. The system walks its page tables for it, "
        "and holds up its allocations meanwhile: with tens of gigabytes for tenths of a second.",
    )
    own_cgroup: bool = Field(
        True,
        description="Read this process's own cgroup when it runs in a container and no engine can be asked.",
    )
    endpoint: str = Field(
        "",
        description="OTLP/HTTP address to send to, such as `http://127.0.0.1:4318`; `/v1/metrics` is added unless the "
        "path ends with it. Unset: in a process with a receiver what that hands its data to, else the receiver on this "
        "host.",
    )
    headers: Annotated[SecretStr, AfterValidator(_require_headers)] = Field(
        SecretStr(""),
        description="Headers sent with them: `name=value,name=value`. Unset: the first of the ingest keys, unless an "
        "endpoint is set.",
    )
    ca_file: Path | None = Field(
        None, description="Authorities (PEM) that signed the certificates of the endpoint and of `instances_url`."
    )
    client_cert_file: Path | None = Field(None, description="Client certificate (PEM) for both.")
    client_key_file: Path | None = Field(None, description="Private key of that certificate (PEM, not encrypted).")
    send_timeout_s: float = Field(10.0, gt=0, le=300, description="Time that the endpoint has for one request.")
    max_buffer_bytes: int = Field(
        16 * MIB,
        ge=64 * 1024,
        description="Most bytes that wait while the endpoint takes none; beyond it the oldest are dropped and counted.",
    )

    @model_validator(mode="after")
    def _has_pairs(self) -> Self:
        if (self.engine_cert_file is None) != (self.engine_key_file is None):
            raise ValueError("engine_cert_file and engine_key_file belong together: set both, or neither")
        if (self.client_cert_file is None) != (self.client_key_file is None):
            raise ValueError("client_cert_file and client_key_file belong together: set both, or neither")
        if self.endpoint and not re.match(r"https?://[^/]+", self.endpoint):
            raise ValueError("endpoint is the address of OTLP over HTTP, such as http://127.0.0.1:4318")
        if self.instances_url and not re.match(r"https?://[^/]+", self.instances_url):
            raise ValueError("instances_url is the address of ModelWatch's pages, such as http://dashboard:8050")
        return self
