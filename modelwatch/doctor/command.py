"""`modelwatch doctor -- COMMAND`: runs a model server for a moment, asks it a few things, and looks at what it sends.

Its spans go to a receiver of the doctor's own on loopback, whatever its environment says; where they would go otherwise
is asked apart. Bounded in time; the server and all that it started is ended.
"""

from __future__ import annotations

import asyncio
import math
import os
import secrets
import shutil
import signal
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import httpx
import psutil

from modelwatch.doctor.asking import Question, questions
from modelwatch.doctor.diagnosis import diagnose, is_probe, missing
from modelwatch.doctor.finding import Finding, print_findings
from modelwatch.doctor.launch import TOOL, instrumented, redirected
from modelwatch.doctor.listening import end_all, listening_addresses, process_tree
from modelwatch.doctor.observation import Observation, SeenSpan, SentRequest, spans_of
from modelwatch.doctor.report import report
from modelwatch.processes import Children, Program
from modelwatch.settings import Settings
from otlp_receiver.settings import ReceiverSettings
from telemetry import Batch, Counters, Signal, StartError

START_TIMEOUT_S: Final = 60.0
ARRIVAL_TIMEOUT_S: Final = 8.0
"""The SDK's own delay between exports is 5 s, that of modelwatch-instrumentation 1 s."""
REQUEST_TIMEOUT_S: Final = 5.0
IN_CONTEXT: Final = 12
WITHOUT_CONTEXT: Final = 10
LAST: Final = 4
_SERVER: Final = "server"


class _Keep:
    """A consumer that keeps the spans of what it gets."""

    def __init__(self) -> None:
        self.spans: list[SeenSpan] = []

    async def consume(self, batch: Batch) -> None:
        if batch.signal is Signal.TRACES:
            self.spans += spans_of(batch.body)


def run_command_doctor(_settings: Settings, command: Sequence[str]) -> int:
    """Run the command, print what it sent and what is wrong; return 1 if there is a problem, else 0.

    Raises `StartError` if the command cannot be run or serves nothing.
    """
    if shutil.which(command[0]) is None:
        raise StartError(f"{command[0]} is no command that can be run here")
    # gRPC's handlers around a fork can crash the child; the server's own environment stays as it is.
    environ = dict(os.environ)
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")  # read as gRPC is imported, hence the late imports
    return asyncio.run(_until_told(command, environ))


async def _until_told(command: Sequence[str], environ: Mapping[str, str]) -> int:
    """Examine; a SIGTERM ends it like Ctrl-C, with the server."""
    task = asyncio.ensure_future(_examine(command, environ))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        return await task
    except asyncio.CancelledError:
        return 128 + signal.SIGTERM


async def _examine(command: Sequence[str], environ: Mapping[str, str]) -> int:
    from modelwatch.doctor.endpoint import check_endpoint

    endpoint = asyncio.ensure_future(check_endpoint(environ))
    try:
        seen, killed = await observe(command, environ)
        print(f"{report(seen)}\n", flush=True)
        return print_findings([*diagnose(seen), *killed, *await endpoint])
    finally:
        endpoint.cancel()


async def observe(command: Sequence[str], environ: Mapping[str, str]) -> tuple[Observation, list[Finding]]:
    """Run the command and return what was seen, and what is to say of its end."""
    from otlp_receiver.component import build

    keep = _Keep()
    receiver = build(ReceiverSettings(grpc_port=0, http_port=0), keep, Counters())
    full, our_distro = instrumented(command)
    await receiver.start()
    children = Children()
    try:
        with tempfile.TemporaryDirectory(prefix="modelwatch-doctor-") as folder:
            log = Path(folder) / "server.log"
            program = Program(
                _SERVER, full, redirected(environ, receiver.grpc_port, receiver.http_port), log, stop_timeout_s=10.0
            )
            run = _Run(program, children, keep, command)
            try:
                requests, killed = await run.through()
            finally:
                await children.stop([_SERVER])
                end_all(run.processes)
            is_instrumented = Path(full[0]).name == TOOL
            spans = tuple(span for span in keep.spans if span.trace_id not in run.own_traces)
            seen = Observation(spans, tuple(requests), environ, len(run.processes), our_distro, is_instrumented)
            return seen, killed
    finally:
        await receiver.stop()


