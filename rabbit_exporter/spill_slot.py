"""One process, one slot: numbered folders below the spill's, each locked by the process that uses it.

So several receivers share a data folder, and the living find what a dead one left: locks die with their processes.
"""

from __future__ import annotations

import fcntl
import itertools
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from rabbit_exporter.segment_name import segments_in
from rabbit_exporter.segment_writer import FILE_MODE
from telemetry import StartError
from telemetry.durable_files import sync_folder

FOLDER_MODE: Final = 0o700
_LOCK: Final = "lock"
_PROBE: Final = "probe"


class Slot:
    """A locked folder."""

    def __init__(self, folder: Path, descriptor: int) -> None:
        self.folder = folder
        self._descriptor: int | None = descriptor

    def release(self) -> None:
        """Let another process have the folder."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)


def claim_slot(root: Path) -> Slot:
    """Return the first free slot, made if there is none. Raises `StartError` when the folder cannot be used."""
    try:
        _made(root, FOLDER_MODE)
        slots = (_lock(_made(root / str(number), FOLDER_MODE)) for number in itertools.count())
        slot = next(slot for slot in slots if slot is not None)
        _prove_writable(slot)
    except OSError as error:
        raise unusable(root, error) from error
    return slot


def adopt_slots(root: Path, own: Iterable[Slot]) -> list[Slot]:
    """Lock and return the slots with segments that no living process has. Raises `OSError`."""
    taken = {slot.folder for slot in own}
    adopted = []
    for folder in sorted(path for path in root.iterdir() if path.name.isdecimal() and path not in taken):
        if segments_in(folder):
            slot = _lock(folder)
            if slot is not None:
                adopted.append(slot)
    return adopted


def unusable(folder: Path, error: OSError) -> StartError:
    """Say in one line that the spill cannot be kept there, and what to set."""
    where = error.filename or folder
    return StartError(
        f"cannot keep the spill in {where} ({error.strerror or error}): give this user the right to, "
        "set MODELWATCH_DATA_DIR, or do without by MODELWATCH_RABBIT_EXPORTER__SPILL_MAX_BYTES=0"
    )


def _made(folder: Path, mode: int = 0o777) -> Path:
    """Make a folder and those above it, each safe in the one that it is in before anything is put into it."""
    if not folder.is_dir():
        _made(folder.parent)
        folder.mkdir(mode, exist_ok=True)
        sync_folder(folder.parent)
    return folder


def _lock(folder: Path) -> Slot | None:
    descriptor = os.open(folder / _LOCK, os.O_CREAT | os.O_RDWR, FILE_MODE)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except OSError:
        os.close(descriptor)
        raise
    return Slot(folder, descriptor)


def _prove_writable(slot: Slot) -> None:
    """Make, sync and remove a file, so that the start finds what the first outage would find."""
    probe = slot.folder / _PROBE
    try:
        descriptor = os.open(probe, os.O_CREAT | os.O_WRONLY, FILE_MODE)
        try:
            os.fdatasync(descriptor)
        finally:
            os.close(descriptor)
        probe.unlink()
    except OSError:
        slot.release()
        raise
