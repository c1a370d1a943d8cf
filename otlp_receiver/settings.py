"""The settings of the OTLP receiver.

`modelwatch/` fills them from `modelwatch.yaml` and `MODELWATCH_RECEIVER__…`; the ingest keys are passed beside them.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, model_validator

MIB = 1024 * 1024


def _split_commas(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return tuple(part.strip() for part in value.split(",") if part.strip())


def _require_origin(origin: str) -> str:
    origin = origin.lower()
    if origin != "*" and not re.fullmatch(r"[a-z][a-z0-9+.-]*://(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:[0-9]+)?", origin):
        raise ValueError("an origin is scheme, host and port alone, such as https://shop.example:8443, or * for all")
    return origin


def _require_header_name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9!#$%&'+.^_`|~-]+", name):
        raise ValueError("holds what is no name of a header")
    return name.lower()


Origins = Annotated[tuple[Annotated[str, AfterValidator(_require_origin)], ...], BeforeValidator(_split_commas)]
HeaderNames = Annotated[
    tuple[Annotated[str, AfterValidator(_require_header_name)], ...], BeforeValidator(_split_commas)
]


class ReceiverSettings(BaseModel, frozen=True, extra="forbid"):
    """Where the receiver listens, to whom, and how much it takes at once."""

    host: str = Field(
        "127.0.0.1",
        min_length=1,
        description="Address to listen on. Anything but loopback needs ingest keys or client certificates.",
    )
    grpc_port: int = Field(4317, ge=0, le=65535, description="Port of OTLP/gRPC; 0 takes any free one.")
    http_port: int = Field(4318, ge=0, le=65535, description="Port of OTLP/HTTP; 0 takes any free one.")
    workers: int = Field(
        1,
        ge=1,
        le=256,
        description="Processes of `modelwatch receiver` that share both ports, each with limits, a connection to "
        "RabbitMQ and a spill of its own.",
    )
    allow_unauthenticated: bool = Field(
        False,
        description="Listen on an address other than loopback although anybody who reaches it may send.",
    )
    tls_cert_file: Path | None = Field(
        None,
        description="Certificate chain (PEM) of both ports, which then speak TLS only. Watched: a renewed one is "
        "taken up within seconds.",
    )
    tls_key_file: Path | None = Field(None, description="Private key of that certificate (PEM, not encrypted).")
    tls_client_ca_file: Path | None = Field(
        None,
        description="Authorities (PEM) that sign senders' certificates. Set: nobody without such a certificate "
        "comes in.",
    )
    cors_allowed_origins: Origins = Field(
        (),
        description="Origins of the web pages that may send OTLP/HTTP, separated by commas, such as "
        "`https://shop.example`; `*` for all. Empty: none.",
    )
    cors_allowed_headers: HeaderNames = Field(
        (),
        description="Request headers that those pages may send beside `content-type`, `content-encoding`, "
        "`authorization` and `x-modelwatch-key`, separated by commas.",
    )
    max_request_bytes: int = Field(
        64 * MIB,
        ge=1,
        le=2**31 - 1,
        description="Largest request, both as sent and after decompression; larger ones are rejected for good.",
    )
    max_batch_bytes: int = Field(
        64 * MIB,
        ge=64 * 1024,
        le=2**31 - 1,
        description="Larger requests are handed to the next stage in several parts. With RabbitMQ, "
        "`rabbit_exporter.max_message_bytes` counts if it is smaller.",
    )
    max_in_flight_requests: int = Field(
        1024,
        ge=1,
        description="Requests being read or waiting for the next stage; more are refused, to be sent again.",
    )
    max_in_flight_bytes: int = Field(
        256 * MIB,
        ge=1,
        description="Bytes of those requests, compressed and decompressed; at least twice `max_request_bytes`.",
    )
    max_connections: int = Field(
        1000,
        ge=1,
        description="Connections to each of the two ports that are open at once; more are refused, to be tried again.",
    )
    max_header_bytes: int = Field(
        65_536,
        ge=1024,
        description="Largest head of an OTLP/HTTP request: its line and its headers, or the trailers of a chunked one.",
    )
    header_timeout_s: float = Field(
        10.0,
        gt=0,
        description="Time that a sender has for a handshake, for the head of an HTTP request, and to take an answer.",
    )
    read_timeout_s: float = Field(30.0, gt=0, description="Time that a sender has for the body of one request.")
    keep_alive_s: int = Field(75, ge=1, description="Time that an idle OTLP/HTTP connection is kept open.")
    stop_grace_s: float = Field(5.0, ge=0, description="Time that requests in flight have to finish at a stop.")

    @model_validator(mode="after")
    def _has_room_for_the_largest_request(self) -> Self:
        if self.max_in_flight_bytes < 2 * self.max_request_bytes:
            raise ValueError(
                "max_in_flight_bytes must be at least twice max_request_bytes: "
                "a compressed request is held beside its decompressed form"
            )
        return self

    @model_validator(mode="after")
    def _has_all_that_tls_needs(self) -> Self:
        if (self.tls_cert_file is None) != (self.tls_key_file is None):
            raise ValueError("tls_cert_file and tls_key_file belong together: set both, or neither")
        if self.tls_client_ca_file and not self.tls_cert_file:
            raise ValueError("tls_client_ca_file needs tls_cert_file and tls_key_file")
        return self
