"""The services table: columns and theme of the AG Grid.

Built once into the layout; rows come from `rows.py`, cells are drawn by `assets/dashAgGridComponentFunctions.js`.
"""

from __future__ import annotations

from typing import Any, Final

import dash_ag_grid as dag

_THEME: Final = (
    "themeQuartz.withParams({"
    "backgroundColor:'var(--panel)',foregroundColor:'var(--text)',borderColor:'var(--line)',"
    "headerBackgroundColor:'var(--panel)',headerTextColor:'var(--muted)',headerFontWeight:500,headerFontSize:12,"
    "fontFamily:'Inter, system-ui, sans-serif',fontSize:13,rowHoverColor:'var(--hover)',accentColor:'var(--accent)',"
    "selectedRowBackgroundColor:'var(--chosen)',wrapperBorder:false,wrapperBorderRadius:0,rowHeight:34,headerHeight:32,"
    "cellHorizontalPadding:12,columnBorder:false,headerColumnBorder:false,headerColumnResizeHandleColor:'transparent'})"
)


def _number(field: str, title: str, width: int, tone_field: str | None = None) -> dict[str, Any]:
    """A column sorted by the number and showing its text, coloured and bold where the service has that problem."""
    column: dict[str, Any] = {
        "field": field,
        "headerName": title,
        "width": width,
        "valueFormatter": {"function": f"params.data.{field}_text"},
        "cellClass": ["ag-right-aligned-cell", "mono"],
        "headerClass": "ag-right-aligned-header",
        "sortingOrder": ["desc", "asc", None],
    }
    if tone_field:
        column["cellClassRules"] = {
            f"is-{tone}": f"params.data.{tone_field} == '{tone}'" for tone in ("critical", "degraded")
        }
    return column


def _course(field: str, title: str, parameters: dict[str, Any]) -> dict[str, Any]:
    return {
        "field": field,
        "headerName": title,
        "cellRenderer": "Course",
        "cellRendererParams": parameters,
        "cellDataType": False,
        "sortable": False,
        "flex": 1,
        "minWidth": 72,
    }


COLUMNS: Final[list[dict[str, Any]]] = [
    {
        "field": "service",
        "headerName": "Service",
        "cellRenderer": "Service",
        "flex": 2.4,
        "minWidth": 108,
    },
    {
        "field": "status",
        "headerName": "Status",
        "cellRenderer": "Status",
        "width": 116,
        "sort": "asc",
        "comparator": {"function": "bySeverity"},
        "sortingOrder": ["asc", "desc", None],
    },
    _number("rate", "Req/s", 88),
    _course("traffic", "Traffic", {"colour": "accent", "isFromZero": True}),
    _number("p50", "P50", 92),
    _number("p95", "P95", 92, "latency_tone"),
    _number("p99", "P99", 92),
    _course("latency", "P95 latency", {"toneField": "latency_tone", "colour": "accent", "isFromZero": True}),
    _number("errors", "Errors %", 94, "errors_tone"),
    _course("failures", "Errors", {"toneField": "errors_tone", "colour": "muted", "isFromZero": True}),
    {
        "field": "resources",
        "headerName": "Resources",
        "width": 104,
        "valueFormatter": {"function": "params.data.resources_text"},
        "tooltipField": "resources_evidence",
        "cellClassRules": {
            f"is-{tone}": f"params.data.resources_tone == '{tone}'" for tone in ("critical", "degraded")
        },
    },
]

OPTIONS: Final[dict[str, Any]] = {
    "theme": {"function": _THEME},
    "animateRows": False,
    "rowClassRules": {"is-chosen": "params.data.is_chosen"},
    "domLayout": "autoHeight",
    "suppressCellFocus": True,
    "enableCellTextSelection": True,
    "suppressColumnVirtualisation": True,
    "isExternalFilterPresent": {"function": "isFiltered()"},
    "doesExternalFilterPass": {"function": "passesFilter(params)"},
    "localeText": {"noMatchingRows": "No service matches the filter", "noRowsToShow": "No services"},
}


def services_grid() -> dag.AgGrid:
    """Return the empty table."""
    return dag.AgGrid(
        id="services",
        columnDefs=COLUMNS,
        rowData=[],
        getRowId="params.data.service",
        defaultColDef={"resizable": True, "sortable": True, "suppressMovable": True, "filter": False},
        dashGridOptions=OPTIONS,
        className="services",
        style={"height": None},
    )
