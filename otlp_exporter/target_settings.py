"""One backend that data is forwarded to: where it is, who may be believed to be it, and what goes there.

A list of these is part of the settings of `otlp_exporter/`; given as YAML or JSON.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal, Self
from urllib.parse import urlsplit

import yaml
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from otlp_exporter.derived.settings import DerivedSettings
from telemetry import Signal, StartError
from telemetry.forwarding_trail import FORWARDED_BY_HEADER

MEBIBYTE: Final = 1024**2
GRPC_PORT: Final = 4317
_HEADER_NAME: Final = re.compile(r"[a-z0-9!#$&'*+.^_`|~-]{1,100}")
_HEADER_VALUE: Final = re.compile(r"[\x20-\x7e]{1,8192}")
_OURS: Final = ("content-", "grpc-", "te", "host", "user-agent", FORWARDED_BY_HEADER)
_HOST: Final = re.compile(r"[\w.-]{1,253}|[0-9a-f:.]+(%[\w.-]+)?")
_MAX_HEADERS_FILE_BYTES: Final = 65_536


class TargetSettings(BaseModel):
    """One target. Nothing here is repeated in a log or an error but its name, and its endpoint, which has no secret."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$", description="What queues, figures and logs call it.")
    endpoint: str = Field(
        description="`https://host:4317`; `http://…` sends in the clear. Over HTTP, `/v1/traces` and so on is added."
    )
    protocol: Literal["grpc", "http"] = Field("grpc", description="OTLP/gRPC, or OTLP/HTTP with protobuf.")
    headers: Mapping[str, SecretStr] = Field({}, max_length=32, description="Sent with each request.")
    headers_file: Path | None = Field(None, description="A file of further ones, `name: value` a line.")
    ca_file: Path | None = Field(None, description="Authorities (PEM) to trust instead of the system's.")
    client_cert_file: Path | None = Field(None, description="Client certificate (PEM).")
    client_key_file: Path | None = Field(None, description="Its private key (PEM, not encrypted).")
    compression: Literal["gzip", "none"] = Field("gzip", description="How bodies are sent.")
    signals: tuple[Signal, ...] = Field(tuple(Signal), description="What is forwarded; none where `derived` is all.")
    derived: DerivedSettings | None = Field(None, description="Which metrics that ModelWatch derives go there too.")
    services: tuple[str, ...] = Field(("*",), min_length=1, max_length=200, description="Service names; with `*`.")
    excluded_services: tuple[str, ...] = Field((), max_length=200, description="Those left out of them; with `*`.")
    timeout_s: float = Field(10.0, gt=0, le=120, description="Seconds that one request may take.")
    max_concurrent: int = Field(4, ge=1, le=64, description="Requests at once; 1 keeps the order.")
    queue_max_bytes: int = Field(
        1024 * MEBIBYTE, ge=MEBIBYTE, description="Bytes that may wait; beyond it the oldest are dropped and counted."
    )
    queue_max_age_s: int = Field(
        86_400, ge=60, le=2_000_000, description="Seconds after which what still waits is dropped and counted."
    )

    @field_validator("endpoint")
    @classmethod
    def _is_address(cls, endpoint: str) -> str:
        # What it is split with leaves line ends out, and takes spaces for a part of a name.
        is_text = endpoint.isprintable() and " " not in endpoint
        parts = urlsplit(endpoint)
        if not is_text or parts.scheme not in ("http", "https") or not _HOST.fullmatch(parts.hostname or ""):
            raise ValueError("endpoint must be of the form https://host:port, or http://host:port for one in the clear")
        if "@" in parts.netloc or parts.query or parts.fragment:
            raise ValueError("endpoint must hold no user, password or query: put secrets into headers or headers_file")
        try:
            is_port = parts.port != 0
        except ValueError:
            is_port = False
        if not is_port:
            raise ValueError("endpoint has a port that is none")
        return endpoint

    @field_validator("headers")
    @classmethod
    def _are_headers(cls, headers: Mapping[str, SecretStr]) -> Mapping[str, SecretStr]:
        return {_checked(name, value.get_secret_value()): value for name, value in headers.items()}

    @model_validator(mode="after")
    def _check(self) -> Self:
        parts = urlsplit(self.endpoint)
        if not self.signals and self.derived is None:
            raise ValueError(f"target {self.name!r}: signals is empty: name some, or set derived")
        if self.protocol == "grpc" and parts.path not in ("", "/"):
            raise ValueError(f"target {self.name!r}: endpoint has a path, which OTLP/gRPC has no use for")
        if (self.client_cert_file is None) != (self.client_key_file is None):
            raise ValueError(f"target {self.name!r}: client_cert_file and client_key_file belong together")
        if parts.scheme == "http" and (self.ca_file or self.client_cert_file):
            raise ValueError(f"target {self.name!r}: certificates are for an endpoint that begins with https://")
        return self

    def gets(self, signal: Signal) -> bool:
        """Tell whether requests of a signal go there, be they forwarded or derived."""
        return signal in self.signals or (self.derived is not None and signal is Signal.METRICS)

    @property
    def is_secure(self) -> bool:
        """Whether the connection is encrypted and the target has to prove who it is."""
        return self.endpoint.startswith("https:")

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        parts = urlsplit(self.endpoint)
        default = GRPC_PORT if self.protocol == "grpc" else 443 if self.is_secure else 80
        return parts.hostname or "", parts.port or default

    def all_headers(self) -> dict[str, str]:
        """Return the headers with those of the file, as it is now. Raises `StartError`."""
        headers = {name: value.get_secret_value() for name, value in self.headers.items()}
        return headers if self.headers_file is None else {**headers, **self._headers_of(self.headers_file)}

    def _headers_of(self, path: Path) -> dict[str, str]:
        try:
            with path.open("rb") as file:
                text = file.read(_MAX_HEADERS_FILE_BYTES).decode()
            pairs = [line.partition(":") for line in text.splitlines() if line.strip()]
            return {_checked(name.strip(), value.strip()): value.strip() for name, _, value in pairs}
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "it must have `name: value` on each line"
            raise StartError(f"target {self.name!r}: headers_file cannot be used ({reason})") from None


def targets_from_text(value: Any) -> Any:
    """Return the list that YAML, or JSON, holds. Raises `ValueError` that repeats nothing of it."""
    if not isinstance(value, str):
        return value
    try:
        targets = yaml.safe_load(value)
    except yaml.YAMLError:
        raise ValueError("is not a list of targets as YAML, such as [{name: jaeger, endpoint: 'http://…'}]") from None
    return () if targets is None else targets


def check_names(targets: tuple[TargetSettings, ...]) -> tuple[TargetSettings, ...]:
    """Refuse two targets of one name. Raises `ValueError`."""
    names = [target.name for target in targets]
    if len(set(names)) < len(names):
        raise ValueError("has two targets of the same name")
    return targets


def _checked(name: str, value: str) -> str:
    lower = name.lower()
    if not _HEADER_NAME.fullmatch(lower) or lower.startswith(_OURS) or not _HEADER_VALUE.fullmatch(value):
        raise ValueError("has a header whose name is reserved or no name, or whose value is not printable ASCII")
    return lower
