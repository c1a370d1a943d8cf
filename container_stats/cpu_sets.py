"""Lists of CPUs as the kernel writes them: `0-3,8`."""

from __future__ import annotations


def cpus_in(text: str) -> frozenset[int]:
    """Return the CPUs of a list; none if it is empty or no such list."""
    cpus: set[int] = set()
    for part in filter(None, (part.strip() for part in text.split(","))):
        first, _, last = part.partition("-")
        if not first.isdecimal() or not (last or first).isdecimal():
            return frozenset()
        cpus.update(range(int(first), min(int(last or first), 65_535) + 1))
    return frozenset(cpus)
