"""Whether the database takes up too much: what to warn of, and when figures have to go before their age.

Pure, but for the warning; `upkeep.py` measures and deletes. On SQLite the disk is known, on PostgreSQL only the size
of the database, as the disk belongs to the server.
"""

from __future__ import annotations

from typing import Final

import structlog

from storage.dialects import Space
from storage.settings import StorageSettings
from storage.tiers import Tier

log = structlog.get_logger(__name__)

_WARN_SHARE: Final = 0.9
_HOUR_S: Final = 3_600
_KEPT_S: Final = (_HOUR_S, 24 * _HOUR_S, 30 * 24 * _HOUR_S)
"""What is never thinned, by rank: it is looked at most, and what fills a disk within that time is not its figures."""
_STEPS: Final = 6


class DiskGuard:
    """Judges measurements; warns once when space becomes short, and again when it was well in between."""

    def __init__(self, settings: StorageSettings) -> None:
        self._settings = settings
        self._is_warned = False

    def is_too_full(self, space: Space) -> bool:
        """Tell whether figures have to go now; warns when it is not far from that."""
        settings = self._settings
        if space.free_bytes is not None:
            is_short = space.free_bytes < settings.warn_free_bytes
            is_too_full = space.free_bytes < settings.min_free_bytes
            advice = "free some disk, or set MODELWATCH_STORAGE__POINTS_RETENTION_S and its like to less"
        elif settings.max_database_bytes is not None:
            is_short = space.database_bytes > _WARN_SHARE * settings.max_database_bytes
            is_too_full = space.database_bytes > settings.max_database_bytes
            advice = "raise MODELWATCH_STORAGE__MAX_DATABASE_BYTES, or keep figures for a shorter time"
        else:
            return False
        if is_short and not self._is_warned:
            log.warning(
                "the database runs out of space; the oldest figures will be deleted before it is full",
                database_bytes=space.database_bytes,
                free_bytes=space.free_bytes,
                advice=advice,
            )
        self._is_warned = is_short
        return is_too_full


def may_go_before(tier: Tier, first_s: int | None, now_s: int) -> int | None:
    """Return before when the rows of a tier whose oldest is `first_s` may be thinned by one step, `None` when not."""
    if first_s is None:
        return None
    before_s = first_s + max(tier.partition_s // _STEPS, tier.unit_s)
    return before_s if before_s <= now_s - kept_s(tier) else None


def kept_s(tier: Tier) -> int:
    """Return the age up to which a tier is never thinned."""
    return _KEPT_S[tier.rank]
