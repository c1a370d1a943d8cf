"""The tables of alerts: rules, channels, silences, acknowledgements, states, history, outbox, and who evaluates.

Beside `storage/schema.py`; `alert_documents.py`, `alert_channels.py`, `alert_rounds.py` and `alert_outbox.py` speak of
them. What a document holds is known to `alerting/` alone: JSON text, opaque to the store. Times are Unix
milliseconds.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, Table, Text

from storage.schema import METADATA

alert_rules: Final = Table(
    "alert_rules",
    METADATA,
    Column("rule_id", Text, primary_key=True),
    Column("revision", BigInteger, nullable=False),
    Column("changed_ms", BigInteger, nullable=False),
    Column("document", Text, nullable=False),
)

alert_channels: Final = Table(
    "alert_channels",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("revision", BigInteger, nullable=False),
    Column("changed_ms", BigInteger, nullable=False),
    Column("document", Text, nullable=False),
)
"""Channels that were made while ModelWatch runs, with their secrets."""

alert_silences: Final = Table(
    "alert_silences",
    METADATA,
    Column("silence_id", Text, primary_key=True),
    Column("ends_ms", BigInteger, nullable=False),
    Column("document", Text, nullable=False),
)

alert_acks: Final = Table(
    "alert_acks",
    METADATA,
    Column("alert_id", Text, primary_key=True),
    Column("at_ms", BigInteger, nullable=False),
    Column("document", Text, nullable=False),
)

alert_states: Final = Table(
    "alert_states",
    METADATA,
    Column("alert_id", Text, primary_key=True),
    Column("rule_id", Text, nullable=False),
    Column("phase", Text, nullable=False),
    Column("document", Text, nullable=False),
)

alert_history: Final = Table(
    "alert_history",
    METADATA,
    Column("at_ms", BigInteger, primary_key=True, autoincrement=False),
    Column("alert_id", Text, primary_key=True),
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("rule_id", Text, nullable=False),
    Column("document", Text, nullable=False),
)

alert_outbox: Final = Table(
    "alert_outbox",
    METADATA,
    Column("notification_id", Text, primary_key=True),
    Column("channel", Text, primary_key=True),
    Column("created_ms", BigInteger, nullable=False),
    Column("due_ms", BigInteger, nullable=False),
    Column("attempts", BigInteger, nullable=False),
    Column("status", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("finished_ms", BigInteger, nullable=False),
    Column("document", Text, nullable=False),
)
"""One row for each notification and channel that it goes to; kept after delivery, so that it can be looked up."""

alert_leases: Final = Table(
    "alert_leases",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("holder", Text, nullable=False),
    Column("fence", BigInteger, nullable=False),
    Column("beat", BigInteger, nullable=False),
    Column("document", Text, nullable=False),
)
"""Who evaluates. `fence` grows with every holder, `beat` with everything that the holder does."""

ingest_progress: Final = Table(
    "ingest_progress",
    METADATA,
    Column("writer", BigInteger, primary_key=True, autoincrement=False),
    Column("beat", BigInteger, nullable=False),
    Column("noted_ms", BigInteger, nullable=False),
    Column("lag_ms", BigInteger, nullable=False),
    Column("trouble", Text, nullable=False),
)
"""How far behind each processor is. Their `beat` tells the living from the dead, whatever their clocks say."""
