"""The demo: ModelWatch, three model APIs and their traffic as real processes, kept together until Ctrl-C.

Run by `modelwatch demo`; what is started stands in `demo_programs`, how processes are kept in `processes`.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelwatch.demo_programs import (
    FENCED,
    INGEST,
    MODELWATCH,
    TRAFFIC,
    Server,
    check_ports,
    check_tools,
    find_repository,
    knowing_what_to_stop,
    model_api_servers,
    modelwatch_servers,
    traffic_program,
)
from modelwatch.fences import Fence, make_fence
from modelwatch.own_server import body_at
from modelwatch.processes import Children, Program
from modelwatch.settings import Settings
from telemetry import StartError

START_TIMEOUT_S = 120.0
PROGRESS_EVERY_S = 5.0
EXIT_CHILD_ENDED = 1
MOST_RESTARTS = 5
RESTARTS_WITHIN_S = 120.0
BEHIND = "behind"
"""The incident that needs a ModelWatch of several processes."""


@dataclass(frozen=True)
class Plan:
    """Everything that the demo starts, in this order; it stops in reverse."""

    modelwatch: dict[str, Server]
    model_apis: dict[str, Server]
    traffic: Program
    logs_dir: Path
    fences: Mapping[str, Fence]
    settings: Settings
    remark: str = ""
    """What is to be said before the start."""


def run_demo(settings: Settings, incidents: Sequence[str] = ()) -> int:
    """Run until Ctrl-C or SIGTERM and return 0, or 1 if one of the processes ended by itself.

    `incidents` happen at once, instead of the schedule. Raises `StartError` before anything is started, if something is
    missing or a port is taken.
    """
    plan = _plan(settings, incidents)
    try:
        code = asyncio.run(_run(plan))
    finally:
        for fence in plan.fences.values():
            fence.remove()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C while Python ends would print a traceback
    return code


def _plan(settings: Settings, incidents: Sequence[str]) -> Plan:
    repository, environ = find_repository(), dict(os.environ)
    check_tools()
    logs_dir = (settings.data_dir / "logs").resolve()
    model_apis = model_api_servers(settings, environ, repository, logs_dir)
    check_ports(settings, model_apis)
    try:
        logs_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StartError(f"{logs_dir} cannot be made ({error.strerror}): set MODELWATCH_DATA_DIR") from None
    traffic = traffic_program(settings, environ, repository, logs_dir, model_apis, incidents)
    if incidents:
        _check_traffic(traffic)
    fences, remark = _fences()
    model_apis = model_api_servers(settings, environ, repository, logs_dir, fences)
    traffic = traffic_program(settings, environ, repository, logs_dir, model_apis, incidents, fences)
    is_split = any(incident.partition("=")[0] == BEHIND for incident in incidents)
    servers = modelwatch_servers(settings, environ, logs_dir, is_split=is_split)
    return Plan(servers, model_apis, traffic, logs_dir, fences, settings, remark)


def _check_traffic(traffic: Program) -> None:
    """Raise `StartError` if the traffic does not know what it is asked for."""
    environ = dict(traffic.environ)
    checked = subprocess.run(
        [*traffic.command, "--check"], env=environ, cwd=traffic.working_dir, capture_output=True, text=True
    )
    if checked.returncode:
        raise StartError(checked.stderr.strip().rpartition("error: ")[2])


def _fences() -> tuple[dict[str, Fence], str]:
    """Return what could be made of the cgroups that are wanted: all of them, or none and the reason."""
    fences: dict[str, Fence] = {}
    try:
        cgroup_text = Path("/proc/self/cgroup").read_text()
        for name, limits in FENCED.items():
            fences[name] = make_fence(name, limits, cgroup_text)
    except OSError as error:
        for fence in fences.values():
            fence.remove()
        reason = error.strerror or error
        return {}, f"No cgroups may be made here ({reason}): no API is throttled or short of memory"
    return fences, ""


async def _run(plan: Plan) -> int:
    asked_to_stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, asked_to_stop.set)
    children = Children()
    ready: set[str] = set()
    ends = [asyncio.ensure_future(asked_to_stop.wait()), asyncio.ensure_future(_keep(plan, children, ready))]
    coming_up = asyncio.ensure_future(_bring_up(plan, children, ready))
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


async def _keep(plan: Plan, children: Children, ready: set[str]) -> str:
    """Start model APIs again that end after they were ready, as a supervisor does; return what ends all.

    That is the end of anything else, or of an API again and again.
    """
    restarts: defaultdict[str, list[float]] = defaultdict(list)
    while True:
        name, words = await children.next_end()
        now_s = time.monotonic()
        recent = restarts[name] = [at_s for at_s in restarts[name] if now_s - at_s < RESTARTS_WITHIN_S]
        if name not in plan.model_apis or name not in ready or len(recent) >= MOST_RESTARTS:
            return words
        recent.append(now_s)
        _say(f"  {words}; it is started again")
        await children.start(plan.model_apis[name].program, is_again=True)


async def _bring_up(plan: Plan, children: Children, ready: set[str]) -> None:
    """Start the servers side by side, then the traffic; say so at each step, and note which of them are ready."""
    if plan.remark:
        _say(plan.remark)
    servers = [*plan.modelwatch.values(), *plan.model_apis.values()]
    pids: dict[str, int] = {}
    _say(f"Starting {', '.join(server.program.name for server in servers)}; their logs are in {plan.logs_dir}")
    started_s = time.monotonic()
    for server in servers:
        pids[server.program.name] = await children.start(server.program)
    waiting = {asyncio.ensure_future(_until_ready(server)): server for server in servers}
    try:
        while waiting:
            done, _ = await asyncio.wait(waiting, timeout=PROGRESS_EVERY_S, return_when=asyncio.FIRST_COMPLETED)
            elapsed_s = time.monotonic() - started_s
            for task in done:
                server = waiting.pop(task)
                ready.add(server.program.name)
                doing = "is ready" if server.program.name in plan.modelwatch else "has trained its model and is ready"
                _say(f"  {server.program.name} {doing} after {elapsed_s:.1f} s")
            names = ", ".join(server.program.name for server in waiting.values())
            if waiting and elapsed_s > START_TIMEOUT_S:
                raise TimeoutError(f"{names} did not become ready within {START_TIMEOUT_S:.0f} s; see {plan.logs_dir}")
            if waiting and not done:
                _say(f"  waiting for {names} ({elapsed_s:.0f} s)")
    finally:
        await _cancel(list(waiting))
    traffic = plan.traffic
    if INGEST in pids:
        traffic = knowing_what_to_stop(traffic, plan.settings, pids[INGEST])
    await children.start(traffic)
    _say(f"Traffic is on its way; incidents are announced below. Ctrl-C stops everything.\n\n{_addresses(plan)}\n")


async def _until_ready(server: Server) -> None:
    while True:
        if await asyncio.to_thread(_is_ready, server):
            return
        await asyncio.sleep(0.1)


def _is_ready(server: Server) -> bool:
    return body_at(server.host, server.port, server.ready_path, timeout_s=2) is not None


async def _stop(plan: Plan, children: Children) -> None:
    """Stop the traffic, then the APIs with their last spans, and ModelWatch once those have arrived."""
    _say("Stopping")
    for names in ([TRAFFIC], list(plan.model_apis), list(plan.modelwatch)):
        for name in await children.stop(names):
            _say(f"  {name} did not stop in time and was killed")
    _say("Everything is stopped; the history is kept for the next start")


async def _cancel(tasks: Sequence[asyncio.Future[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _addresses(plan: Plan) -> str:
    rows = [("ModelWatch", plan.modelwatch[MODELWATCH].url("/"))]
    rows += [(name, server.url("/docs")) for name, server in plan.model_apis.items()]
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"  {name:<{width}}  {url}" for name, url in rows)


def _say(text: str) -> None:
    with suppress(OSError):  # a closed terminal must not keep the processes from being stopped
        print(text, flush=True)
