"""The table of what was set while ModelWatch ran.

Beside `storage/schema.py`; `setting_changes.py` speaks of it. Values are JSON.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, Table, Text

from storage.schema import METADATA

setting_changes: Final = Table(
    "setting_changes",
    METADATA,
    Column("change_id", BigInteger, primary_key=True),
    Column("name", Text, nullable=False),
    Column("value", Text),
    Column("before", Text, nullable=False),
    Column("changed_by", Text, nullable=False),
    Column("changed_ms", BigInteger, nullable=False),
)
