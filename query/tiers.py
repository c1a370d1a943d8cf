"""Which buckets of the history questions about metrics are answered from.

Pure; used by `metric_component.py` and by `resources/component.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from query.blocks import ceil_to, floor_to
from storage.ports import KeptTier

_LOOK_BACK_S: Final = 300
"""How far before the start points are read that increases are told from: senders report every minute or oftener."""


def finest_width_s(tiers: Sequence[KeptTier], start_s: int) -> int:
    """Return the width of the finest buckets that are kept of `start_s`."""
    return next((tier.width_s for tier in tiers if tier.since_s <= start_s), tiers[-1].width_s)


def fitting_width_s(tiers: Sequence[KeptTier], step_s: int) -> int:
    """Return the width of the widest buckets that steps are made of."""
    return max((tier.width_s for tier in tiers if step_s % tier.width_s == 0), default=tiers[0].width_s)


def look_back(tiers: Sequence[KeptTier], start_s: int, step_s: int) -> int:
    """Return where to begin to read for steps from `start_s` on: with a whole bucket of those that are left there."""
    since_s = max(start_s - ceil_to(_LOOK_BACK_S, step_s), 0)
    return floor_to(since_s, finest_width_s(tiers, since_s))
