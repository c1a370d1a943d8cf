"""Settings of the connection to RabbitMQ and of the queues that are declared on it.

Shared by every room that connects: the two ends of a queue must declare it alike.
"""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, Field, model_validator

GIBIBYTE = 1024**3


class RabbitSettings(BaseModel, frozen=True, extra="forbid"):
    """How to connect to RabbitMQ, and how large its queues may grow."""

    connect_timeout_s: float = Field(
        5.0, gt=0, le=60, description="How long one attempt to connect and declare the queues may take, in seconds."
    )
    start_timeout_s: float = Field(
        30.0, gt=0, le=600, description="How long a start waits for a broker that does not answer yet, in seconds."
    )
    stop_timeout_s: float = Field(
        2.0, gt=0, le=60, description="How long closing waits for the broker's answer before it hangs up, in seconds."
    )
    heartbeat_s: int = Field(
        10,
        ge=5,
        le=600,
        description="Interval of heartbeats in seconds; a silent broker is given up after once to twice this and 5 s "
        "more.",
    )
    reconnect_min_s: float = Field(
        0.2, gt=0, le=60, description="The first pause before connecting again after a loss, in seconds."
    )
    reconnect_max_s: float = Field(
        10.0, gt=0, le=600, description="The longest pause between attempts to connect again, in seconds."
    )
    new_queue_pause_s: float = Field(
        1.0,
        ge=0,
        le=30,
        description="How long a queue that was just made is left alone before anything is sent to it, in seconds. "
        "RabbitMQ writes its register of quorum queues up to a second late: killed before, it loses the queue and all "
        "in it.",
    )
    queue_max_bytes: int = Field(
        4 * GIBIBYTE,
        ge=1024**2,
        description="Size in bytes over which the processor's queue refuses further messages. "
        "A queue cannot change it: drain and delete the queue first.",
    )
    dead_letter_max_bytes: int = Field(
        GIBIBYTE,
        ge=1024**2,
        description="Size in bytes over which the queue of dead letters refuses more, which then wait in the "
        "processor's queue. A queue cannot change it: drain and delete the queue first.",
    )

    @model_validator(mode="after")
    def _pauses_are_ordered(self) -> Self:
        if self.reconnect_min_s > self.reconnect_max_s:
            raise ValueError("reconnect_min_s must not be longer than reconnect_max_s")
        if self.new_queue_pause_s >= self.connect_timeout_s:
            raise ValueError("new_queue_pause_s must be shorter than connect_timeout_s, which it is a part of")
        return self
