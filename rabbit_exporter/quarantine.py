"""Keeps aside, within a bound, what the drain had to pass over, for somebody to look at.

The drain never reads it again, and nothing here may stop the drain: what cannot be kept is logged.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import structlog

from rabbit_exporter.segment_name import Position
from rabbit_exporter.spill_slot import FOLDER_MODE
from telemetry import Batch
from telemetry.durable_files import sync_folder

_log = structlog.get_logger(__name__)

QUARANTINE_FOLDER: Final = "quarantine"


class Quarantine:
    """A folder of at most `max_bytes`; what comes first stays, as later damage tends to be more of the same."""

    def __init__(self, slot_folder: Path, max_bytes: int) -> None:
        self._folder = slot_folder / QUARANTINE_FOLDER
        self._max_bytes = max_bytes

    def keep_damaged(self, at: Position, stretch: bytes) -> None:
        """Keep bytes that are no record."""
        self._keep(f"{at.segment:012}-{at.offset}.damaged", stretch, "it cannot be read")

    def keep_refused(self, at: Position, batch: Batch, reason: str) -> None:
        """Keep the OTLP request of a batch that RabbitMQ will never take; it can be sent again by any HTTP client."""
        self._keep(f"{at.segment:012}-{at.offset}.{batch.signal}.pb", batch.body, reason)

    def _keep(self, name: str, content: bytes, reason: str) -> None:
        path = self._folder / name
        try:
            self._folder.mkdir(mode=FOLDER_MODE, exist_ok=True)
            used = sum(other.stat().st_size for other in self._folder.iterdir() if other.name != name)
            is_kept = used + len(content) <= self._max_bytes
            if is_kept:
                with path.open("wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                sync_folder(self._folder)
        except OSError as error:
            _log.error("cannot keep a part of the spill aside", file=str(path), error=str(error), reason=reason)
            return
        _log.error(
            "passed over a part of the spill", file=str(path), bytes=len(content), is_kept=is_kept, reason=reason
        )
