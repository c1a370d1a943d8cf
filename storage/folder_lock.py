"""Keeping a second process from figures that only one can show: a lock beside the SQLite file.

Held from start to stop by a process whose live feed is in its own memory. Two of them on one file would each show half
of the last minutes. Whoever only reads the file, or shares a live feed over Redis, takes no lock and needs none.
"""

from __future__ import annotations

import os
from pathlib import Path

from storage.dialects import make_folder
from telemetry import StartError

try:
    import fcntl
except ImportError:  # Windows, where a second process is not kept out
    fcntl = None  # type: ignore[assignment]


class FolderLock:
    """The lock of one database file; the system lets go of it with the process, however that ends."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None

    async def start(self) -> None:
        """Take the lock. Raises `StartError` when another process has it."""
        if self._file is not None or fcntl is None:
            return
        make_folder(self._path.parent)
        file = self._open()
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.read(file, 20).decode("ascii", "replace").strip()
            os.close(file)
            raise StartError(
                f"the data folder {self._path.parent} is in use by another ModelWatch"
                f"{f' (process {holder})' if holder.isdigit() else ''}: "
                "stop that one, or set MODELWATCH_DATA_DIR to another folder"
            ) from error
        os.ftruncate(file, 0)
        os.write(file, f"{os.getpid()}\n".encode())
        self._file = file

    async def stop(self) -> None:
        """Let others have it."""
        file, self._file = self._file, None
        if file is not None:
            # The file stays: to delete it would let one process lock the old file and another a new one.
            os.close(file)

    def _open(self) -> int:
        try:
            return os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise StartError(
                f"{self._path} cannot be written ({error.strerror}): set MODELWATCH_DATA_DIR to another folder"
            ) from error


def lock_beside(database: str | None) -> FolderLock | None:
    """Return the lock that belongs to a SQLite file, `None` for what is not the path of one."""
    if not database or database == ":memory:" or database.startswith("file:"):
        return None
    return FolderLock(Path(f"{Path(database).absolute()}.lock"))
