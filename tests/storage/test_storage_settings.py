"""The store's settings: defaults that work, and refusals of what cannot."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from storage.settings import StorageSettings
from storage.tiers import tiers_of


def test_the_defaults_are_what_the_documentation_says() -> None:
    """10 s for two days, 1 min for 35 days, 1 h for two years; batch ids two days, the live window sixteen minutes."""
    settings = StorageSettings()
    assert (settings.resolution_s, settings.points_retention_s) == (10, 2 * 86_400)
    assert (settings.medium_resolution_s, settings.medium_retention_s) == (60, 35 * 86_400)
    assert (settings.coarse_resolution_s, settings.coarse_retention_s) == (3_600, 730 * 86_400)
    assert (settings.batch_ids_retention_s, settings.live_window_s) == (48 * 3_600, 960)


@pytest.mark.parametrize(
    "wrong",
    [
        {"resolution_s": 7},
        {"resolution_s": 0},
        {"no_such_setting": 1},
        {"answer_timeout_s": 1, "lock_timeout_s": 2},
        {"medium_resolution_s": 15},
        {"coarse_resolution_s": 90},
        {"coarse_resolution_s": 60},
        {"warn_free_bytes": 1, "min_free_bytes": 2},
    ],
)
def test_what_cannot_work_is_refused(wrong: dict[str, int]) -> None:
    """Resolutions that do not fit into each other, an unknown name, timeouts or limits in the wrong order."""
    with pytest.raises(ValidationError):
        StorageSettings(**wrong)  # type: ignore[arg-type]


def test_every_setting_is_described() -> None:
    """The generated page of settings has a sentence for each."""
    assert all(field.description for field in StorageSettings.model_fields.values())


def test_a_tier_is_kept_at_least_as_long_as_a_finer_one() -> None:
    """Whoever only raises the retention of the finest tier needs not know of the others."""
    tiers = tiers_of(StorageSettings(points_retention_s=90 * 86_400, coarse_retention_s=60))
    assert [tier.retention_s for tier in tiers] == [90 * 86_400] * 3
    assert all(tier.partition_s % tier.unit_s == 0 for tier in tiers)
