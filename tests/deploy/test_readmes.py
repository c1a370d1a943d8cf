"""Both READMEs say the same, and every command in them is run: here, or by the test that is named for it."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import signal
import subprocess
import time
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import pytest_asyncio

from tests.support.otlp import resource, server_spans, trace_request
from tests.support.ports import free_port
from tests.support.processes import BIN, RunningProcess, answers
from tests.support.systems import System, embedded_system, system_in
from tests.support.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

REPOSITORY = Path(__file__).parent.parent.parent
PATH = f"{BIN}:{os.environ['PATH']}"
ENGLISH, CHINESE = ((REPOSITORY / name).read_text() for name in ("README.md", "README.zh-TW.md"))

RUN_ELSEWHERE = {
    "make demo": ("tests/examples/running_demo.py", '"modelwatch", "demo"'),
    "make test": (".ci/run", "make test"),
    "make run": ("Makefile", "$(BIN)/modelwatch up"),
    "make bench": ("Makefile", "$(BIN)/python -m benchmarks"),
    "pip install ./instrumentation": ("deploy/setup.sh", "-e instrumentation"),
    "opentelemetry-instrument uvicorn app:app": ("tests/support/processes.py", '"opentelemetry-instrument")'),
    "modelwatch up": ("tests/support/systems.py", '{"up": "up"}'),
    "modelwatch receiver --workers 4": ("tests/modelwatch/test_workers.py", '"modelwatch", "receiver", "--workers"'),
    "modelwatch doctor -- uvicorn app:app": ("tests/modelwatch/doctor/test_command.py", '"modelwatch", "doctor", "--"'),
    "modelwatch exporter": ("tests/otlp_exporter/test_ends.py", 'start_role("exporter"'),
    "deploy/secrets.sh": ("tests/deploy/test_compose_file.py", '"secrets.sh")'),
    "docker compose up": ("tests/compose/conftest.py", 'self.compose("up"'),
}
"""Commands that take a whole run of their own, with what runs them, and how it does."""

HERE = ("modelwatch doctor", "modelwatch query")
"""Commands in the text that are run here."""

DISTRIBUTED = "export MODELWATCH_BROKER_URL="
"""How the lines begin that start one process per role; all up to the next empty line belong to them."""


def commands(readme: str) -> list[str]:
    """Return the lines of the indented blocks, without their comments; empty lines are none."""
    lines = [re.sub(r"\s+#.*$", "", line[4:]) for line in readme.splitlines() if line.startswith("    ")]
    return [line for line in lines if line]


async def test_both_say_the_same() -> None:
    """The same commands in the same order; the same sections, rows, entries; the same links and names."""
    assert commands(CHINESE) == commands(ENGLISH)
    assert [len(line.split(" ")[0]) for line in CHINESE.splitlines() if line.startswith("#")] == [
        len(line.split(" ")[0]) for line in ENGLISH.splitlines() if line.startswith("#")
    ]
    for mark in ("|", "- ["):
        assert sum(line.startswith(mark) for line in CHINESE.splitlines()) == sum(
            line.startswith(mark) for line in ENGLISH.splitlines()
        )
    other = {"README.md", "README.zh-TW.md"}
    assert set(re.findall(r"\]\(([^)]+)\)", CHINESE)) - other == set(re.findall(r"\]\(([^)]+)\)", ENGLISH)) - other
    assert sorted(re.findall(r"`([^`]+)`", CHINESE)) == sorted(re.findall(r"`([^`]+)`", ENGLISH))


async def test_every_link_leads_somewhere() -> None:
    """Within the repository."""
    for target in re.findall(r"\]\(([^)]+)\)", ENGLISH + CHINESE):
        assert (REPOSITORY / target.partition("#")[0]).exists(), target


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    """ModelWatch with the service of the READMEs."""
    async with embedded_system(tmp_path_factory.mktemp("readme")) as running:
        body = trace_request(
            server_spans(5, end_ns=time.time_ns() - 10**9), resource("fraud-model")
        ).SerializeToString()
        headers = {"content-type": "application/x-protobuf"}
        async with httpx.AsyncClient() as client:

            async def is_taken() -> bool:
                url = f"http://127.0.0.1:{running.http_port}/v1/traces"
                return (await client.post(url, content=body, headers=headers)).status_code == 200

            await eventually(is_taken, timeout_s=30, interval_s=0.5, what="the spans are taken")
        yield running


async def test_every_command_works(system: System) -> None:
    """What asks is asked of a running system; what is run elsewhere is named; nothing is left over."""
    for line in commands(ENGLISH):
        if line in RUN_ELSEWHERE or line in distributed_lines():
            continue
        if line.startswith("curl "):
            url = shlex.split(line)[1].replace("http://127.0.0.1:8050", system.url)
            async with httpx.AsyncClient(timeout=30) as client:
                answer = await client.get(url)
            assert answer.status_code == 200, line
            assert answer.json()["items"] or "alerts" in url or "metrics" in url, line
        elif line.startswith("modelwatch query "):
            assert b"/items/{id}" in await ran(line, {"MODELWATCH_CLIENT__URL": system.url})
        else:
            found = re.match(r"export (\w+)=", line)
            assert found, f"nothing runs this: {line}"
            assert found[1] in {"OTEL_SERVICE_NAME", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_RESOURCE_ATTRIBUTES"}, line


async def test_the_doctor_is_content(system: System) -> None:
    """With what the READMEs start."""
    assert b"All is well" in await ran("modelwatch doctor", system.environment)


async def test_what_is_run_elsewhere_is_run_there() -> None:
    """Every command of the blocks and of the text that is not run here is named, with the words that run it."""
    inline = set(re.findall(r"`((?:modelwatch|make|docker|deploy/|pip|opentelemetry-instrument)[^`]*)`", ENGLISH))
    assert inline - set(HERE) <= set(RUN_ELSEWHERE)
    assert set(RUN_ELSEWHERE) <= inline | set(commands(ENGLISH))
    for command, (place, words) in RUN_ELSEWHERE.items():
        assert words in (REPOSITORY / place).read_text(), f"{command}: {place}"


async def test_one_process_per_role_starts_as_it_is_written(
    tmp_path: Path, rabbitmq: Any, postgres: Any, redis_server: Any
) -> None:
    """The lines themselves in a shell, with other servers and ports; what is sent to the receiver is on the page."""
    made = system_in(tmp_path, {})
    ports = {port: str(free_port()) for port in ("13133", "13134", "13135")}
    text = "\n".join(distributed_lines())
    for written, used in {
        "amqp://user:password@host/": rabbitmq.url,
        "postgresql+psycopg://user:password@host/modelwatch": postgres.fresh_database(),
        "redis://host:6379/0": redis_server.url,
        **ports,
    }.items():
        assert (written in text) is (written != "13133"), written
        text = text.replace(written, used)
    environment = {**made.environment, "MODELWATCH_HEALTH__PORT": ports["13133"], "PATH": PATH}
    shell = RunningProcess(["/bin/sh", "-c", text], environment, tmp_path / "shell.log")
    try:
        for port in (*ports.values(), str(made.web_port)):
            await eventually(partial(is_there, shell, port), timeout_s=90, what=f"{port} is ready")
        body = trace_request(server_spans(5, end_ns=time.time_ns() - 10**9), resource("fraud-model"))
        async with httpx.AsyncClient() as client:
            url = f"http://127.0.0.1:{made.http_port}/v1/traces"
            headers = {"content-type": "application/x-protobuf"}
            assert (await client.post(url, content=body.SerializeToString(), headers=headers)).status_code == 200

            async def is_counted() -> bool:
                found = (await client.get(f"{made.url}/api/v1/services?window=1h&service=fraud-model")).json()
                return bool(found["total"]["calls"] == 5)

            await eventually(is_counted, timeout_s=90, what="the page has what was sent")
    finally:
        end_group(shell)


def distributed_lines() -> list[str]:
    """Return the lines of the READMEs that start one process per role."""
    block = ENGLISH[ENGLISH.index(f"    {DISTRIBUTED}") :].partition("\n\n")[0]
    return commands(block)


async def ran(line: str, environment: dict[str, str]) -> bytes:
    """Return what the command says, which must end with 0."""
    program, *arguments = shlex.split(line)
    done = await asyncio.to_thread(
        subprocess.run,
        [str(BIN / program), *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, f"{line}: {done.stdout!r} {done.stderr!r}"
    return bytes(done.stdout)


async def is_there(running: RunningProcess, port: str) -> bool:
    return running.assert_running() and await answers(f"http://127.0.0.1:{port}/readyz")


def end_group(shell: RunningProcess) -> None:
    """End the shell and the processes that it put into the background, as a closed terminal does."""
    members = [shell.process.pid, *(child.pid for child in psutil.Process(shell.pid).children(recursive=True))]
    os.killpg(shell.pid, signal.SIGTERM)
    shell.process.wait(20)
    _, alive = psutil.wait_procs([psutil.Process(pid) for pid in members if psutil.pid_exists(pid)], timeout=20)
    if alive:
        os.killpg(shell.pid, signal.SIGKILL)
    assert not alive, shell.output()[-4000:]
