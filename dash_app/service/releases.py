"""When a version of a service was seen for the first time: what charts mark as a release.

Pure; from RED by `service.version`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from query import OVERFLOW, RedAnswer


@dataclass(frozen=True, slots=True)
class Release:
    """The step that holds the first call answered by `version`."""

    version: str
    time_s: int


def candidates(by_version: RedAnswer) -> tuple[Release, ...]:
    """Return the versions that have no call in the first step of the range, in the order of their first calls."""
    found = [
        Release(item.labels["version"], next(step.time_s for step in item.steps if step.calls))
        for item in by_version.items
        if item.labels["version"] not in ("", OVERFLOW) and item.total.calls
    ]
    return tuple(
        sorted((one for one in found if one.time_s > by_version.start_s), key=lambda one: (one.time_s, one.version))
    )


def releases(found: Sequence[Release], known_before: Collection[str]) -> tuple[Release, ...]:
    """Leave out the versions that were there before the range: a version that is seldom called is not new."""
    return tuple(release for release in found if release.version not in known_before)
