"""The table of containers: its columns.

Built once into the layout; rows come from `rows.py`, cells are drawn by `assets/dashAgGridComponentFunctions.js`.
"""

from __future__ import annotations

from typing import Any, Final

from dash.development.base_component import Component

from dash_app.shared.grid import PHONE_PX, TABLET_PX, course_column, grid, hidden_below, named_column, number_column

COLUMNS: Final[list[dict[str, Any]]] = [
    named_column("Name"),
    hidden_below(TABLET_PX, {"field": "owner", "headerName": "Service", "flex": 1.7, "minWidth": 90}),
    {"field": "state", "headerName": "State", "cellRenderer": "State", "width": 100},
    hidden_below(PHONE_PX, number_column("cpu", "CPU", 84)),
    number_column("cpu_share", "CPU %", 78, "cpu_tone"),
    hidden_below(PHONE_PX, course_column("cpu_course", "CPU", {"colour": "accent", "isFromZero": True})),
    hidden_below(PHONE_PX, number_column("throttled", "Throttled", 96, "throttled_tone")),
    hidden_below(PHONE_PX, number_column("memory", "Memory", 100)),
    number_column("memory_share", "Mem %", 80, "memory_tone"),
    hidden_below(PHONE_PX, course_column("memory_course", "Memory", {"colour": "accent", "isFromZero": True})),
    hidden_below(TABLET_PX, number_column("network", "Network", 108)),
    hidden_below(TABLET_PX, number_column("disk", "Disk", 104)),
    hidden_below(PHONE_PX, number_column("restarts", "Restarts", 92)),
    hidden_below(PHONE_PX, number_column("oom_kills", "OOM", 72, "oom_tone")),
]

_OPTIONS: Final[dict[str, Any]] = {
    "rowClassRules": {"is-chosen": "params.data.is_chosen"},
    "localeText": {"noRowsToShow": "No container or process matches"},
}


def containers_grid() -> Component:
    """Return the empty table."""
    return grid("containers-table", COLUMNS, "key", _OPTIONS)
