"""The rows of the table of a service's routes, versions, instances, dependencies and so on.

Pure; numbers stay numbers for sorting and have their text beside them.
"""

from __future__ import annotations

import json

from dash_app.service.breakdowns import Breakdown, name_and_details, traces_of
from dash_app.shared import formatting
from dash_app.shared.red_cells import Row, red_cells
from query import BreakdownAnswer, RedAnswer


def rows_of(breakdown: Breakdown, totals: BreakdownAnswer, courses: RedAnswer, service: str) -> list[Row]:
    """Return one row per group, the one that takes most of the time first.

    `time` is the group's share of the time that all calls took together, `blame` its share of all errors: what it would
    help to make it faster, or to mend it. Its name leads to its slowest requests that were kept.
    """
    busy_s = sum(item.total.busy_s for item in totals.items)
    errors = sum(item.total.errors for item in totals.items)
    steps_of = {tuple(item.labels.items()): item.steps for item in courses.items}
    rows = []
    for item in sorted(totals.items, key=lambda item: -item.total.busy_s):
        name, details = name_and_details(breakdown, item.labels)
        time = item.total.busy_s / busy_s if busy_s else None
        blame = item.total.errors / errors if errors else None
        rows.append(
            {
                "id": json.dumps([item.labels[field] for field in breakdown.group_by]),
                "name": name,
                "note": details,
                "details": " ".join(filter(None, (name, details))) + f", {formatting.count(item.total.calls)} calls",
                "name_text": f"{name}\n{details}\n{item.total.calls}",
                "path": "/traces",
                "link": traces_of(breakdown, item.labels, service),
                "is_blank": not item.labels[breakdown.group_by[0]].strip(),
                "calls": item.total.calls,
                "calls_text": formatting.count(item.total.calls),
                **red_cells(item.total, steps_of.get(tuple(item.labels.items()), ()), courses),
                "time": time,
                "time_text": formatting.percent(time).number,
                "blame": blame,
                "failures_tone": "critical" if item.total.errors else "healthy",
                "blame_text": formatting.percent(blame).number,
            }
        )
    return rows
