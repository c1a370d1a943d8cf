"""The tables of a service: its routes, versions, dependencies and so on, and its containers and processes.

Built once into the layout; rows come from `rows.py` and `resource_card.py`.
"""

from __future__ import annotations

from typing import Final

from dash.development.base_component import Component

from dash_app.shared.grid import (
    PHONE_PX,
    TABLET_PX,
    Column,
    course_column,
    grid,
    hidden_below,
    named_column,
    number_column,
)

COLUMNS: Final[list[Column]] = [
    named_column("Name") | {"minWidth": 120},
    number_column("time", "Time %", 84) | {"headerTooltip": "Share of the time that all calls took together"},
    hidden_below(PHONE_PX, number_column("rate", "Req/s", 84)),
    hidden_below(PHONE_PX, course_column("traffic", "Traffic", {"colour": "accent", "isFromZero": True})),
    hidden_below(TABLET_PX, number_column("p50", "P50", 88)),
    number_column("p95", "P95", 88),
    hidden_below(TABLET_PX, number_column("p99", "P99", 88)),
    hidden_below(PHONE_PX, course_column("latency", "P95 latency", {"colour": "accent", "isFromZero": True})),
    hidden_below(TABLET_PX, number_column("apdex", "Apdex", 78)),
    number_column("errors", "Errors %", 88),
    hidden_below(PHONE_PX, number_column("blame", "Of errors %", 98) | {"headerTooltip": "Share of all errors"}),
    hidden_below(
        PHONE_PX,
        course_column("failures", "Errors", {"toneField": "failures_tone", "colour": "muted", "isFromZero": True}),
    ),
]


INSTANCE_COLUMNS: Final[list[Column]] = [
    named_column("Container or process"),
    hidden_below(TABLET_PX, {"field": "matched", "headerName": "Known by", "flex": 1, "minWidth": 100}),
    {"field": "state", "headerName": "State", "cellRenderer": "State", "width": 100},
    hidden_below(PHONE_PX, number_column("cpu", "CPU", 84)),
    number_column("cpu_share", "CPU %", 78, "cpu_tone"),
    hidden_below(PHONE_PX, course_column("cpu_course", "CPU", {"colour": "accent", "isFromZero": True})),
    hidden_below(PHONE_PX, number_column("throttled", "Throttled", 96, "throttled_tone")),
    hidden_below(PHONE_PX, number_column("memory", "Memory", 100)),
    number_column("memory_share", "Mem %", 80, "memory_tone"),
    hidden_below(PHONE_PX, course_column("memory_course", "Memory", {"colour": "accent", "isFromZero": True})),
    hidden_below(PHONE_PX, number_column("restarts", "Restarts", 92)),
    hidden_below(PHONE_PX, number_column("oom_kills", "OOM", 72, "oom_tone")),
]


def breakdown_grid() -> Component:
    """Return the empty table."""
    return grid("service-breakdown", COLUMNS, "id", {"localeText": {"noRowsToShow": "No calls"}})


def instances_grid() -> Component:
    """Return the empty table of the service's containers and processes."""
    return grid("service-instances", INSTANCE_COLUMNS, "key", {"localeText": {"noRowsToShow": "None measured"}})
