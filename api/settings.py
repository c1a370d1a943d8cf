"""Where pages and API listen, and how long they wait.

Part of the settings tree in `modelwatch/`; read by `api/component.py` and `api/web_server.py`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, Field, model_validator

from api.tls import MinVersion, TlsFiles


def _without_end(path: str) -> str:
    return path.rstrip("/")


class ApiSettings(BaseModel, frozen=True, extra="forbid"):
    """The web server of pages and API."""

    host: str = Field("127.0.0.1", min_length=1, description="Address that pages and API listen on.")
    port: int = Field(8050, ge=0, le=65_535, description="Port of pages and API; 0 takes any free one.")
    base_path: Annotated[str, AfterValidator(_without_end)] = Field(
        "",
        pattern=r"^(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*/?$",
        max_length=200,
        description="Path below which people see pages and API, such as `/modelwatch`, where a reverse proxy shares "
        "its host name among programs. The proxy may take it off or leave it. Empty: none.",
    )
    tls_cert_file: Path | None = Field(
        None,
        description="Certificate chain (PEM) of pages and API, which then speak TLS only. Watched: a renewed one is "
        "taken up at the next handshake.",
    )
    tls_key_file: Path | None = Field(None, description="Private key of that certificate (PEM, not encrypted).")
    tls_min_version: MinVersion = Field("1.2", description="Oldest version of TLS that is spoken: `1.2` or `1.3`.")
    allow_unauthenticated: bool = Field(
        False,
        description="Listen on an address other than loopback although there is neither user nor token. "
        "Only where something in front checks who comes in.",
    )
    check_timeout_s: float = Field(2.0, gt=0, le=60, description="Seconds that one readiness check may take.")
    shutdown_s: int = Field(
        3, ge=1, le=60, description="Seconds that open requests and connections are given when the server stops."
    )
    metrics_max_groups: int = Field(
        500,
        ge=0,
        le=10_000,
        description="The most groups (service, version, environment and route) whose durations are at `/metrics`, the "
        "smallest beyond it added up into one named otel.metric.overflow; 0 leaves them all out.",
    )
    metrics_timeout_s: float = Field(
        5.0, gt=0, le=60, description="Seconds that a part of `/metrics` may take before it is left out, which is said."
    )
    live_max_connections: int = Field(
        100, ge=0, le=10_000, description="The most WebSockets at `/api/v1/live` at once; further ones are refused."
    )
    live_max_subscriptions: int = Field(20, ge=1, le=1_000, description="The most subscriptions of one of them.")

    @model_validator(mode="after")
    def _has_all_that_tls_needs(self) -> Self:
        if (self.tls_cert_file is None) != (self.tls_key_file is None):
            raise ValueError("tls_cert_file and tls_key_file belong together: set both, or neither")
        return self

    @property
    def tls(self) -> TlsFiles | None:
        """The files of TLS; `None` where none is spoken."""
        if self.tls_cert_file is None or self.tls_key_file is None:
            return None
        return TlsFiles(self.tls_cert_file, self.tls_key_file, self.tls_min_version)

    def url(self, host: str, port: int, path: str = "/") -> str:
        """Return the address of a path of ours at this host and port."""
        scheme = "http" if self.tls_cert_file is None else "https"
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}{self.base_path}{path}"
