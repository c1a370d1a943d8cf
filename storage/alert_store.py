"""The four parts of the store that alerts are kept in, together.

Made by `storage/component.py` from a history, whose database they share; the history opens and closes it.
"""

from __future__ import annotations

from dataclasses import dataclass

from storage import alert_schema  # noqa: F401  the tables that the statements speak of
from storage.alert_channels import AlertChannels
from storage.alert_documents import AlertDocuments
from storage.alert_outbox import AlertOutbox
from storage.alert_rounds import AlertRounds
from storage.database import Database


@dataclass(frozen=True, slots=True)
class AlertStore:
    """What people say, what the evaluator keeps, and what is on its way."""

    documents: AlertDocuments
    rounds: AlertRounds
    outbox: AlertOutbox
    channels: AlertChannels

    @classmethod
    def of(cls, database: Database) -> AlertStore:
        """Return the store in a database."""
        return cls(AlertDocuments(database), AlertRounds(database), AlertOutbox(database), AlertChannels(database))
