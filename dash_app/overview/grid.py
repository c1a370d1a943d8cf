"""The services table.

Built once into the layout; rows come from `rows.py`.
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
    hidden_in_table_below,
    named_column,
    number_column,
)

_TABLE_OF_ALL_PX: Final = 1_160
"""From which width on the names of services have room beside all columns."""

COLUMNS: Final[list[Column]] = [
    named_column("Service") | {"flex": 3, "maxWidth": 320},
    {
        "field": "status",
        "headerName": "Status",
        "cellRenderer": "Status",
        "width": 112,
        "sort": "asc",
        "comparator": {"function": "bySeverity"},
        "sortingOrder": ["asc", "desc", None],
    },
    hidden_below(PHONE_PX, number_column("rate", "Req/s", 76)),
    hidden_below(PHONE_PX, course_column("traffic", "Traffic", {"colour": "accent", "isFromZero": True})),
    hidden_below(TABLET_PX, number_column("p50", "P50", 82)),
    number_column("p95", "P95", 82, "latency_tone"),
    hidden_below(TABLET_PX, number_column("p99", "P99", 82)),
    hidden_below(
        PHONE_PX,
        course_column("latency", "Latency", {"toneField": "latency_tone", "colour": "accent", "isFromZero": True})
        | {"headerTooltip": "P95 over the range"},
    ),
    hidden_below(TABLET_PX, number_column("apdex", "Apdex", 72)),
    number_column("errors", "Errors %", 86, "errors_tone"),
    hidden_in_table_below(
        _TABLE_OF_ALL_PX,
        course_column("failures", "Errors", {"toneField": "errors_tone", "colour": "muted", "isFromZero": True}),
    ),
    hidden_below(
        TABLET_PX,
        {
            "field": "resources",
            "headerName": "Resources",
            "width": 100,
            "valueFormatter": {"function": "params.data.resources_text"},
            "tooltipField": "resources_evidence",
            "cellClassRules": {
                f"is-{tone}": f"params.data.resources_tone == '{tone}'" for tone in ("critical", "degraded")
            },
        },
    ),
]


def services_grid() -> Component:
    """Return the empty table."""
    options = {
        "isExternalFilterPresent": {"function": "isFiltered()"},
        "doesExternalFilterPass": {"function": "passesFilter(params)"},
        "localeText": {"noMatchingRows": "No service matches the filter", "noRowsToShow": "No services"},
    }
    return grid("services", COLUMNS, "service", options)
