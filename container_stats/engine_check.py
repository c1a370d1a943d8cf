"""A look at the container engine, for `modelwatch doctor`: who answers, or why nobody does."""

from __future__ import annotations

import asyncio
import os
from typing import Final, Literal

from container_stats.engine_address import NONE, find_engine, usual_sockets
from container_stats.engine_client import EngineClient, EngineError, EngineTls
from container_stats.settings import ContainerSettings

TIMEOUT_S: Final = 3.0


async def look_for_engine(
    settings: ContainerSettings, docker_host: str
) -> tuple[Literal["ok", "note", "problem"], str]:
    """Return how it is and what to say of it. Raises `StartError` for an address of no use.

    An engine that is named and does not answer is a problem; where none is named, having none is well.
    """
    tls = EngineTls(settings.engine_ca_file, settings.engine_cert_file, settings.engine_key_file)
    address = find_engine(settings.engine, docker_host, is_tls=tls.is_set)
    if address is None:
        if settings.engine == NONE:
            return "ok", "not watched, as MODELWATCH_CONTAINERS__ENGINE says; processes are"
        places = ", ".join(map(str, usual_sockets(os.getuid())))
        return "note", f"no engine (looked for {places}); processes are watched: see docs/containers.md"
    client = EngineClient(address, min(settings.engine_timeout_s, TIMEOUT_S), 1, tls)
    try:
        async with asyncio.timeout(2 * TIMEOUT_S):
            engine = await client.connect()
            containers = await client.list_containers()
    except (EngineError, TimeoutError) as error:
        is_named = bool(settings.engine or docker_host)
        return (
            "problem" if is_named else "note",
            f"{str(error) or f'{address} does not answer'}: containers are not watched",
        )
    finally:
        await client.close()
    running = sum(entry.get("State") == "running" for entry in containers)
    return "ok", f"{engine.runtime} {engine.version} at {address}, {running} of {len(containers)} containers run"
