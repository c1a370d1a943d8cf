"""The step of the schema that makes the tables in which ModelWatch writes of itself; `migrations.py` applies it.

Never changes once released, like every step.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

PIPELINE_STEP: Final[Sequence[str]] = (
    """CREATE TABLE process_reports (
        process_id TEXT NOT NULL PRIMARY KEY,
        noted_ms BIGINT NOT NULL,
        document TEXT NOT NULL
    ) {rewritten_often}""",
    """CREATE TABLE pipeline_course (
        start_s BIGINT NOT NULL PRIMARY KEY,
        document TEXT NOT NULL
    ) {written_once}""",
)