class _Run:
    """One run of the server, from its start to its end."""

    def __init__(self, program: Program, children: Children, keep: _Keep, command: Sequence[str]) -> None:
        self.processes: list[psutil.Process] = []
        self.own_traces: set[str] = set()
        self._program = program
        self._children = children
        self._keep = keep
        self._command = command
        self._requests: list[SentRequest] = []
        self._endless: set[str] = set()

    async def through(self) -> tuple[list[SentRequest], list[Finding]]:
        """Start, ask, wait for the spans, ask once more and stop at once."""
        print(f"Running {' '.join(self._program.command)}", flush=True)
        try:
            pid = await self._children.start(self._program)
        except OSError as error:
            raise StartError(f"{self._program.command[0]} cannot be run: {error.strerror or error}") from None
        ended = asyncio.ensure_future(self._children.first_to_end())
        asking = asyncio.ensure_future(self._ask(pid))
        try:
            await asyncio.wait([ended, asking], return_when=asyncio.FIRST_COMPLETED)
            if not asking.done():
                raise StartError(f"the command ended before it was asked anything: {self._told(ended.result())}")
            asking.result()
        finally:
            for task in (ended, asking):
                task.cancel()
            await asyncio.gather(ended, asking, return_exceptions=True)
        killed = await self._children.stop([_SERVER])
        text = "it did not end within 10 s of SIGTERM and was killed, with the spans that it still had"
        return self._requests, [Finding("problem", "end", text) for _ in killed]

    async def _ask(self, pid: int) -> None:
        base = await self._found(pid)
        async with _client(base) as client:
            asked = questions(await self._openapi(client))
            routes = [question for question in asked if not is_probe(question.path)]
            rounds = math.ceil(IN_CONTEXT / len(asked))
            for _ in range(rounds):  # side by side, so that several workers have something to do
                answering = [question for question in asked if question.path not in self._endless]
                await asyncio.gather(*(self._send(client, question, has_context=True) for question in answering))
            routes = [question for question in routes if question.path not in self._endless] or [Question("GET", "/")]
            for number in range(WITHOUT_CONTEXT):
                await self._send(client, routes[number % len(routes)], has_context=False)
            self.processes = process_tree(pid)
            await self._arrived()
            for number in range(LAST):
                await self._send(client, routes[number % len(routes)], has_context=True, is_last=True)

    async def _found(self, pid: int) -> str:
        """Wait for the server to answer HTTP at any of its ports; return its address."""
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline_s:
            self.processes = await asyncio.to_thread(process_tree, pid)
            for host, port in listening_addresses(self.processes, self._command):
                base = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
                async with _client(base) as client:
                    if (
                        await self._send(client, Question("GET", "/openapi.json"), has_context=True, is_kept=False)
                    ).status:
                        print(f"It answers at {base}", flush=True)
                        return base
            await asyncio.sleep(0.2)
        raise StartError(f"the command answered HTTP at no TCP port within {START_TIMEOUT_S:.0f} s")

    async def _openapi(self, client: httpx.AsyncClient) -> object:
        trace_id = secrets.token_hex(16)
        self.own_traces.add(trace_id)
        with suppress(httpx.HTTPError, ValueError, TimeoutError):
            async with asyncio.timeout(REQUEST_TIMEOUT_S):
                answer = await client.get("/openapi.json", headers=_context(trace_id))
            return answer.json() if answer.status_code == httpx.codes.OK else None
        return None

    async def _send(
        self,
        client: httpx.AsyncClient,
        question: Question,
        *,
        has_context: bool,
        is_last: bool = False,
        is_kept: bool = True,
    ) -> SentRequest:
        """Make a request, on a connection of its own so that every worker gets some."""
        trace_id = secrets.token_hex(16)
        headers = {"connection": "close"}
        if has_context:
            headers |= _context(trace_id)
        sent_s, status = time.time(), 0
        with suppress(httpx.HTTPError):
            try:
                async with asyncio.timeout(REQUEST_TIMEOUT_S):
                    status = await _status(client, question, headers)
            except (TimeoutError, httpx.TimeoutException):  # a stream of events has no end: it is asked once
                self._endless.add(question.path)
        request = SentRequest(
            question.method, question.path, trace_id if has_context else None, status, sent_s, time.time(), is_last
        )
        if is_kept:
            self._requests.append(request)
        else:
            self.own_traces.add(trace_id)
        return request

    def _told(self, end: str) -> str:
        """Return how the process ended without its name, and without the log that will be gone."""
        told = end.removeprefix(f"{_SERVER} ").replace(f" ({self._program.log_path})", "")
        return told.replace(f" in {self._program.log_path}", "")

    async def _arrived(self) -> None:
        """Wait until every request has left a span, or for as long as that can take."""
        deadline_s = time.monotonic() + ARRIVAL_TIMEOUT_S
        while time.monotonic() < deadline_s:
            if not missing(Observation(tuple(self._keep.spans), tuple(self._requests), self._program.environ)):
                return
            await asyncio.sleep(0.1)


def _client(base: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=base, timeout=REQUEST_TIMEOUT_S, trust_env=False)


async def _status(client: httpx.AsyncClient, question: Question, headers: Mapping[str, str]) -> int:
    """Return the status of an answer that was read to its end."""
    body: dict[str, str] | None = {} if question.has_body else None
    async with client.stream(question.method, question.path, headers=dict(headers), json=body) as answer:
        async for _ in answer.aiter_raw():
            pass
        return answer.status_code


def _context(trace_id: str) -> dict[str, str]:
    return {"traceparent": f"00-{trace_id}-{secrets.token_hex(8)}-01"}
