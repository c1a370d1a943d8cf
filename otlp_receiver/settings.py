"""The settings of the OTLP receiver.

`modelwatch/` fills them from `modelwatch.yaml` and `MODELWATCH_RECEIVER__…`; the ingest keys are passed beside them.
"""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, Field, model_validator

MIB = 1024 * 1024


class ReceiverSettings(BaseModel, frozen=True, extra="forbid"):
    """Where the receiver listens, and how much it takes at once."""

    host: str = Field(
        "127.0.0.1",
        min_length=1,
        description="Address to listen on. Anything but loopback needs ingest keys.",
    )
    grpc_port: int = Field(4317, ge=0, le=65535, description="Port of OTLP/gRPC; 0 takes any free one.")
    http_port: int = Field(4318, ge=0, le=65535, description="Port of OTLP/HTTP; 0 takes any free one.")
    max_request_bytes: int = Field(
        64 * MIB,
        ge=1,
        le=2**31 - 1,
        description="Largest request, both as sent and after decompression; larger ones are rejected for good.",
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
