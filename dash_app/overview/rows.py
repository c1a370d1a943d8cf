"""The rows of the services table.

Pure, from a `Snapshot` to what the grid takes; numbers stay numbers for sorting and have their text beside them.
"""

from __future__ import annotations

from dash_app.overview.snapshot import Snapshot
from dash_app.shared import formatting
from dash_app.shared.names import is_blank, visible
from dash_app.shared.red_cells import Row, red_cells
from dash_app.shared.verdicts import verdict_cell
from query import ProblemKind, RedAnswer, RedSeries, ServiceSummary, Status


def rows_of(snapshot: Snapshot) -> list[Row]:
    """Return one row per service, in the order of the answer: the worst first, then by name."""
    courses = {item.labels["service"]: item for item in snapshot.by_service.items}
    return [
        _row(item, rank, courses.get(item.service), snapshot.by_service)
        | verdict_cell(snapshot.verdicts.of(item.service) if snapshot.verdicts else ())
        for rank, item in enumerate(snapshot.services.items)
    ]


def _row(item: ServiceSummary, rank: int, course: RedSeries | None, answer: RedAnswer) -> Row:
    total, steps = item.total, course.steps if course else ()
    name, note, details = visible(item.service), _versions(item), _details(item)
    return {
        "service": item.service,
        "path": "/service",
        "link": {"name": item.service},
        "name": name,
        "name_text": f"{name}\n{note}\n{details}",
        "is_blank": is_blank(item.service),
        "note": note,
        "details": details,
        "status": item.status.value,
        "rank": rank,
        **red_cells(total, steps, answer),
        "latency_tone": _tone(item, ProblemKind.HIGH_LATENCY),
        "errors_tone": _tone(item, ProblemKind.HIGH_ERROR_RATE),
    }


def _versions(item: ServiceSummary) -> str:
    named = [version for version in item.versions if version]
    return visible(named[0]) if len(named) == 1 else f"{len(named)} versions" if named else ""


def _details(item: ServiceSummary) -> str:
    """What the row's tooltip says."""
    parts = [
        visible(item.service),
        f"{formatting.count(item.total.calls)} calls, {formatting.plural(item.total.errors, 'error')}",
        formatting.plural(item.instance_count, "instance"),
    ]
    for title, values in (("version", item.versions), ("environment", item.environments)):
        if named := [value for value in values if value]:
            parts.append(f"{title}{'s' if len(named) > 1 else ''} {', '.join(named[:5])}{' …' if named[5:] else ''}")
    return visible(" · ".join(parts))


def _tone(item: ServiceSummary, kind: ProblemKind) -> str:
    status = next((problem.status for problem in item.problems if problem.kind is kind), Status.HEALTHY)
    return status.value
