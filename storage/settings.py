"""What can be set about the store: how long and how finely it keeps, how long it waits, how much it holds.

Joined into the settings tree by `modelwatch/`; the addresses of the database and of Redis are set there.
"""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, Field, model_validator

DAY_S = 86_400


class StorageSettings(BaseModel, frozen=True, extra="forbid"):
    """History (SQLite or PostgreSQL) and live feed (in-process or Redis)."""

    resolution_s: int = Field(
        10, ge=1, le=60, description="Width in seconds of the buckets that the history keeps; a divisor of 60."
    )
    points_retention_s: int = Field(7 * DAY_S, ge=60, description="Age in seconds at which points are deleted.")
    batch_ids_retention_s: int = Field(
        2 * DAY_S,
        ge=60,
        description="How long in seconds a batch is recognised when it comes again. Longer than any redelivery.",
    )
    retention_interval_s: float = Field(60.0, gt=0, description="Seconds between two rounds of deleting what is old.")
    retention_chunk_rows: int = Field(2_000, ge=1, description="Rows deleted in one transaction; writers go between.")

    max_read_points: int = Field(
        500_000, ge=1, description="Most points that one question may read; a question that needs more is refused."
    )
    max_field_chars: int = Field(
        1_024, ge=16, description="Characters kept of each field of a series (service name, route and so on)."
    )
    max_cached_series: int = Field(
        50_000, ge=1, description="Series whose identity a process remembers; more are looked up again."
    )

    write_threads: int = Field(2, ge=1, description="Commits at once on PostgreSQL. SQLite always has one writer.")
    read_threads: int = Field(4, ge=1, description="Reads at once; each has a thread and a connection.")
    start_timeout_s: float = Field(30.0, ge=0, description="Seconds to wait at start for PostgreSQL to answer.")
    connect_timeout_s: int = Field(3, ge=1, description="Seconds to wait for a connection to PostgreSQL.")
    statement_timeout_s: float = Field(10.0, gt=0, description="Seconds after which PostgreSQL gives up a statement.")
    lock_timeout_s: float = Field(5.0, gt=0, description="Seconds to wait for another writer, on either database.")
    answer_timeout_s: float = Field(
        15.0, gt=0, description="Seconds after which a silent database counts as unavailable, whatever it is doing."
    )
    stop_timeout_s: float = Field(2.0, gt=0, description="Seconds that running commits and reads are given at stop.")
    sqlite_synchronous: Literal["FULL", "NORMAL"] = Field(
        "FULL",
        description="FULL: a commit survives power loss. NORMAL: it survives a crash of the process only.",
    )

    live_window_s: int = Field(
        960,
        ge=10,
        description="Seconds of points at 1 s resolution that are held in memory. A minute more than the page's 15, "
        "because its range ends where figures have settled and begins on a whole step.",
    )
    live_max_points: int = Field(
        400_000, ge=1_000, description="Most points held in memory; beyond it the window becomes shorter."
    )
    redis_stream: str = Field("modelwatch:live", min_length=1, description="Name of the Redis stream of the live feed.")
    redis_max_entries: int = Field(
        50_000, ge=100, description="About how many commits the Redis stream keeps; beyond it the oldest go first."
    )
    redis_publish_timeout_s: float = Field(
        0.2, gt=0, description="The longest in seconds that a slow Redis holds up a commit."
    )
    redis_read_timeout_s: float = Field(
        1.0, gt=0, description="Seconds without any answer after which Redis counts as lost."
    )
    redis_retry_s: float = Field(0.25, gt=0, description="First pause in seconds before Redis is tried again; doubles.")
    redis_retry_max_s: float = Field(5.0, gt=0, description="Longest pause in seconds before Redis is tried again.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if 60 % self.resolution_s:
            raise ValueError(f"resolution_s must divide 60, and {self.resolution_s} does not")
        if self.answer_timeout_s < self.lock_timeout_s:
            raise ValueError("answer_timeout_s must not be shorter than lock_timeout_s")
        return self
