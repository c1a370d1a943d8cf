"""The badge beside the link to the alerts: how many fire or lost their data while they did, on every page.

Its number has its words in the tooltip and for screen readers, so that the colour is not needed.
"""

from __future__ import annotations

from collections.abc import Sequence

import structlog
from dash import html
from dash.development.base_component import Component

from alerting.desk import OpenAlert
from alerting.notification import Severity
from alerting.states import Phase
from dash_app.shared.alert_news import AlertNews
from dash_app.shell.page import Filling

log = structlog.get_logger(__name__)

BADGE = "alert-badge"


def badge() -> Component:
    """Return the badge, not shown yet."""
    return html.Span(
        [html.Span(id=f"{BADGE}-number"), html.Span(id=f"{BADGE}-words", className="only-read")],
        id=BADGE,
        className="badge",
        hidden=True,
    )


async def badge_now(news: AlertNews) -> Filling:
    """Return what the badge shows. A page that can be answered is not kept back by alerts that cannot."""
    try:
        return badge_of(await news.firing())
    except Exception as error:
        log.warning("badge of alerts not known", error=repr(error))
        return _shown("?", "alerts are not known now", "no_data")


def badge_of(open_alerts: Sequence[OpenAlert]) -> Filling:
    """Return the badge of what fires and what lost its data, which has the colour of what it was."""
    if not open_alerts:
        return {BADGE: {"hidden": True}, f"{BADGE}-words": {"children": ""}}
    firing = [one.alert.state.severity for one in open_alerts if one.alert.state.phase is not Phase.NO_DATA]
    critical = firing.count(Severity.CRITICAL)
    others, silent = len(firing) - critical, len(open_alerts) - len(firing)
    counts = ((critical, "critical"), (others, "warning" if others == 1 else "warnings"), (silent, "without data"))
    words = ", ".join(f"{number} {name}" for number, name in counts if number)
    is_critical = any(one.alert.state.severity is Severity.CRITICAL for one in open_alerts)
    number = str(len(open_alerts)) if len(open_alerts) < 1_000 else "999+"
    return _shown(number, words, "critical" if is_critical else "degraded", "open" if silent else "firing")


def _shown(number: str, words: str, tone: str, what: str = "open") -> Filling:
    return {
        BADGE: {"hidden": False, "className": f"badge is-{tone}", "title": words},
        f"{BADGE}-number": {"children": number},
        f"{BADGE}-words": {"children": f" {what}: {words}"},
    }
