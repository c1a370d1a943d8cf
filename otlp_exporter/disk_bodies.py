"""The bodies of what waits on disk: files that are only added to, and deleted when nobody waits for a body in them.

Beside the tables, which know where each body is. Written once, where a database would write each body twice and tidy up
behind it. Belongs to the queue's thread, but for `read_body`, which any process may call.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Hashable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from telemetry.durable_files import sync_folder, write_all

FOLDER: Final = "forwarding"
_SUFFIX: Final = ".bodies"
_FILE_BYTES: Final = 16 * 1024**2
_FILE_MODE: Final = 0o600
_FOLDER_MODE: Final = 0o700


class Place(NamedTuple):
    """Where a body is: the number of a file, and the first byte and the size in it."""

    file: int
    at: int
    size: int


class _Open:
    def __init__(self, number: int, descriptor: int) -> None:
        self.number = number
        self.descriptor = descriptor
        self.end = 0


class DiskBodies:
    """The files below a folder. Bodies that wait for the same targets share files: they leave together."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open: dict[Hashable, _Open] = {}
        self._held: Counter[int] = Counter()
        self._next = 1

    def load(self, held: Collection[int]) -> None:
        """Begin, with a file's number in `held` for each body that is waited for; delete other files. Raises `OSError`.

        What an earlier process left of a file is never added to.
        """
        self._folder.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
        self._held = Counter(held)
        for path in self._folder.glob(f"*{_SUFFIX}"):
            number = int(path.stem) if path.stem.isdecimal() else 0
            self._next = max(self._next, number + 1)
            if number not in self._held:
                path.unlink(missing_ok=True)

    def add(self, targets: Hashable, bodies: Sequence[bytes]) -> list[Place]:
        """Write bodies that wait for the same targets, synced on return. Raises `OSError`, and then none is held."""
        file = self._file_of(targets)
        places, at = list[Place](), file.end
        for body in bodies:
            places.append(Place(file.number, at, len(body)))
            at += len(body)
        try:
            write_all(file.descriptor, bodies)
            os.fdatasync(file.descriptor)
        except OSError:
            # The kernel may have dropped the pages and told only once: no later sync of this file proves anything.
            self._close(targets)
            raise
        file.end = at
        self._held[file.number] += len(places)
        return places

    def release(self, files: Collection[int]) -> None:
        """Take note that a body in each of these files is waited for no more."""
        self._held.subtract(files)
        open_now = {file.number for file in self._open.values()}
        for number in set(files):
            if self._held[number] <= 0 and number not in open_now:
                del self._held[number]
                path_of(self._folder, number).unlink(missing_ok=True)

    def close(self) -> None:
        """Close the files that are written to."""
        for targets in list(self._open):
            self._close(targets)

    def _file_of(self, targets: Hashable) -> _Open:
        file = self._open.get(targets)
        if file is not None and file.end >= _FILE_BYTES:
            self._close(targets)
            file = None
        if file is None:
            number, self._next = self._next, self._next + 1
            flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND
            file = _Open(number, os.open(path_of(self._folder, number), flags, _FILE_MODE))
            self._open[targets] = file
            sync_folder(self._folder)
        return file

    def _close(self, targets: Hashable) -> None:
        file = self._open.pop(targets)
        os.close(file.descriptor)
        self.release([] if self._held[file.number] else [file.number])


def path_of(folder: Path, number: int) -> Path:
    """Return the path of a file."""
    return folder / f"{number:012}{_SUFFIX}"


def read_body(folder: Path, place: Place) -> bytes:
    """Return a body, or what is left of it. Raises `OSError`."""
    descriptor = os.open(path_of(folder, place.file), os.O_RDONLY)
    try:
        return os.pread(descriptor, place.size, place.at)
    finally:
        os.close(descriptor)
