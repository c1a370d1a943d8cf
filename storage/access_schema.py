"""The tables of who may come in: users, their sessions, and the tokens of programs.

Beside `storage/schema.py`; `access_store.py` speaks of them. No password and no secret is in them, only what was made
of those. Times are Unix seconds.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, Table, Text

from storage.schema import METADATA

access_users: Final = Table(
    "access_users",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("role", Text, nullable=False),
    Column("password", Text, nullable=False),
    Column("created_s", BigInteger, nullable=False),
)

access_sessions: Final = Table(
    "access_sessions",
    METADATA,
    Column("digest", Text, primary_key=True),
    Column("user_name", Text, nullable=False),
    Column("created_s", BigInteger, nullable=False),
    Column("seen_s", BigInteger, nullable=False),
)
"""`digest` is the SHA-256 of the session's secret, which the browser alone has."""

access_tokens: Final = Table(
    "access_tokens",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("digest", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("created_s", BigInteger, nullable=False),
    Column("ends_s", BigInteger, nullable=False),
    Column("seen_s", BigInteger, nullable=False),
)
"""`ends_s` and `seen_s` are 0 for never."""
