"""The table of how far the derived metrics of each target are; `export_ledger.py` speaks of it.

What `state` holds is known to `otlp_exporter/` alone. `pending` is a request that may not have reached the queue of its
target yet.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, LargeBinary, Table, Text

from storage.schema import METADATA

export_ledgers: Final = Table(
    "export_ledgers",
    METADATA,
    Column("target", Text, primary_key=True),
    Column("holder", Text, nullable=False),
    Column("fence", BigInteger, nullable=False),
    Column("beat", BigInteger, nullable=False),
    Column("state", LargeBinary, nullable=False),
    Column("pending", LargeBinary, nullable=False),
)
