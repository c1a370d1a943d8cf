"""The step of the schema that makes the table of derived metrics on their way out; `migrations.py` applies it.

Never changes once released, like every step.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

EXPORT_STEP: Final[Sequence[str]] = (
    """CREATE TABLE export_ledgers (
        target TEXT NOT NULL PRIMARY KEY,
        holder TEXT NOT NULL,
        fence BIGINT NOT NULL,
        beat BIGINT NOT NULL,
        state {bytes} NOT NULL,
        pending {bytes} NOT NULL
    ) {rewritten_often}""",
)
