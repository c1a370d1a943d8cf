"""The settings of this process as they are now: what it was started with, and over it what was changed since.

A component of every process with the database, started right after it, so that whoever is started later begins with
what holds. What is changed is handed to whoever listens.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Generic, TypeVar

import orjson
import structlog

from storage.following import Following
from storage.setting_changes import CHANNELS, SettingChange, SettingChanges
from tuning.settings import TuningSettings
from tuning.tunable import BadValueError, Tree, Tunable, with_values

log = structlog.get_logger(__name__)

Part = TypeVar("Part")
_UNKNOWN: Final = "this ModelWatch does not know it as one that may be changed while it runs"


class Tuning(Following, Generic[Tree]):
    """Component. Does not start without the database: with another retention data would be lost.

    `started_with` is the tree of settings from environment, file and defaults; `current` what holds.
    """

    def __init__(
        self, settings: TuningSettings, started_with: Tree, tunables: Sequence[Tunable], changes: SettingChanges
    ) -> None:
        super().__init__("the settings that were changed while running", settings.refresh_interval_s)
        self.started_with = started_with
        self.current = started_with
        self.tunables: Mapping[str, Tunable] = {one.name: one for one in tunables}
        self.holding: Mapping[str, SettingChange] = {}
        self.failures: Mapping[str, str] = {}
        """Why a change does not hold in this process, by the name of the setting."""
        self._changes = changes
        self._latest_id = 0
        self._listeners: list[Callable[[Tree, Tree], None]] = []

    def listen(self, part_of: Callable[[Tree], Part], use: Callable[[Part], None]) -> None:
        """Have `use` called with a part of the tree whenever a change alters it, at the start as well."""

        def hear(before: Tree, now: Tree) -> None:
            if part_of(now) != part_of(before):
                use(part_of(now))

        self._listeners.append(hear)

    async def _look(self) -> None:
        latest_id = await self._changes.latest_id()
        if latest_id == self._latest_id:
            return
        found = await self._changes.holding()
        self._latest_id = latest_id
        self._take({one.name: one for one in found if one.name != CHANNELS})

    def _take(self, holding: Mapping[str, SettingChange]) -> None:
        before, self.holding = self.current, holding
        self.current, self.failures = _applied(self.started_with, holding.values(), self.tunables)
        for name, reason in self.failures.items():
            log.error("a setting that was changed while running does not hold here", setting=name, reason=reason)
        for hear in self._listeners:
            try:
                hear(before, self.current)
            except Exception:
                log.exception("a changed setting was not taken up")


def _applied(tree: Tree, changes: Any, tunables: Mapping[str, Tunable]) -> tuple[Tree, Mapping[str, str]]:
    """Return the tree with all changes in it; of those that do not fit together, as many as do, and why not."""
    values: dict[tuple[str, ...], Any] = {}
    failures: dict[str, str] = {}
    for change in changes:
        if change.value is None:
            continue
        if change.name in tunables:
            values[tunables[change.name].path] = orjson.loads(change.value)
        else:
            failures[change.name] = _UNKNOWN
    try:
        return with_values(tree, values), failures
    except BadValueError:
        pass  # each by itself, then
    for path, value in values.items():
        try:
            tree = with_values(tree, {path: value})
        except BadValueError as error:
            failures[".".join(path)] = str(error)
    return tree, failures
