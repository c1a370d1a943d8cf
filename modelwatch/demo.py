"""The demo: ModelWatch, three model APIs and their traffic as real processes, kept together until Ctrl-C.

Run by `modelwatch demo`; what is started stands in `demo_programs`, how processes are kept in `processes`.
"""

from __future__ import annotations

import asyncio
import http.client
import os
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelwatch.demo_programs import (
    MODELWATCH,
    TRAFFIC,
    Server,
    check_ports,
    check_tools,
    find_repository,
    model_api_servers,
    modelwatch_server,
    traffic_program,
)
from modelwatch.processes import Children, Program
from modelwatch.settings import Settings
from telemetry import StartError

START_TIMEOUT_S = 120.0
PROGRESS_EVERY_S = 5.0
EXIT_CHILD_ENDED = 1


@dataclass(frozen=True)
class Plan:
    """Everything that the demo starts, in this order; it stops in reverse."""

    modelwatch: Server
    model_apis: dict[str, Server]
    traffic: Program
    logs_dir: Path


def run_demo(settings: Settings) -> int:
    """Run until Ctrl-C or SIGTERM and return 0, or 1 if one of the processes ended by itself.

    Raises `StartError` before anything is started, if something is missing or a port is taken.
    """
    plan = _plan(settings)
    code = asyncio.run(_run(plan))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C while Python ends would print a traceback
    return code


def _plan(settings: Settings) -> Plan:
    repository, environ = find_repository(), dict(os.environ)
    check_tools()
    logs_dir = (settings.data_dir / "logs").resolve()
    model_apis = model_api_servers(settings, environ, repository, logs_dir)
    check_ports(settings, model_apis)
    try:
        logs_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StartError(f"{logs_dir} cannot be made ({error.strerror}): set MODELWATCH_DATA_DIR") from None
    traffic = traffic_program(settings, environ, repository, logs_dir, model_apis)
    return Plan(modelwatch_server(settings, environ, logs_dir), model_apis, traffic, logs_dir)


async def _run(plan: Plan) -> int:
    asked_to_stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, asked_to_stop.set)
    children = Children()
    ends = [asyncio.ensure_future(asked_to_stop.wait()), asyncio.ensure_future(children.first_to_end())]
    coming_up = asyncio.ensure_future(_bring_up(plan, children))
    try:
        await asyncio.wait([coming_up, *ends], return_when=asyncio.FIRST_COMPLETED)
        if coming_up.done():
            coming_up.result()
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        stopped, ended = ends
        if stopped.done():
            return 0
        _say(f"modelwatch demo: {ended.result()}")
        return EXIT_CHILD_ENDED
    except OSError as error:  # not ready in time, or a log or command that cannot be opened
        _say(f"modelwatch demo: {error}")
        return EXIT_CHILD_ENDED
    finally:
        await _cancel([coming_up, *ends])
        await _stop(plan, children)


async def _bring_up(plan: Plan, children: Children) -> None:
    """Start the servers side by side, then the traffic; say so at each step."""
    servers = [plan.modelwatch, *plan.model_apis.values()]
    _say(f"Starting {', '.join(server.program.name for server in servers)}; their logs are in {plan.logs_dir}")
    started_s = time.monotonic()
    for server in servers:
        await children.start(server.program)
    waiting = {asyncio.ensure_future(_until_ready(server)): server for server in servers}
    try:
        while waiting:
            done, _ = await asyncio.wait(waiting, timeout=PROGRESS_EVERY_S, return_when=asyncio.FIRST_COMPLETED)
            elapsed_s = time.monotonic() - started_s
            for task in done:
                server = waiting.pop(task)
                doing = "is ready" if server is plan.modelwatch else "has trained its model and is ready"
                _say(f"  {server.program.name} {doing} after {elapsed_s:.1f} s")
            names = ", ".join(server.program.name for server in waiting.values())
            if waiting and elapsed_s > START_TIMEOUT_S:
                raise TimeoutError(f"{names} did not become ready within {START_TIMEOUT_S:.0f} s; see {plan.logs_dir}")
            if waiting and not done:
                _say(f"  waiting for {names} ({elapsed_s:.0f} s)")
    finally:
        await _cancel(list(waiting))
    await children.start(plan.traffic)
    _say(f"Traffic is on its way; incidents are announced below. Ctrl-C stops everything.\n\n{_addresses(plan)}\n")


async def _until_ready(server: Server) -> None:
    while True:
        if await asyncio.to_thread(_is_ready, server):
            return
        await asyncio.sleep(0.1)


def _is_ready(server: Server) -> bool:
    connection = http.client.HTTPConnection(server.host, server.port, timeout=2)
    try:
        connection.request("GET", server.ready_path)
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


async def _stop(plan: Plan, children: Children) -> None:
    """Stop the traffic, then the APIs with their last spans, and ModelWatch once those have arrived."""
    _say("Stopping")
    for names in ([TRAFFIC], list(plan.model_apis), [MODELWATCH]):
        for name in await children.stop(names):
            _say(f"  {name} did not stop in time and was killed")
    _say("Everything is stopped; the history is kept for the next start")


async def _cancel(tasks: Sequence[asyncio.Future[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _addresses(plan: Plan) -> str:
    rows = [("ModelWatch", plan.modelwatch.url("/"))]
    rows += [(name, server.url("/docs")) for name, server in plan.model_apis.items()]
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"  {name:<{width}}  {url}" for name, url in rows)


def _say(text: str) -> None:
    with suppress(OSError):  # a closed terminal must not keep the processes from being stopped
        print(text, flush=True)
