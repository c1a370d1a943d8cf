"""The targets that data is forwarded to: whether their files can be used, and whether somebody listens there.

Each is connected to, and sent nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Final

from modelwatch.doctor.finding import Finding
from modelwatch.settings import Settings
from otlp_exporter.certificates import ssl_context
from otlp_exporter.component import refuse_own_ports
from otlp_exporter.target_settings import TargetSettings
from telemetry import StartError

TIMEOUT_S: Final = 3.0
_SUBJECT: Final = "forwarding"
_SETTING: Final = "MODELWATCH_EXPORTER__TARGETS"


def forwarding(settings: Settings) -> Iterator[Finding]:
    """Yield a finding for each target. Raises `StartError` for one that is this machine's own receiver."""
    targets = settings.exporter.targets
    refuse_own_ports(settings.exporter, {settings.receiver.grpc_port, settings.receiver.http_port})
    yield from asyncio.run(_looked_at(targets))


async def _looked_at(targets: tuple[TargetSettings, ...]) -> list[Finding]:
    return list(await asyncio.gather(*(_look_at(target) for target in targets)))


async def _look_at(target: TargetSettings) -> Finding:
    where = f"{target.name} at {target.endpoint}"
    try:
        target.all_headers()
        if target.is_secure:
            ssl_context(target)
        _, writer = await asyncio.wait_for(asyncio.open_connection(*target.address), TIMEOUT_S)
    except StartError as error:
        return Finding("problem", _SUBJECT, str(error))
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        return Finding("problem", _SUBJECT, f"{where} cannot be reached ({reason}): see {_SETTING}")
    writer.close()
    return Finding("ok", _SUBJECT, f"{where} takes connections")
