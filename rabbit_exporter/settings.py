"""Settings of publishing to RabbitMQ, and of the spill that takes over while RabbitMQ cannot."""

from __future__ import annotations

from pydantic import BaseModel, Field

MEBIBYTE = 1024**2


class RabbitExporterSettings(BaseModel, frozen=True, extra="forbid"):
    """How much may be on its way to RabbitMQ, how long a sender is kept waiting, how much waits on disk meanwhile."""

    publish_timeout_s: float = Field(
        5.0,
        gt=0,
        le=5,
        description="How long to wait for RabbitMQ to confirm a message before the sender is told to try again, in "
        "seconds, where there is no spill to take it. OpenTelemetry's SDKs give up after about 10 s in all.",
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
    spill_max_bytes: int = Field(
        1024 * MEBIBYTE,
        ge=0,
        description="Size in bytes of the spill: the files below `spill/` in the data folder that keep what RabbitMQ "
        "cannot take now. For each process; over it senders are told to try again. 0: no spill.",
    )
    spill_after_s: float = Field(
        1.0,
        gt=0,
        le=5,
        description="How long to wait for RabbitMQ to confirm a message before it is spilled instead, in seconds. "
        "What follows is then spilled at once, until RabbitMQ confirms as quickly again.",
    )
    spill_segment_bytes: int = Field(
        16 * MEBIBYTE,
        ge=4096,
        description="Size in bytes at which the spill begins a new file; disk space is given back file by file.",
    )
    spill_quarantine_max_bytes: int = Field(
        64 * MEBIBYTE,
        ge=0,
        description="Size in bytes of what is kept aside for inspection because it cannot be read from the spill, or "
        "because RabbitMQ refuses it for good; beyond it is only counted and logged.",
    )
    spill_adopt_interval_s: float = Field(
        30.0, gt=0, le=3600, description="How often to look for what dead processes left in the spill, in seconds."
    )
    drain_window_messages: int = Field(
        64, ge=1, le=65_535, description="How many spilled messages may wait for a confirm while the spill is drained."
    )
