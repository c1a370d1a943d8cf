"""The store's settings: defaults that work, and refusals of what cannot."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from storage.settings import StorageSettings


def test_the_defaults_are_what_the_documentation_says() -> None:
    """Ten seconds, seven days, two days, sixteen minutes."""
    settings = StorageSettings()
    assert (settings.resolution_s, settings.points_retention_s) == (10, 7 * 86_400)
    assert (settings.batch_ids_retention_s, settings.live_window_s) == (48 * 3_600, 960)


@pytest.mark.parametrize(
    "wrong",
    [{"resolution_s": 7}, {"resolution_s": 0}, {"no_such_setting": 1}, {"answer_timeout_s": 1, "lock_timeout_s": 2}],
)
def test_what_cannot_work_is_refused(wrong: dict[str, int]) -> None:
    """A resolution that does not divide the minute, an unknown name, timeouts in the wrong order."""
    with pytest.raises(ValidationError):
        StorageSettings(**wrong)  # type: ignore[arg-type]


def test_every_setting_is_described() -> None:
    """The generated page of settings has a sentence for each."""
    assert all(field.description for field in StorageSettings.model_fields.values())
