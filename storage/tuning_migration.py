"""The step of the schema that makes the table of what was set while ModelWatch ran; `migrations.py` applies it.

Never changes once released, like every step.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

TUNING_STEP: Final[Sequence[str]] = (
    """CREATE TABLE setting_changes (
        change_id BIGINT NOT NULL PRIMARY KEY,
        name TEXT NOT NULL,
        value TEXT,
        before TEXT NOT NULL,
        changed_by TEXT NOT NULL,
        changed_ms BIGINT NOT NULL
    ) {written_once}""",
    "CREATE INDEX setting_changes_by_name ON setting_changes (name, change_id)",
)
