"""The cards of the overview: RED over all services, and how many of them are well.

Pure, from a `Snapshot` to values.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from dash_app.overview.snapshot import Snapshot
from dash_app.shared import formatting, kpis
from dash_app.shared.formatting import Figure
from dash_app.shared.kpis import Change, Kpi, Measured
from query import ServiceSummary, Status

_WORST_FIRST: Final = (Status.CRITICAL, Status.DEGRADED, Status.HEALTHY, Status.NO_DATA)


def kpis_of(snapshot: Snapshot) -> tuple[Kpi, ...]:
    """Return the cards, in their order on the page."""
    shown = snapshot.bounds.range
    measured = Measured(snapshot.services.total, snapshot.pair, snapshot.overall, shown.words, shown.short)
    return (
        kpis.request_rate(measured),
        kpis.latency(measured, "P50"),
        kpis.latency(measured, "P95"),
        kpis.latency(measured, "P99"),
        kpis.apdex(measured),
        kpis.error_rate(measured),
        kpis.client_errors(measured),
        _unhealthy(snapshot.services.items),
    )


def _unhealthy(items: Sequence[ServiceSummary]) -> Kpi:
    shares = tuple((status, sum(item.status is status for item in items)) for status in _WORST_FIRST)
    critical, degraded, _, silent = (number for _, number in shares)
    return Kpi(
        "unhealthy",
        "Unhealthy",
        Figure(formatting.count(critical + degraded), f"of {formatting.plural(len(items), 'service')}"),
        "",
        _worst(critical, degraded, silent),
        (),
        "accent",
        "Services that are critical or degraded now, of those seen in the range; silent ones are not called any more",
        shares,
    )


def _worst(critical: int, degraded: int, silent: int) -> Change:
    """How many have the worst status there is. A service that is not called any more may be dead: it is not well."""
    if critical or degraded:
        return Change(f"{critical} critical" if critical else f"{degraded} degraded", "bad")
    return Change(f"{silent} silent", "neutral") if silent else Change("all well", "good")
