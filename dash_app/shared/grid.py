"""What every table is made of: the theme of the AG Grid, columns of numbers and of sparklines.

Built once into the layouts of pages; cells are drawn by `assets/dashAgGridComponentFunctions.js`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import dash_ag_grid as dag
from dash.development.base_component import Component

Column = dict[str, Any]

PHONE_PX: Final = 720
TABLET_PX: Final = 980
_THEME: Final = (
    "themeQuartz.withParams({"
    "backgroundColor:'var(--panel)',foregroundColor:'var(--text)',borderColor:'var(--line)',"
    "headerBackgroundColor:'var(--panel)',headerTextColor:'var(--muted)',headerFontWeight:500,headerFontSize:12,"
    "fontFamily:'Inter, system-ui, sans-serif',fontSize:13,rowHoverColor:'var(--hover)',accentColor:'var(--accent)',"
    "selectedRowBackgroundColor:'var(--chosen)',wrapperBorder:false,wrapperBorderRadius:0,rowHeight:34,headerHeight:32,"
    "cellHorizontalPadding:12,columnBorder:false,headerColumnBorder:false,headerColumnResizeHandleColor:'transparent'})"
)


def hidden_below(width_px: int, column: Column) -> Column:
    """Return the column so that screens narrower than that leave it out."""
    return column | {"context": {"hiddenBelow": width_px}}


def hidden_in_table_below(width_px: int, column: Column) -> Column:
    """Return the column so that tables narrower than that leave it out, such as those beside a list."""
    return column | {"context": {"hiddenInTableBelow": width_px}}


def number_column(field: str, title: str, width: int, tone_field: str | None = None) -> Column:
    """A column sorted by the number and showing its text, coloured and bold where the row has that problem.

    Of a `cpu_tone` the row's `cpu_evidence` is the tooltip, where there is one.
    """
    column: Column = {
        "field": field,
        "headerName": title,
        "width": width,
        "valueFormatter": {"function": f"params.data.{field}_text"},
        "cellClass": ["ag-right-aligned-cell", "mono"],
        "headerClass": "ag-right-aligned-header",
        "sortingOrder": ["desc", "asc", None],
    }
    if tone_field:
        column["tooltipField"] = tone_field.replace("_tone", "_evidence")
        column["cellClassRules"] = {
            f"is-{tone}": f"params.data.{tone_field} == '{tone}'" for tone in ("critical", "degraded")
        }
    return column


def named_column(title: str) -> Column:
    """A name with a note beside it, which is a link. The row's `name_text` changes with everything that is drawn of it.

    Cells are drawn again only when their own value changes, and a note or a link may change without the name.
    """
    return {
        "field": "name",
        "headerName": title,
        "valueGetter": {"function": "params.data.name_text"},
        "cellRenderer": "Named",
        "flex": 2.2,
        "minWidth": 104,
    }


def course_column(field: str, title: str, parameters: dict[str, Any]) -> Column:
    """A sparkline over the range."""
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


OPTIONS: Final[dict[str, Any]] = {
    "theme": {"function": _THEME},
    "animateRows": False,
    "domLayout": "autoHeight",
    "suppressCellFocus": True,
    # Else cells lie over each other by up to 50 pixels for a fifth of a second when columns come or go.
    "suppressColumnMoveAnimation": True,
    "enableCellTextSelection": True,
    "suppressColumnVirtualisation": True,
}


def grid(name: str, columns: Sequence[Column], row_id: str, options: dict[str, Any]) -> Component:
    """Return an empty table with the id `name`; rows are told apart by their field `row_id`."""
    table: Component = dag.AgGrid(
        id=name,
        columnDefs=list(columns),
        rowData=[],
        getRowId=f"params.data.{row_id}",
        defaultColDef={"resizable": True, "sortable": True, "suppressMovable": True, "filter": False},
        dashGridOptions=OPTIONS | options,
        className="services",
        style={"height": None},
    )
    return table
