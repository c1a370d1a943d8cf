"""The settings that may be changed while ModelWatch runs, and who takes a change up.

Few, and such that every process that honours one can do so without a restart. `docs/settings.md` marks them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from modelwatch.assembled import Assembly
from modelwatch.logs import set_level
from modelwatch.settings import Settings
from modelwatch.settings_sources import variable_of
from storage.component import build_setting_changes
from storage.history import SqlHistory
from tuning.component import Tuning
from tuning.tunable import Tunable

_DELETES: Final = "A shorter time deletes what is older for good, within a minute."
_DELETES_BYTES: Final = "Fewer bytes delete the oldest for good, within a minute."
_DELETES_HOURLY: Final = "A shorter time deletes what is older for good, within an hour."
_MEMORY: Final = "Memory grows with it."
_FROM_NOW_ON: Final = "A longer one fills as time goes on; until then the rest is read from the database."
_RESOURCES: Final = (
    "stale_after_s",
    *(f"{of}_{grade}" for of in ("cpu", "throttled", "memory") for grade in ("degraded", "critical")),
    *("leak_degraded_s", "leak_critical_s", "idle_below"),
)
_LIVE: Final = ("processor", "dashboard", "alerts")
_ALERTS: Final = ("alerts",)
_PROCESSOR: Final = ("processor",)
_DASHBOARD: Final = ("dashboard",)
_JUDGES: Final = ("dashboard", "alerts")


def _tunable(path: str, honoured_by: Sequence[str], warning: str = "", *, is_deleting: bool = False) -> Tunable:
    names = tuple(path.split("."))
    return Tunable(names, variable_of(names), honoured_by, warning, is_deleting)


TUNABLES: Final[Sequence[Tunable]] = (
    _tunable("log.level", ("processor", "dashboard", "alerts"), "Receivers and other processes keep theirs."),
    _tunable("processor.max_series", _PROCESSOR, _MEMORY),
    _tunable("processor.max_series_per_service", _PROCESSOR, _MEMORY),
    _tunable("processor.max_metric_series", _PROCESSOR, _MEMORY),
    _tunable("processor.max_metric_series_per_service", _PROCESSOR, _MEMORY),
    _tunable("processor.traces.max_spans_per_s", _PROCESSOR),
    _tunable("processor.traces.max_errors_per_route", _PROCESSOR),
    _tunable("processor.traces.max_slow_per_route", _PROCESSOR),
    _tunable("storage.points_retention_s", _PROCESSOR, _DELETES, is_deleting=True),
    _tunable("storage.medium_retention_s", _PROCESSOR, _DELETES, is_deleting=True),
    _tunable("storage.coarse_retention_s", _PROCESSOR, _DELETES, is_deleting=True),
    _tunable("storage.traces_retention_s", _PROCESSOR, _DELETES, is_deleting=True),
    _tunable("storage.max_traces_bytes", _PROCESSOR, _DELETES_BYTES, is_deleting=True),
    _tunable("storage.live_window_s", _LIVE, _FROM_NOW_ON),
    _tunable("storage.live_max_points", _LIVE, _MEMORY),
    _tunable("query.max_points", _JUDGES),
    _tunable("query.health_window_s", _JUDGES),
    _tunable("query.health_min_calls", _JUDGES),
    _tunable("query.health_min_errors", _JUDGES),
    _tunable("query.p95_degraded_s", _JUDGES),
    _tunable("query.p95_critical_s", _JUDGES),
    _tunable("query.error_rate_degraded", _JUDGES),
    _tunable("query.error_rate_critical", _JUDGES),
    _tunable("query.apdex_target_s", _JUDGES),
    _tunable("query.apdex_targets_s", _JUDGES),
    *(_tunable(f"query.resources.{name}", _JUDGES) for name in _RESOURCES),
    *(_tunable(f"alerts.{name}", _ALERTS) for name in ("max_lag_s", "silent_processor_s")),
    *(_tunable(f"alerts.{name}", _ALERTS) for name in ("group_interval_s", "repeat_interval_s", "max_items")),
    *(_tunable(f"alerts.{name}", _ALERTS) for name in ("retry_min_s", "retry_max_s", "give_up_after_s")),
    _tunable("alerts.retention_s", _ALERTS, _DELETES_HOURLY, is_deleting=True),
    _tunable("dash.refresh_interval_s", _DASHBOARD),
    _tunable("dash.stale_after_s", _DASHBOARD),
    _tunable("self_watch.canary_is_enabled", _DASHBOARD),
    _tunable("self_watch.canary_interval_s", _DASHBOARD),
)


def add_tuning(made: Assembly, settings: Settings, history: SqlHistory) -> None:
    """Add what takes up changes of settings; parts that are added later listen to it."""
    made.tuning = made.add(Tuning(settings.tuning, settings, TUNABLES, build_setting_changes(history)))
    made.tune(lambda now: now.log, set_level)
