"""What a process tells of itself: its health and figures on a port of its own, its report to the database.

Beside `assembly.py`. Every role has it, so it loads little.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from api.figures import ReadFigures, Scope
from api.health import CHECK_TIMEOUT_S, run_checks
from api.health_app import build_health_app
from api.web_server import WebServer
from modelwatch import __version__
from modelwatch.assembled import Assembly
from modelwatch.settings import Settings
from self_watch.own_report import Identity, OwnReport

if TYPE_CHECKING:
    from storage.history import SqlHistory


def add_health(made: Assembly, settings: Settings, read: ReadFigures, role: str, scope: Scope = "process") -> None:
    """Add the answers on the health port, unless it is turned off."""
    health = settings.health
    if health.port:
        app = build_health_app(read, made.checks, scope=scope, own=own_report(made, role, read).make)
        is_open = health.allow_unauthenticated
        server = made.add(
            WebServer(app, health.host, health.port, "MODELWATCH_HEALTH__PORT", allow_unauthenticated=is_open)
        )
        made.listeners["health"] = lambda: f"http://{health.host}:{server.port}/healthz"


def add_reporter(made: Assembly, settings: Settings, history: SqlHistory, role: str) -> None:
    """Add what writes the report of this process to the database every few seconds."""
    from self_watch.reporter import Reporter
    from storage.component import build_process_reports

    own = own_report(made, role, made.read_figures)
    made.add(Reporter(own, build_process_reports(history), settings.self_watch.report_interval_s))


def own_report(made: Assembly, role: str, read: ReadFigures) -> OwnReport:
    """Return what makes the report of this process."""

    def address() -> str:
        return made.listeners["page"]().rstrip("/") if "page" in made.listeners else ""

    return OwnReport(Identity(role, __version__, read, lambda: run_checks(made.checks, CHECK_TIMEOUT_S), address))
