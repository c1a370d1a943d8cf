"""Settings of consuming from RabbitMQ."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, Field, model_validator


class RabbitSourceSettings(BaseModel, frozen=True, extra="forbid"):
    """How much a worker takes in hand, and how patient it is."""

    prefetch: int = Field(
        128, ge=1, le=10_000, description="How many messages RabbitMQ hands out to one worker before it acknowledges."
    )
    max_in_hand_bytes: int = Field(
        48 * 1024**2,
        ge=1024**2,
        description="Size in bytes of the messages that one worker works on at once; others that it was handed wait. "
        "Less than MODELWATCH_PROCESSOR__MAX_WAITING_BYTES, beyond which the intake refuses.",
    )
    retry_min_s: float = Field(
        0.5, gt=0, le=60, description="The first pause before a message that could not be stored is tried again, in s."
    )
    retry_max_s: float = Field(
        15.0, gt=0, le=600, description="The longest pause between attempts to store a message, in seconds."
    )
    dead_letter_timeout_s: float = Field(
        5.0, gt=0, le=60, description="How long to wait for RabbitMQ to confirm a dead letter, in seconds."
    )
    stop_grace_s: float = Field(
        3.0,
        ge=0,
        le=60,
        description="How long a stop waits for the messages in hand to be stored, in seconds; the rest goes back.",
    )

    depth_interval_s: float = Field(
        2.0, ge=0.2, le=60, description="Seconds between two looks at how much waits in the queue and in dead letters."
    )

    lone_after_returns: int = Field(
        2,
        ge=1,
        le=1000,
        description="A message that came back to RabbitMQ unacknowledged this often, because a processor ended or lost "
        "its connection, is worked on alone from then on.",
    )
    max_lone_deaths: int = Field(
        3,
        ge=1,
        le=100,
        description="A message is set aside as a dead letter when this many processes ended while they worked on it "
        "alone, each after it had stored others.",
    )
    lone_pause_s: float = Field(
        30.0,
        ge=0,
        le=600,
        description="How long a processor that has stored nothing yet waits for another message to prove that it can, "
        "before it tries one that a process ended over, in seconds for each such end.",
    )

    @model_validator(mode="after")
    def _pauses_are_ordered(self) -> Self:
        if self.retry_min_s > self.retry_max_s:
            raise ValueError("retry_min_s must not be longer than retry_max_s")
        return self
