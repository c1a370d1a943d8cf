"""Where something is in the spill, and how its files are called.

Shared by everything that reads or writes them. A file is a segment: records one after the other, only ever added to.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from rabbit_exporter.spill_record import SALT_BYTES

# The version is that of the records' form: a file of another version is left for the program that wrote it.
_PATTERN: Final = re.compile(rf"(\d{{12}})-([0-9a-f]{{{2 * SALT_BYTES}}})\.v1\.spill")


class Position(NamedTuple):
    """A place between two records; in the order of writing."""

    segment: int
    offset: int


@dataclass(frozen=True, slots=True, order=True)
class SegmentName:
    """A segment's number, which grows, and the salt of its checksums."""

    number: int
    salt: bytes

    @classmethod
    def fresh(cls, number: int) -> SegmentName:
        """Return a name with a salt that nobody can guess."""
        return cls(number, secrets.token_bytes(SALT_BYTES))

    def __str__(self) -> str:
        return f"{self.number:012}-{self.salt.hex()}.v1.spill"


def segments_in(folder: Path) -> list[SegmentName]:
    """Return the segments in a folder in the order of writing. Raises `OSError`."""
    matches = (_PATTERN.fullmatch(path.name) for path in folder.iterdir())
    return sorted(SegmentName(int(match[1]), bytes.fromhex(match[2])) for match in matches if match)
