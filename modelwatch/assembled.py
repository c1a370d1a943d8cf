"""What a role consists of, as far as it is assembled, and the pieces that more than one part of it needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from modelwatch.settings import Settings
from modelwatch.urls import POSTGRES, history_url_of
from telemetry import Component, Counters, Figures, RetryableError

if TYPE_CHECKING:
    from api.health import Check
    from storage.history import SqlHistory
    from tuning.component import Tuning


@dataclass
class Assembly:
    """What a role consists of: components, downstream first, and what its readiness depends on."""

    counters: Counters = field(default_factory=Counters)
    components: list[Component] = field(default_factory=list)
    checks: dict[str, Check] = field(default_factory=dict)
    listeners: dict[str, Callable[[], str]] = field(default_factory=dict)
    tuning: Tuning[Settings] | None = None
    """What tells parts of settings that are changed while they run; in processes with the database."""

    def add(self, component: Any) -> Any:
        """Append a component, to be started after those before it."""
        self.components.append(component)
        return component

    async def read_figures(self) -> Figures:
        """Return what the counters and gauges of this process read now."""
        return self.counters.figures()

    def tune(self, part_of: Callable[[Settings], Any], use: Callable[[Any], None]) -> None:
        """Have `use` called with a part of the settings whenever somebody changes it."""
        if self.tuning is not None:
            self.tuning.listen(part_of, use)

    def addresses(self) -> dict[str, str]:
        """Return where the started components listen, by name."""
        return {name: address() for name, address in self.listeners.items()}


def build_history(settings: Settings) -> SqlHistory:
    """Return the history that `database_url` names, or the SQLite file in the data folder."""
    from storage.component import build_postgres_history, build_sqlite_history

    scheme, url = history_url_of(settings)
    return (build_postgres_history if scheme == POSTGRES else build_sqlite_history)(settings.storage, url)


def connected(name: str, is_connected: Callable[[], bool]) -> Check:
    """Return a check that fails while there is no connection."""

    async def check() -> None:
        if not is_connected():
            raise RetryableError(f"{name} has no connection")

    return check
