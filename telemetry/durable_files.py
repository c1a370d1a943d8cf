"""What it takes until bytes are on the disk for good, for every room that keeps files of its own there."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

_BUFFERS_PER_WRITE: Final = 512
"""Linux takes up to 1024 of them in one call."""


def write_all(descriptor: int, buffers: Sequence[bytes]) -> None:
    """Write the buffers one after the other, however little the disk takes at once; not synced. Raises `OSError`."""
    for first in range(0, len(buffers), _BUFFERS_PER_WRITE):
        left = [memoryview(buffer) for buffer in buffers[first : first + _BUFFERS_PER_WRITE] if buffer]
        while left:
            count = os.writev(descriptor, left)
            while left and count >= len(left[0]):
                count -= len(left.pop(0))
            if count:
                left[0] = left[0][count:]


def sync_folder(folder: Path) -> None:
    """Return when the files made in and removed from `folder` are so on the disk. Raises `OSError`."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
