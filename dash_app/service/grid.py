"""The table of a service's routes, versions, instances, dependencies and so on.

Built once into the layout; rows come from `rows.py`.
"""

from __future__ import annotations

from typing import Final

from dash.development.base_component import Component

from dash_app.shared.grid import PHONE_PX, TABLET_PX, Column, course_column, grid, hidden_below, number_column

COLUMNS: Final[list[Column]] = [
    {"field": "name", "headerName": "Name", "cellRenderer": "Name", "flex": 2.2, "minWidth": 120},
    number_column("time", "Time %", 84) | {"headerTooltip": "Share of the time that all calls took together"},
    hidden_below(PHONE_PX, number_column("rate", "Req/s", 84)),
    hidden_below(PHONE_PX, course_column("traffic", "Traffic", {"colour": "accent", "isFromZero": True})),
    hidden_below(TABLET_PX, number_column("p50", "P50", 88)),
    number_column("p95", "P95", 88),
    hidden_below(TABLET_PX, number_column("p99", "P99", 88)),
    hidden_below(PHONE_PX, course_column("latency", "P95 latency", {"colour": "accent", "isFromZero": True})),
    number_column("errors", "Errors %", 88),
    hidden_below(PHONE_PX, number_column("blame", "Of errors %", 98) | {"headerTooltip": "Share of all errors"}),
    hidden_below(PHONE_PX, course_column("failures", "Errors", {"colour": "critical", "isFromZero": True})),
]


def breakdown_grid() -> Component:
    """Return the empty table."""
    return grid("service-breakdown", COLUMNS, "id", {"localeText": {"noRowsToShow": "No calls"}})
