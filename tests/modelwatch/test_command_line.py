"""The command line as a person meets it: real processes."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from modelwatch import __version__
from modelwatch.cli import COMMANDS
from rabbit_exporter.segment_name import SegmentName
from tests.support.ports import free_port
from tests.support.processes import RunningProcess, answers, start_role
from tests.support.waiting import eventually


class ForeignPage(BaseHTTPRequestHandler):
    """A program that has nothing to do with ModelWatch and answers everything with a page."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<html>hello</html>")

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MODELWATCH_")}
    return subprocess.run(
        [sys.executable, "-m", "modelwatch", *arguments],
        env=clean | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str) -> None:
    """`modelwatch COMMAND --help` explains the command and succeeds."""
    done = run(command, "--help")
    assert done.returncode == 0
    assert COMMANDS[command][1:20] in " ".join(done.stdout.split())


def test_help_loads_neither_settings_nor_libraries() -> None:
    """What cannot be understood, and what only asks for help, is answered before anything is loaded."""
    program = (
        "import sys, modelwatch.cli\n"
        "try: modelwatch.cli.main(['receiver', '--help'])\n"
        "except SystemExit: print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    loaded = set(done.stdout.splitlines()[-1].split())
    assert "argparse" in loaded
    assert not loaded & {"modelwatch.settings", "telemetry", "pydantic", "yaml", "numpy", "asyncio", "structlog"}


def test_the_version_is_told() -> None:
    """`modelwatch --version` prints it."""
    assert run("--version").stdout.strip() == f"modelwatch {__version__}"


def test_an_unknown_setting_stops_the_start_with_one_line() -> None:
    """A misspelt variable ends the command with code 2 and one line on standard error."""
    done = run("up", MODELWATCH_RECEIVR__GRPC_PORT="1")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "MODELWATCH_RECEIVR__GRPC_PORT is not a setting" in done.stderr


@pytest.mark.parametrize(
    "variable", ["MODELWATCH_RECEIVER__GRPC_PORT", "MODELWATCH_RECEIVER__HTTP_PORT", "MODELWATCH_API__PORT"]
)
def test_a_taken_port_is_one_line_that_names_the_setting(variable: str, tmp_path: Path) -> None:
    """When a port is taken the last line names the port and the setting, and the exit code is 2."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        ports = {
            "MODELWATCH_RECEIVER__GRPC_PORT": str(free_port()),
            "MODELWATCH_RECEIVER__HTTP_PORT": str(free_port()),
            "MODELWATCH_API__PORT": str(free_port()),
        }
        done = run("up", **(ports | {variable: str(port), "MODELWATCH_DATA_DIR": str(tmp_path)}))
    assert done.returncode == 2
    last = done.stderr.strip().splitlines()[-1]
    assert str(port) in last
    assert variable in last
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_up_with_success(number: int, tmp_path: Path) -> None:
    """SIGTERM and Ctrl-C end `modelwatch up` with code 0 within seconds, without a traceback."""
    port = free_port()
    environment = {
        "MODELWATCH_DATA_DIR": str(tmp_path),
        "MODELWATCH_RECEIVER__GRPC_PORT": str(free_port()),
        "MODELWATCH_RECEIVER__HTTP_PORT": str(free_port()),
        "MODELWATCH_API__PORT": str(port),
    }
    running: RunningProcess = await start_role("up", environment, tmp_path / "up.log", port)
    running.process.send_signal(number)
    assert running.process.wait(15) == 0
    assert "Traceback" not in running.output()


def test_the_doctor_finds_what_is_wrong(tmp_path: Path) -> None:
    """A server that does not answer and a foreign port are problems with a remedy; the code is 1."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        taken = holder.getsockname()[1]
        done = run(
            "doctor",
            MODELWATCH_DATA_DIR=str(tmp_path),
            MODELWATCH_DATABASE_URL=f"postgresql+psycopg://u:hunter2@127.0.0.1:{free_port()}/db",
            MODELWATCH_BROKER_URL=f"amqp://u:hunter2@127.0.0.1:{free_port()}/",
            MODELWATCH_LIVE_URL=f"redis://:hunter2@127.0.0.1:{free_port()}/0",
            MODELWATCH_RECEIVER__GRPC_PORT=str(taken),
            MODELWATCH_RECEIVER__HTTP_PORT=str(free_port()),
            MODELWATCH_API__PORT=str(free_port()),
        )
    assert done.returncode == 1
    problems = [line for line in done.stdout.splitlines() if line.startswith("PROBLEM")]
    assert [line.split(":")[0].split(maxsplit=1)[1] for line in problems] == [
        "history",
        "broker",
        "live feed",
        "OTLP/gRPC",
    ]
    assert all("MODELWATCH_" in line for line in problems)
    assert "hunter2" not in done.stdout + done.stderr


def test_the_doctor_tells_what_waits_in_the_spill(tmp_path: Path) -> None:
    """Batches that RabbitMQ does not have yet, and what was kept aside for somebody to look at."""
    (tmp_path / "spill" / "0" / "quarantine").mkdir(parents=True)
    (tmp_path / "spill" / "0" / "quarantine" / "000000000001-0.damaged").write_bytes(b"x")
    (tmp_path / "spill" / "0" / str(SegmentName.fresh(1))).write_bytes(bytes(3 * 1024**2))
    broker = f"amqp://u:hunter2@127.0.0.1:{free_port()}/"
    done = run("doctor", MODELWATCH_DATA_DIR=str(tmp_path), MODELWATCH_BROKER_URL=broker)
    notes = [line for line in done.stdout.splitlines() if " spill: " in line]
    assert "3.0 MiB wait for RabbitMQ" in notes[0]
    assert notes[1].endswith("quarantine: 1; see docs/outages.md")


async def test_the_doctor_knows_a_receiver_that_runs(tmp_path: Path) -> None:
    """Its ports are in use as they should be, though no page is there to say so."""
    health_port = free_port()
    environment = {
        "MODELWATCH_DATA_DIR": str(tmp_path),
        "MODELWATCH_BROKER_URL": f"amqp://127.0.0.1:{free_port()}/",
        "MODELWATCH_RECEIVER__GRPC_PORT": str(free_port()),
        "MODELWATCH_RECEIVER__HTTP_PORT": str(free_port()),
        "MODELWATCH_API__PORT": str(free_port()),
        "MODELWATCH_HEALTH__PORT": str(health_port),
    }
    running: RunningProcess = await start_role("receiver", environment, tmp_path / "receiver.log", health_port)
    try:
        found = run("doctor", **environment).stdout
    finally:
        running.process.terminate()
        assert running.process.wait(15) == 0
    states = {line.split(":")[0][9:]: line.split()[0] for line in found.splitlines() if ": " in line}
    assert (states["OTLP/gRPC"], states["OTLP/HTTP"], states["health"]) == ("note", "note", "ok"), found


def test_the_doctor_is_content_with_the_defaults(tmp_path: Path) -> None:
    """With nothing set and free ports there is no problem."""
    done = run(
        "doctor",
        MODELWATCH_DATA_DIR=str(tmp_path),
        MODELWATCH_RECEIVER__GRPC_PORT=str(free_port()),
        MODELWATCH_RECEIVER__HTTP_PORT=str(free_port()),
        MODELWATCH_API__PORT=str(free_port()),
    )
    assert done.returncode == 0, done.stdout
    assert "All is well" in done.stdout


def test_the_doctor_sees_what_the_start_would_refuse(tmp_path: Path) -> None:
    """An open address, a folder that cannot be made and a foreign program on the page's port are problems."""
    with HTTPServer(("127.0.0.1", 0), ForeignPage) as foreign:
        thread = threading.Thread(target=foreign.serve_forever)
        thread.start()
        done = run(
            "doctor",
            MODELWATCH_DATA_DIR="/proc/nowhere",
            MODELWATCH_RECEIVER__HOST="0.0.0.0",
            MODELWATCH_RECEIVER__GRPC_PORT=str(free_port()),
            MODELWATCH_RECEIVER__HTTP_PORT=str(free_port()),
            MODELWATCH_API__PORT=str(foreign.server_port),
        )
        foreign.shutdown()
        thread.join()
    assert done.returncode == 1, done.stderr
    problems = [line.split(":")[0].split(maxsplit=1)[1] for line in done.stdout.splitlines() if "PROBLEM" in line]
    assert problems == ["data folder", "receiver", "page and API"]
    assert "Traceback" not in done.stderr


async def test_a_port_chosen_by_the_system_is_told(tmp_path: Path) -> None:
    """With port 0 the line that says `up is ready` names the port that was taken."""
    ports = ["MODELWATCH_RECEIVER__GRPC_PORT", "MODELWATCH_RECEIVER__HTTP_PORT", "MODELWATCH_API__PORT"]
    environment = {"MODELWATCH_DATA_DIR": str(tmp_path), **dict.fromkeys(ports, "0")}
    running = RunningProcess([sys.executable, "-m", "modelwatch", "up"], environment, tmp_path / "up.log")
    try:

        def said() -> str | None:
            return next((one for one in running.output().splitlines() if "is ready" in one), None)

        line = await eventually(said, timeout_s=60, what="it is ready")
        assert await answers(json.loads(line)["page"] + "healthz")
    finally:
        running.stop()


def test_rules_of_alerts_go_round_as_a_file(tmp_path: Path) -> None:
    """Exported, checked and imported again, they are the same; a mistake is named with its rule and field."""
    environment = {"MODELWATCH_DATA_DIR": str(tmp_path / "data")}
    file = tmp_path / "rules.yaml"
    assert run("alerts", "export", str(file), **environment).returncode == 0
    text = file.read_text() + "- {rule_id: mine, name: Mine, signal: error_rate, warning: 0.2}\n"
    file.write_text(text)
    assert run("alerts", "check", str(file)).stdout == "9 rules, no mistakes\n"
    assert run("alerts", "import", str(file), **environment).stdout == "1 written, 8 were so already, 0 deleted\n"
    assert "rule_id: mine" in run("alerts", "export", **environment).stdout
    file.write_text(text.replace("warning: 0.2", "warning: 20"))
    wrong = run("alerts", "import", str(file), **environment)
    assert wrong.returncode == 1
    assert "rule 9 (mine): warning: thresholds of this signal are ratios" in wrong.stderr
