"""A slot that this process has locked, with the store of what is in it: its own, or one that a dead process left.

Opened by the spill, in its thread.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog

from rabbit_exporter.quarantine import Quarantine
from rabbit_exporter.segment_writer import SegmentWriter, Sync
from rabbit_exporter.settings import RabbitExporterSettings
from rabbit_exporter.spill_slot import Slot, adopt_slots, claim_slot, unusable
from rabbit_exporter.spill_store import SpillStore

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class OpenSlot:
    """A locked folder and what it holds."""

    slot: Slot
    store: SpillStore

    def close(self) -> None:
        """Let another process have it; what it holds stays on the disk."""
        self.store.close()
        self.slot.release()


def open_own(root: Path, settings: RabbitExporterSettings, sync: Sync) -> OpenSlot:
    """Claim a slot. Raises `StartError` when the folder or what is in it cannot be used."""
    slot = claim_slot(root)
    try:
        return _open(slot, settings, sync)
    except OSError as error:
        slot.release()
        raise unusable(root, error) from error


def open_orphans(root: Path, taken: Sequence[OpenSlot], settings: RabbitExporterSettings, sync: Sync) -> list[OpenSlot]:
    """Take over the slots that dead processes left something in. Raises `OSError` when `root` cannot be read."""
    adopted = []
    for slot in adopt_slots(root, [opened.slot for opened in taken]):
        try:
            adopted.append(_open(slot, settings, sync))
        except OSError as error:
            slot.release()
            _log.error("cannot read the spill of a dead process", folder=str(slot.folder), error=str(error))
        else:
            _log.warning("took over the spill of a dead process", folder=str(slot.folder))
    return adopted


def _open(slot: Slot, settings: RabbitExporterSettings, sync: Sync) -> OpenSlot:
    writer = SegmentWriter(slot.folder, settings.spill_segment_bytes, sync)
    store = SpillStore(slot.folder, writer, Quarantine(slot.folder, settings.spill_quarantine_max_bytes))
    store.load()
    return OpenSlot(slot, store)
