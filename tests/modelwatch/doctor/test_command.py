"""`modelwatch doctor -- COMMAND` with real servers, each with an ill of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest

from tests.support.otlp_sink import Sink, running_sink
from tests.support.ports import free_port, is_free
from tests.support.processes import BIN, RunningProcess
from tests.support.waiting import eventually
from tests.support.watched_app import APPS, NEVER_MS

ALL_OURS = "modelwatch_starlette,modelwatch_uvicorn,modelwatch_servers,fastapi,starlette"


@pytest.fixture(scope="module")
def sink() -> Iterator[Sink]:
    """The endpoint that the environment names; the doctor asks it and sends it no span."""
    with running_sink() as running:
        yield running


def command_of(app: str, *arguments: str) -> list[str]:
    """Return how to serve an application of `apps/` on a free port."""
    server = [str(BIN / "uvicorn"), "--app-dir", str(APPS), f"{app}:app", "--port", str(free_port()), *arguments]
    return [sys.executable, "-m", "modelwatch", "doctor", "--", *server]


class Examined(NamedTuple):
    """The doctor's code, what it says by state and subject, and all that it printed."""

    code: int
    said: dict[str, str]
    output: str


def examined(command: list[str], **environ: str) -> Examined:
    """Run the doctor."""
    bare = {name: value for name, value in os.environ.items() if not name.startswith(("MODELWATCH_", "OTEL_"))}
    done = subprocess.run(command, env=bare | environ, capture_output=True, text=True, timeout=110, check=False)
    said = dict(line.split(": ", 1) for line in done.stdout.splitlines() if line.startswith(("PROBLEM", "note", "ok")))
    named = {" ".join(name.split()): text for name, text in said.items()}
    return Examined(done.returncode, named, done.stdout + done.stderr)


@pytest.fixture(scope="module")
def patients(sink: Sink) -> dict[str, Examined]:
    """Four servers, each examined by a doctor of its own, all at once: most of that is waiting."""
    endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": sink.urls["grpc"]}
    asked: dict[str, tuple[list[str], dict[str, str]]] = {
        "well": (
            command_of("model_app"),
            {**endpoint, "OTEL_SERVICE_NAME": "well", "OTEL_RESOURCE_ATTRIBUTES": "service.version=1.0"},
        ),
        "ill": (
            command_of("plain_app"),
            {
                "OTEL_PYTHON_EXCLUDED_URLS": "",
                "OTEL_SEMCONV_STABILITY_OPT_IN": "default",
                "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{free_port()}",
                "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
                "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
                "OTEL_TRACES_SAMPLER_ARG": "0",
            },
        ),
        "doubled": (
            command_of("doubled_app", "--workers", "2"),
            {
                **endpoint,
                "OTEL_SERVICE_NAME": "doubled",
                "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": ALL_OURS,
                "OTEL_BSP_SCHEDULE_DELAY": "3000",
            },
        ),
        "mute": (command_of("starlette_app"), {**endpoint, "OTEL_TRACES_EXPORTER": "none"}),
    }
    with ThreadPoolExecutor(len(asked)) as pool:
        running = {name: pool.submit(examined, command, **environ) for name, (command, environ) in asked.items()}
        return {name: found.result() for name, found in running.items()}


def test_a_server_that_is_well_is_told_so(patients: dict[str, Examined], sink: Sink) -> None:
    """Its spans are shown, a stream without end is asked once, the endpoint got no span, and the code is 0."""
    code, said, output = patients["well"]
    assert (code, list(said)) == (0, ["ok endpoint"]), output
    assert "All is well" in output
    assert "predict LogisticRegression" in output
    assert output.count("/events") <= 2, "a line in the table at most, with name and route"
    assert sink.spans("well") == []


def test_a_server_with_many_ills_hears_of_each(patients: dict[str, Examined]) -> None:
    """An ASGI application without a framework or a name, sampled, under old settings, and nobody at its endpoint."""
    code, said, output = patients["ill"]
    assert code == 1
    assert set(said) == {
        "PROBLEM service name",
        "PROBLEM missing route",
        "PROBLEM endpoint",
        "PROBLEM sampling",
        "note missing version",
        "note old conventions",
        "note probe noise",
    }, output


def test_doubled_spans_and_those_lost_in_the_end_are_found(patients: dict[str, Examined]) -> None:
    """With our instrumentation off, two others trace each request, and workers drop what they have on SIGTERM."""
    code, said, output = patients["doubled"]
    assert code == 1
    assert {"PROBLEM doubled spans", "PROBLEM lost at the end", "note message spans"} <= set(said), output
    assert "unset OTEL_PYTHON_DISABLED_INSTRUMENTATIONS" in said["PROBLEM doubled spans"]


def test_a_server_that_sends_nothing_is_told_why(patients: dict[str, Examined]) -> None:
    """The variable that switches the export off is named."""
    code, said, output = patients["mute"]
    assert (code, list(said)) == (1, ["PROBLEM no spans", "ok endpoint"]), output
    assert "set OTEL_TRACES_EXPORTER=otlp (it is none)" in said["PROBLEM no spans"]


def test_a_command_that_ends_at_once_is_told_with_its_last_words() -> None:
    """No finding can be made: code 2, and what the command said."""
    code, said, output = examined(command_of("no_such_app"))
    assert (code, said) == (2, {})
    assert "ended before it was asked anything" in output
    assert "no_such_app" in output.splitlines()[-1]


def test_a_command_that_does_not_exist_is_told() -> None:
    """Code 2 and one line."""
    code, said, output = examined([sys.executable, "-m", "modelwatch", "doctor", "--", "/no/such/server"])
    assert (code, said) == (2, {})
    assert output.splitlines() == ["modelwatch: /no/such/server is no command that can be run here"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
async def test_a_doctor_that_is_stopped_leaves_no_server_behind(
    sink: Sink, tmp_path: Path, number: signal.Signals
) -> None:
    """In the midst of its waiting for spans that never come; also when it is killed."""
    command = command_of("plain_app")
    port = int(command[command.index("--port") + 1])
    environ = {"OTEL_BSP_SCHEDULE_DELAY": NEVER_MS, "OTEL_EXPORTER_OTLP_ENDPOINT": sink.urls["grpc"]}
    doctor = RunningProcess(command, environ, tmp_path / "doctor.log")
    await eventually(lambda: "It answers at" in doctor.output(), timeout_s=60)
    servers = psutil.Process(doctor.pid).children(recursive=True)
    assert servers
    doctor.process.send_signal(number)
    doctor.process.wait(30)
    await eventually(lambda: not any(server.is_running() for server in servers) and is_free(port), timeout_s=30)
