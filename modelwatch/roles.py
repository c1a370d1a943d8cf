"""The table of roles; `up` is just the role that has every part.

The command line runs one of them; what each part consists of stands in `assembly`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import structlog

from modelwatch.assembled import Assembly
from modelwatch.assembly import Part, assemble, assemble_workers
from modelwatch.garbage import calm_garbage_collection
from modelwatch.lifecycle import run_until_signal
from modelwatch.settings import Settings
from telemetry import StartError

log = structlog.get_logger(__name__)

ROLES: Mapping[str, frozenset[Part]] = {
    "up": frozenset({"receiver", "processor", "web", "alerts", "containers", "exporter"}),
    "receiver": frozenset({"receiver"}),
    "processor": frozenset({"processor"}),
    "exporter": frozenset({"exporter"}),
    "dashboard": frozenset({"web"}),
    "alerts": frozenset({"alerts"}),
    "containers": frozenset({"containers"}),
}


async def run_role(role: str, settings: Settings) -> None:
    """Run a role until SIGTERM or Ctrl-C. Raises `StartError`."""
    assembly = assemble_role(role, settings)
    calm_garbage_collection()
    await run_until_signal(assembly.components, f"{role} is ready", assembly.addresses)


def assemble_role(role: str, settings: Settings) -> Assembly:
    """Return what a role consists of: its parts, or workers that have them. Raises `StartError`."""
    parts = ROLES[role]
    if parts > {"alerts"} and not settings.alerts.is_enabled:
        parts -= {"alerts"}
    if not settings.exporter.targets:
        if parts == {"exporter"}:
            _accept_no_targets(settings)
        elif "exporter" in parts and not settings.broker_url:
            _tell_what_waits(settings.data_dir)
        parts -= {"exporter"}
    if settings.receiver.workers == 1 or "receiver" not in parts:
        return assemble(parts, settings, role)
    if parts != {"receiver"}:
        raise StartError(f"`{role}` is one process: leave MODELWATCH_RECEIVER__WORKERS at 1, or run `receiver` alone")
    from modelwatch.workers import Workers  # late: no other role starts processes

    return assemble_workers(settings, Workers)


def _accept_no_targets(settings: Settings) -> None:
    """Let an exporter be idle where its list of targets is empty; one without a list was forgotten, and is refused.

    Compose files give an empty list by default, and start again whatever ends.
    """
    if "targets" not in settings.exporter.model_fields_set:
        raise StartError("there is nothing to forward to: set MODELWATCH_EXPORTER__TARGETS (docs/forwarding.md)")
    log.warning(
        "nothing is forwarded: the list of targets is empty; name some in MODELWATCH_EXPORTER__TARGETS, "
        "with Compose in MODELWATCH_EXPORT_TARGETS of .env, and start this again (docs/forwarding.md)"
    )


def _tell_what_waits(data_dir: Path) -> None:
    """Say that files wait for targets of which none is left: they are not touched, as a slip may be the reason."""
    from otlp_exporter.disk_files import segments_below  # late: a role loads only what it runs

    if files := segments_below(data_dir):
        log.warning(
            "nothing is forwarded: there is no target, and what waited for those of before stays on disk until there "
            "is one; or delete this folder while ModelWatch is stopped (docs/forwarding.md)",
            folder=str(files[0].parent),
            size_bytes=sum(path.stat().st_size for path in files),
        )
