"""What people ask of the settings that may be changed while ModelWatch runs: how they stand, change, put back, who did.

Pages and API work on it alike. Who may change something is for the guard and the page to say.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
import structlog

from storage.setting_changes import SettingChange, SettingChanges
from telemetry import NowNs
from tuning.component import Tuning
from tuning.tunable import (
    BadValueError,
    Tunable,
    UnknownSettingError,
    as_json,
    description_of,
    schema_of,
    value_at,
    with_values,
)

__all__ = ["SettingChange", "TunedSetting", "TuningDesk", "value_of"]

log = structlog.get_logger(__name__)

_NS_PER_MS: Final = 1_000_000
_LONGEST_VALUE: Final = 20_000


@dataclass(frozen=True, slots=True)
class TunedSetting:
    """How a setting stands. `value` is what holds in this process, `start_value` what it was started with.

    `change` is the latest change, also one that put it back; `failure` says why that does not hold here.
    """

    tunable: Tunable
    value: Any
    start_value: Any
    schema: dict[str, Any]
    description: str
    change: SettingChange | None
    failure: str = ""

    @property
    def is_changed(self) -> bool:
        """Whether a change stands over what the process was started with."""
        return self.change is not None and self.change.value is not None


class TuningDesk:
    """Everything that writes raises `StorageUnavailableError`."""

    def __init__(self, tuning: Tuning[Any], changes: SettingChanges, now_ns: NowNs = time.time_ns) -> None:
        self._tuning = tuning
        self._changes = changes
        self._now_ns = now_ns
        tree, known = tuning.started_with, tuning.tunables.values()
        self._facts = {one.name: (schema_of(tree, one.path), description_of(tree, one.path)) for one in known}

    def settings(self) -> list[TunedSetting]:
        """Return all settings that may be changed, in the order of docs/settings.md."""
        return [self._tuned(one) for one in self._tuning.tunables.values()]

    def setting(self, name: str) -> TunedSetting:
        """Return one. Raises `UnknownSettingError`."""
        return self._tuned(self._tunable(name))

    async def change(self, name: str, value: Any, by: str) -> TunedSetting:
        """Let a setting have another value everywhere. Raises `UnknownSettingError` and `BadValueError`."""
        tunable = self._tunable(name)
        if len(str(value)) > _LONGEST_VALUE:
            raise BadValueError(f"{name}: is longer than {_LONGEST_VALUE} characters")
        await self._tuning.refresh()
        wanted = value_at(with_values(self._tuning.current, {tunable.path: value}), tunable.path)
        return await self._put(tunable, as_json(wanted), by)

    async def reset(self, name: str, by: str) -> TunedSetting:
        """Let every process go back to what it was started with; nothing happens where no change stands."""
        tunable = self._tunable(name)
        await self._tuning.refresh()
        if not self._tuned(tunable).is_changed:
            return self._tuned(tunable)
        self._check_reset(tunable)
        return await self._put(tunable, None, by)

    async def changes(self, most: int, before_id: int | None = None) -> Sequence[SettingChange]:
        """Return what was changed, the latest first."""
        return await self._changes.read(most, before_id)

    def _check_reset(self, tunable: Tunable) -> None:
        """Raise `BadValueError` where the value of the start does not fit what else was changed."""
        with_values(self._tuning.current, {tunable.path: value_at(self._tuning.started_with, tunable.path)})

    async def _put(self, tunable: Tunable, value: str | None, by: str) -> TunedSetting:
        before = as_json(value_at(self._tuning.current, tunable.path))
        await self._changes.add(tunable.name, value, before, by, self._now_ns() // _NS_PER_MS)
        log.info("a setting was changed while running", setting=tunable.name, before=before, value=value, user=by)
        await self._tuning.refresh()
        return self._tuned(tunable)

    def _tunable(self, name: str) -> Tunable:
        found = self._tuning.tunables.get(name)
        if found is None:
            raise UnknownSettingError(f"there is no setting {name!r} that may be changed while ModelWatch runs")
        return found

    def _tuned(self, tunable: Tunable) -> TunedSetting:
        tree, path = self._tuning.started_with, tunable.path
        return TunedSetting(
            tunable,
            value_at(self._tuning.current, path),
            value_at(tree, path),
            *self._facts[tunable.name],
            self._tuning.holding.get(tunable.name),
            self._tuning.failures.get(tunable.name, ""),
        )


def value_of(text: str | None) -> Any:
    """Return a value as it was kept."""
    return None if text is None else orjson.loads(text)
