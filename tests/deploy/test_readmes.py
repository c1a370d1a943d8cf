"""Both READMEs say the same, and every command in them is run: here, or by the test that is named for it."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import subprocess
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from modelwatch.roles import ROLES
from tests.support.otlp import resource, server_spans, trace_request
from tests.support.processes import BIN
from tests.support.systems import System, embedded_system
from tests.support.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

REPOSITORY = Path(__file__).parent.parent.parent
ENGLISH, CHINESE = ((REPOSITORY / name).read_text() for name in ("README.md", "README.zh-TW.md"))

RUN_ELSEWHERE = {
    "make demo": "tests/examples/test_demo.py",
    "make test": ".ci/run",
    "pip install ./instrumentation": "deploy/setup.sh",
    "opentelemetry-instrument uvicorn app:app": "tests/instrumentation",
}
"""Commands that take a whole run of their own, with what runs them."""


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
    """What asks is asked of a running system; roles and variables are those that there are; nothing is left over."""
    for line in commands(ENGLISH):
        if line in RUN_ELSEWHERE:
            place = RUN_ELSEWHERE[line]
            assert (REPOSITORY / place).exists(), f"{line}: {place}"
        elif line.startswith("curl "):
            url = shlex.split(line)[1].replace("http://127.0.0.1:8050", system.url)
            async with httpx.AsyncClient(timeout=30) as client:
                answer = await client.get(url)
            assert answer.status_code == 200, line
            assert answer.json()["items"] or "alerts" in url or "metrics" in url, line
        elif line.startswith("modelwatch query "):
            environment = {**os.environ, "MODELWATCH_CLIENT__URL": system.url}
            program, *arguments = shlex.split(line)
            done = await asyncio.to_thread(
                subprocess.run, [str(BIN / program), *arguments], env=environment, capture_output=True, check=False
            )
            assert done.returncode == 0, line
            assert b"/items/{id}" in done.stdout, line
        else:
            _check_roles_and_variables(line)


def _check_roles_and_variables(line: str) -> None:
    """The lines that start the distributed size: tests/end_to_end starts the same roles with the same variables."""
    from modelwatch.settings import Settings
    from modelwatch.settings_sources import leaves_of, variable_of

    known = {variable_of(path) for path, _ in leaves_of(Settings)}
    variables = set(re.findall(r"\b(MODELWATCH_\w+)=", line))
    roles = set(re.findall(r"modelwatch (\w+)", line))
    standard = set(re.findall(r"^export (OTEL_\w+)=", line))
    assert variables or roles or standard, f"nothing runs this: {line}"
    assert variables <= known, line
    assert roles <= set(ROLES), line
    assert standard <= {"OTEL_SERVICE_NAME", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_RESOURCE_ATTRIBUTES"}, line
