"""The steps of the schema that make the tables of alerts; `migrations.py` applies them in their turn.

They never change once released, like every step.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

ALERT_STEP: Final[Sequence[str]] = (
    """CREATE TABLE alert_rules (
        rule_id TEXT NOT NULL PRIMARY KEY,
        revision BIGINT NOT NULL,
        changed_ms BIGINT NOT NULL,
        document TEXT NOT NULL
    )""",
    """CREATE TABLE alert_silences (
        silence_id TEXT NOT NULL PRIMARY KEY,
        ends_ms BIGINT NOT NULL,
        document TEXT NOT NULL
    )""",
    """CREATE TABLE alert_acks (
        alert_id TEXT NOT NULL PRIMARY KEY,
        at_ms BIGINT NOT NULL,
        document TEXT NOT NULL
    )""",
    """CREATE TABLE alert_states (
        alert_id TEXT NOT NULL PRIMARY KEY,
        rule_id TEXT NOT NULL,
        phase TEXT NOT NULL,
        document TEXT NOT NULL
    ) {rewritten_often}""",
    "CREATE INDEX alert_states_by_phase ON alert_states (phase)",
    """CREATE TABLE alert_history (
        at_ms BIGINT NOT NULL,
        alert_id TEXT NOT NULL,
        sequence BIGINT NOT NULL,
        rule_id TEXT NOT NULL,
        document TEXT NOT NULL,
        PRIMARY KEY (at_ms, alert_id, sequence)
    ) {written_once}""",
    "CREATE INDEX alert_history_by_alert ON alert_history (alert_id, at_ms)",
    "CREATE INDEX alert_history_by_rule ON alert_history (rule_id, at_ms)",
    """CREATE TABLE alert_outbox (
        notification_id TEXT NOT NULL,
        channel TEXT NOT NULL,
        created_ms BIGINT NOT NULL,
        due_ms BIGINT NOT NULL,
        attempts BIGINT NOT NULL,
        status TEXT NOT NULL,
        detail TEXT NOT NULL,
        finished_ms BIGINT NOT NULL,
        document TEXT NOT NULL,
        PRIMARY KEY (notification_id, channel)
    )""",
    "CREATE INDEX alert_outbox_by_time ON alert_outbox (status, due_ms)",
    "CREATE INDEX alert_outbox_by_creation ON alert_outbox (created_ms)",
    """CREATE TABLE alert_leases (
        name TEXT NOT NULL PRIMARY KEY,
        holder TEXT NOT NULL,
        fence BIGINT NOT NULL,
        beat BIGINT NOT NULL,
        document TEXT NOT NULL
    )""",
    "INSERT INTO alert_leases (name, holder, fence, beat, document) VALUES ('evaluator', '', 0, 0, '')",
    """CREATE TABLE ingest_progress (
        writer BIGINT NOT NULL PRIMARY KEY,
        beat BIGINT NOT NULL,
        noted_ms BIGINT NOT NULL,
        lag_ms BIGINT NOT NULL,
        trouble TEXT NOT NULL
    )""",
)

ALERT_CHANNELS_STEP: Final[Sequence[str]] = (
    """CREATE TABLE alert_channels (
        name TEXT NOT NULL PRIMARY KEY,
        revision BIGINT NOT NULL,
        changed_ms BIGINT NOT NULL,
        document TEXT NOT NULL
    )""",
)
