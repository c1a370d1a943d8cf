"""What can be set about the store: how long and how finely it keeps, how long it waits, how much it holds.

Joined into the settings tree by `modelwatch/`; the addresses of the database and of Redis are set there.
"""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, Field, model_validator

DAY_S = 86_400
_LONGEST_S = 36_525 * DAY_S


class StorageSettings(BaseModel, frozen=True, extra="forbid"):
    """History (SQLite or PostgreSQL) and live feed (in-process or Redis)."""

    resolution_s: int = Field(
        10, ge=1, le=60, description="Width in seconds of the finest buckets that the history keeps; a divisor of 60."
    )
    points_retention_s: int = Field(
        2 * DAY_S,
        ge=60,
        le=_LONGEST_S,
        description="Age in seconds at which the finest buckets are deleted; the next tier has them by then.",
    )
    medium_resolution_s: int = Field(
        60,
        ge=1,
        description="Width in seconds of the buckets of the second tier; a multiple of the finest. "
        "Fixed once the database is made, like that of the third.",
    )
    medium_retention_s: int = Field(
        35 * DAY_S,
        ge=60,
        le=_LONGEST_S,
        description="Age in seconds at which the buckets of the second tier are deleted, "
        "but never before those of the finest.",
    )
    coarse_resolution_s: int = Field(
        3_600, ge=2, description="Width in seconds of the buckets of the third tier; a multiple of the second."
    )
    coarse_retention_s: int = Field(
        730 * DAY_S,
        ge=60,
        le=_LONGEST_S,
        description="Age in seconds at which the buckets of the third tier are deleted for good; "
        "never before those of the second.",
    )
    batch_ids_retention_s: int = Field(
        2 * DAY_S,
        ge=60,
        description="How long in seconds a batch is recognised when it comes again. Longer than any redelivery.",
    )
    instances_retention_s: int = Field(
        35 * DAY_S,
        ge=3_600,
        description="How long in seconds an instance of a service is remembered after it was last heard of.",
    )
    max_instances_per_service: int = Field(
        1_000, ge=1, description="Most instances of one service that are remembered, the latest."
    )
    max_instances: int = Field(
        20_000, ge=1, description="Most instances of all services that are remembered, the latest."
    )
    traces_retention_s: int = Field(
        3 * DAY_S,
        ge=60,
        le=_LONGEST_S,
        description="Age in seconds at which kept spans, of which traces are made, are deleted.",
    )
    max_traces_bytes: int = Field(
        2 * 2**30,
        ge=2**20,
        le=2**60,
        description="Bytes that kept spans may take up in the database, about; beyond it the oldest are deleted before "
        "their age.",
    )
    max_found_spans: int = Field(
        50_000,
        ge=1_000,
        description="Most kept spans that one search looks at; the answer tells how to go on from there.",
    )
    rollup_interval_s: float = Field(
        5.0, gt=0, description="Seconds between two looks for buckets to roll up into the next tier."
    )
    rollup_grace_s: float = Field(
        30.0,
        ge=0,
        description="Seconds after its end at which a bucket is rolled up, and for which a bucket that late data "
        "reached waits for more of it.",
    )
    retention_interval_s: float = Field(
        60.0, gt=0, description="Seconds between two rounds of deleting what is old and of looking at the disk."
    )
    max_clock_skew_s: float = Field(
        300.0,
        gt=0,
        description="Difference in seconds between this machine's clock and PostgreSQL's beyond which a processor is "
        "not ready and deletes nothing for its age.",
    )
    max_clock_jump_s: int = Field(
        30 * DAY_S,
        ge=DAY_S,
        description="On SQLite, which has no second clock: how far in seconds the clock may be ahead of when old data "
        "was last looked for. Further ahead it is doubted, and nothing is deleted, until it is so for a day.",
    )
    retention_chunk_rows: int = Field(2_000, ge=1, description="Rows deleted in one transaction; writers go between.")
    warn_free_bytes: int = Field(
        2 * 2**30,
        ge=0,
        description="Free bytes on the disk of the SQLite file below which a warning is logged; pages that the file "
        "has free count as free.",
    )
    min_free_bytes: int = Field(
        512 * 2**20,
        ge=0,
        description="Free bytes on the disk of the SQLite file below which the oldest figures are deleted, the finest "
        "first; 0 deletes nothing before its age.",
    )
    max_database_bytes: int | None = Field(
        None,
        ge=1,
        description="Bytes of the PostgreSQL database beyond which the oldest figures are deleted, the finest first; "
        "from nine tenths of it on a warning is logged. Unset: no limit, as the server's disk cannot be seen.",
    )

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
        le=86_400,
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
        if self.medium_resolution_s % self.resolution_s:
            raise ValueError("medium_resolution_s must be a multiple of resolution_s")
        if self.coarse_resolution_s % self.medium_resolution_s or self.coarse_resolution_s == self.medium_resolution_s:
            raise ValueError("coarse_resolution_s must be a multiple of medium_resolution_s, and larger")
        if self.warn_free_bytes < self.min_free_bytes:
            raise ValueError("warn_free_bytes must not be below min_free_bytes")
        if self.answer_timeout_s < self.lock_timeout_s:
            raise ValueError("answer_timeout_s must not be shorter than lock_timeout_s")
        return self
