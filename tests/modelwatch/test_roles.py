"""The table of roles."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from structlog.testing import capture_logs

from modelwatch.assembly import assemble
from modelwatch.lifecycle import start_all, stop_all
from modelwatch.roles import ROLES, assemble_role
from modelwatch.settings import Settings
from modelwatch.settings_sources import load
from telemetry import StartError
from tests.support.ports import free_port


def settings_for(folder: Path, **extra: str) -> Settings:
    ports = {
        "MODELWATCH_RECEIVER__GRPC_PORT": str(free_port()),
        "MODELWATCH_RECEIVER__HTTP_PORT": str(free_port()),
        "MODELWATCH_API__PORT": str(free_port()),
        "MODELWATCH_DATA_DIR": str(folder),
    }
    return load(Settings, ports | extra)


async def test_the_whole_starts_and_stops_twice(tmp_path: Path) -> None:
    """Every component of `up` starts, stops, starts and stops, and leaves nothing behind."""
    made = assemble(ROLES["up"], settings_for(tmp_path))
    for _ in range(2):
        await start_all(made.components)
        for check in made.checks.values():
            await check()
        await stop_all(made.components)


@pytest.mark.parametrize("role", ["receiver", "processor"])
def test_a_part_alone_needs_a_broker(role: str, tmp_path: Path) -> None:
    """Receiver and processor in processes of their own say that they need RabbitMQ, and which variable names it."""
    with pytest.raises(StartError, match="MODELWATCH_BROKER_URL"):
        assemble(ROLES[role], settings_for(tmp_path))


async def test_a_role_without_pages_shows_its_figures_on_its_health_port(tmp_path: Path) -> None:
    """One process that receives serves both forms of what it counts and holds, by signal and transport."""
    port = str(free_port())
    broker = f"amqp://guest:guest@127.0.0.1:{free_port()}/"
    made = assemble(
        ROLES["receiver"], settings_for(tmp_path, MODELWATCH_HEALTH__PORT=port, MODELWATCH_BROKER_URL=broker)
    )
    await start_all(made.components)
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            document = (await client.get("/api/v1/pipeline")).json()
            text = (await client.get("/metrics")).text
    finally:
        await stop_all(made.components)
    labels = {"signal": "logs", "transport": "http"}
    accepted = {"kind": "counter", "name": "receiver_accepted_items", "labels": labels, "value": 0}
    in_flight = {"kind": "gauge", "name": "receiver_in_flight_bytes", "labels": labels, "value": 0}
    assert document["scope"] == "process"
    assert [item for item in (accepted, in_flight) if item not in document["items"]] == []
    assert 'modelwatch_receiver_accepted_items_total{signal="logs",transport="http"} 0\n' in text
    assert 'modelwatch_receiver_in_flight_bytes{signal="logs",transport="http"} 0\n' in text


async def test_an_exporter_with_an_empty_list_of_targets_is_ready_and_idle(tmp_path: Path) -> None:
    """It needs no broker, says once what is missing and how to give it, and answers that it is well."""
    port = free_port()
    settings = settings_for(tmp_path, MODELWATCH_EXPORTER__TARGETS="[]", MODELWATCH_HEALTH__PORT=str(port))
    with capture_logs() as logs:
        made = assemble_role("exporter", settings)
        await start_all(made.components)
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            assert [(await client.get(path)).status_code for path in ("/healthz", "/readyz", "/metrics")] == [200] * 3
    finally:
        await stop_all(made.components)
    told = [line["event"] for line in logs if line["log_level"] == "warning"]
    assert len(told) == 1
    assert "MODELWATCH_EXPORTER__TARGETS" in told[0]


def test_what_waits_for_targets_that_are_all_gone_is_told(tmp_path: Path) -> None:
    """With its folder and its size, as nothing else says why it is not forwarded; without such files nothing is."""
    settings = settings_for(tmp_path, MODELWATCH_EXPORTER__TARGETS="[]")
    with capture_logs() as logs:
        assemble_role("up", settings)
    assert logs == []
    (tmp_path / "forwarding").mkdir()
    (tmp_path / "forwarding" / "000000000001.segment").write_bytes(bytes(500))
    with capture_logs() as logs:
        assemble_role("up", settings)
    [told] = logs
    assert told["event"].startswith("nothing is forwarded: there is no target, and what waited")
    assert (told["folder"], told["size_bytes"]) == (str(tmp_path / "forwarding"), 500)


def test_an_exporter_without_a_list_of_targets_is_refused(tmp_path: Path) -> None:
    """Somebody forgot it; the line says what to set."""
    with pytest.raises(StartError, match="MODELWATCH_EXPORTER__TARGETS"):
        assemble_role("exporter", settings_for(tmp_path))


def test_only_the_receiver_alone_has_workers(tmp_path: Path) -> None:
    """The whole in one process says so when it is told to be several, rather than be one in silence."""
    several = {"MODELWATCH_RECEIVER__WORKERS": "2"}
    with pytest.raises(StartError, match="MODELWATCH_RECEIVER__WORKERS"):
        assemble_role("up", settings_for(tmp_path, **several))
    several["MODELWATCH_BROKER_URL"] = "amqp://localhost"
    assert set(assemble_role("receiver", settings_for(tmp_path, **several)).checks) == {"worker_1", "worker_2"}
    assert set(assemble_role("processor", settings_for(tmp_path, **several)).checks) == {
        "history",
        "clock",
        "rabbitmq_source",
    }


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("MODELWATCH_DATABASE_URL", "mysql://user:hunter2@host/db"),
        ("MODELWATCH_BROKER_URL", "kafka://user:hunter2@host"),
        ("MODELWATCH_LIVE_URL", "memcached://user:hunter2@host"),
    ],
)
def test_an_unknown_scheme_is_refused_without_the_password(variable: str, value: str, tmp_path: Path) -> None:
    """A URL that no part stands behind stops the start; the line names the variable and keeps the secret."""
    with pytest.raises(StartError, match=variable) as caught:
        assemble(ROLES["up"], settings_for(tmp_path, **{variable: value}))
    assert "hunter2" not in str(caught.value)
    assert "\n" not in str(caught.value)


NOT_LOADED = {
    "receiver": {"dash", "plotly", "fastapi", "sqlalchemy", "redis", "numpy", "storage.history", "processor.intake"},
    "processor": {"dash", "plotly", "fastapi", "grpc", "otlp_receiver.component", "query.component"},
    "exporter": {"dash", "plotly", "fastapi", "sqlalchemy", "redis", "numpy", "storage.history", "query.component"},
    "containers": {"dash", "plotly", "fastapi", "sqlalchemy", "redis", "numpy", "pika", "grpc", "query.component"},
    "dashboard": {"grpc", "otlp_receiver.component", "processor.intake"},
}
LOADED = {
    "receiver": "otlp_receiver.component",
    "processor": "processor.intake",
    "exporter": "otlp_exporter.component",
    "containers": "container_stats.component",
    "dashboard": "dash_app.component",
}


@pytest.mark.parametrize("role", NOT_LOADED)
def test_a_role_loads_only_what_it_runs(role: str, tmp_path: Path) -> None:
    """A process of its own holds its own room, and neither the libraries nor the rooms of the other roles."""
    targets = "ExporterSettings(targets=[{'name': 'a', 'endpoint': 'http://h:1'}])"
    settings = f"Settings(data_dir={str(tmp_path)!r}, broker_url='amqp://localhost', exporter={targets})"
    program = (
        "import sys, modelwatch.commands\n"
        "from otlp_exporter.settings import ExporterSettings\n"
        "from modelwatch.assembly import assemble\n"
        "from modelwatch.roles import ROLES\n"
        "from modelwatch.settings import Settings\n"
        f"assemble(ROLES[{role!r}], {settings})\n"
        "print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    loaded = set(done.stdout.split())
    assert LOADED[role] in loaded
    assert not loaded & NOT_LOADED[role]
