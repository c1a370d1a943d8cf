"""The step of the schema that makes the tables of who may come in; `migrations.py` applies it in its turn.

Never changes once released, like every step.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

ACCESS_STEP: Final[Sequence[str]] = (
    """CREATE TABLE access_users (
        name TEXT NOT NULL PRIMARY KEY,
        role TEXT NOT NULL,
        password TEXT NOT NULL,
        created_s BIGINT NOT NULL
    )""",
    """CREATE TABLE access_sessions (
        digest TEXT NOT NULL PRIMARY KEY,
        user_name TEXT NOT NULL,
        created_s BIGINT NOT NULL,
        seen_s BIGINT NOT NULL
    )""",
    "CREATE INDEX access_sessions_by_user ON access_sessions (user_name, created_s)",
    """CREATE TABLE access_tokens (
        name TEXT NOT NULL PRIMARY KEY,
        digest TEXT NOT NULL,
        role TEXT NOT NULL,
        created_s BIGINT NOT NULL,
        ends_s BIGINT NOT NULL,
        seen_s BIGINT NOT NULL
    )""",
    "CREATE UNIQUE INDEX access_tokens_by_digest ON access_tokens (digest)",
)
