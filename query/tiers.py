"""Which buckets of the history questions about metrics are answered from.

Pure; used by `metric_component.py` and by `resources/component.py`.
"""

from __future__ import annotations

from collections.abc import Sequence

from storage.ports import KeptTier


def finest_width_s(tiers: Sequence[KeptTier], start_s: int) -> int:
    """Return the width of the finest buckets that are kept of `start_s`."""
    return next((tier.width_s for tier in tiers if tier.since_s <= start_s), tiers[-1].width_s)


def fitting_width_s(tiers: Sequence[KeptTier], step_s: int) -> int:
    """Return the width of the widest buckets that steps are made of."""
    return max((tier.width_s for tier in tiers if step_s % tier.width_s == 0), default=tiers[0].width_s)
