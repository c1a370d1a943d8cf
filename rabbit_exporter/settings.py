"""Settings of publishing to RabbitMQ."""

from __future__ import annotations

from pydantic import BaseModel, Field

MEBIBYTE = 1024**2


class RabbitExporterSettings(BaseModel, frozen=True, extra="forbid"):
    """How much may be on its way to RabbitMQ, and for how long a sender is kept waiting."""

    publish_timeout_s: float = Field(
        5.0,
        gt=0,
        le=5,
        description="How long to wait for RabbitMQ to confirm a message before the sender is told to try again, in "
        "seconds. OpenTelemetry's SDKs give up after about 10 s in all.",
    )
    max_unconfirmed_messages: int = Field(
        512, ge=1, le=65_535, description="How many messages may wait for a confirm before further ones are refused."
    )
    max_unconfirmed_bytes: int = Field(
        64 * MEBIBYTE, ge=MEBIBYTE, description="Size in bytes of all messages that may wait for a confirm."
    )
    max_message_bytes: int = Field(
        16 * MEBIBYTE,
        ge=1024,
        le=512 * MEBIBYTE,
        description="Size in bytes of the largest message; RabbitMQ closes the channel over its own limit, which is "
        "128 MiB in version 3 and 16 MiB in version 4 (max_message_size).",
    )
    stop_grace_s: float = Field(
        5.0, ge=0, le=60, description="How long a stop waits for messages that are not yet confirmed, in seconds."
    )
