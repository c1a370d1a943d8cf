"""compose.yaml brought up on a real engine: every request counts, whatever is killed, scaled or taken down."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.compose.conftest import CHANNEL, ROLES, SERVERS, System
from tests.support.waiting import eventually

pytestmark = [pytest.mark.compose, pytest.mark.timeout(1800), pytest.mark.left_behind_is_fine]

PATIENCE_S = 180.0


async def _services(system: System) -> dict[str, dict[str, Any]]:
    async with httpx.AsyncClient(timeout=10, headers=system.headers) as client:
        answer = (await client.get(f"{system.api}/services", params={"window": "1h"})).raise_for_status()
    return {item["service"]: item for item in answer.json()["items"]}


async def _ask(system: System, count: int) -> None:
    """Send requests to the model API, and wait for each answer."""
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{system.api_port}", timeout=30) as client:

        async def is_up() -> bool:
            try:
                return (await client.get("/health")).is_success
            except httpx.HTTPError:
                return False

        await eventually(is_up, timeout_s=PATIENCE_S, interval_s=0.5, what="the model API answers")
        for number in range(count):
            await client.get(f"/patients/{number}/diagnosis")


async def _counted(system: System, count: int) -> None:
    async def are_counted() -> bool:
        try:
            calls = (await _services(system)).get("tumour-classifier", {}).get("calls", 0)
        except httpx.HTTPError:
            return False
        assert calls <= count, f"{calls} calls of {count}"
        assert calls == count, f"{calls} calls of {count}"
        return True

    await eventually(are_counted, timeout_s=PATIENCE_S, interval_s=1, what=f"{count} requests are counted")


async def test_every_request_counts_through_kills_scaling_and_a_restart(system: System) -> None:
    """Two hundred plain ones; more with three processors; more while a processor and the receiver are killed; and
    all of them are still there after `down` and `up`, and those as well that the model API answered before there was
    anybody to send spans to.
    """
    await _ask(system, 200)
    await _counted(system, 200)

    system.up("--scale", "processor=3")
    await _ask(system, 100)
    await _counted(system, 300)

    system.docker("kill", "modelwatch_processor_1", "modelwatch_receiver_1")
    await _ask(system, 100)
    system.up("--scale", "processor=3")
    await _counted(system, 400)

    system.compose("down", "--timeout", "20")
    system.compose("up", "-d", "--no-build", "--no-deps", *SERVERS, "tumour-classifier")
    await _ask(system, 50)  # nobody takes its spans yet
    system.up()
    await _counted(system, 450)


@pytest.mark.parametrize("service", ROLES)
async def test_every_role_becomes_healthy_and_has_no_rights(system: System, service: str) -> None:
    """Not root, and nothing outside its data folder can be written to."""

    def is_healthy() -> bool:
        state = system.docker("inspect", "--format", "{{.State.Health.Status}}", f"modelwatch_{service}_1")
        return state.strip() == "healthy"

    await eventually(is_healthy, timeout_s=PATIENCE_S, interval_s=1, what=f"{service} is healthy")
    probe = "import os; print(os.getuid()); open('/opt/probe', 'w')"
    said = system.docker(
        "exec", f"modelwatch_{service}_1", "sh", "-c", f'python -c "{probe}" 2>&1 | grep -oE "^[0-9]+$|Read-only"'
    )
    assert said.split() == ["10001", "Read-only"]


async def test_strangers_see_nothing_and_the_password_of_env_opens(system: System) -> None:
    """Neither page nor API is open; `admin` signs in with what deploy/secrets.sh made."""
    page = f"http://127.0.0.1:{system.page_port}"
    async with httpx.AsyncClient(base_url=page, timeout=10, headers={"Origin": page}) as client:
        assert [(await client.get(path)).status_code for path in ("/", "/api/v1/services", "/metrics")] == [401] * 3
        form = {"name": "admin", "password": system.secrets["MODELWATCH_ADMIN_PASSWORD"]}
        assert (await client.post("/login", data=form)).status_code == 303
        assert (await client.get("/api/v1/services")).status_code == 200


async def test_secrets_that_are_files_are_read_and_told_nobody(system: System) -> None:
    """The channel of the file is there; its address is in no environment and no label of a container."""
    async with httpx.AsyncClient(timeout=10, headers=system.headers) as client:
        answer = (await client.get(f"{system.api}/alert-channels")).raise_for_status()
    assert [one["name"] for one in answer.json()["items"]] == [CHANNEL["name"]]
    inspected = system.docker("inspect", "modelwatch_alerts_1", "modelwatch_dashboard_1")
    assert "/run/secrets/alert_channels" in inspected
    assert "its-own-secret" not in inspected + system.compose("logs", "--no-color", "alerts", "dashboard")


async def test_an_exporter_without_targets_is_healthy_and_idle(system: System) -> None:
    """As `--profile export` starts it when .env names none: it says so, once, and stays up."""
    system.compose("run", "-d", "--no-deps", "--name", "idle", "exporter", has_secrets=False)
    try:
        health = "{{.State.Health.Status}} {{.RestartCount}}"
        await eventually(
            lambda: system.docker("inspect", "--format", health, "idle").strip() == "healthy 0",
            timeout_s=PATIENCE_S,
            interval_s=1,
            what="the exporter is healthy",
        )
        assert system.logs("idle").count("nothing is forwarded") == 1
    finally:
        system.docker("rm", "-f", "idle")


async def test_the_containers_of_the_system_are_watched(system: System) -> None:
    """CPU and memory of the model API's container are answered, joined to its service."""

    async def is_known() -> bool:
        async with httpx.AsyncClient(timeout=10, headers=system.headers) as client:
            answer = await client.get(
                f"{system.api}/metrics", params={"name": "container.memory.usage", "group_by": "container.name"}
            )
        names = {item["labels"]["container.name"] for item in answer.json().get("items", [])}
        return {"modelwatch_tumour-classifier_1", "modelwatch_postgres_1"} <= names

    await eventually(is_known, timeout_s=PATIENCE_S, interval_s=1, what="the containers are known")


def test_every_profile_is_understood(system: System) -> None:
    """With what each of them has; their images are pulled by nobody here."""
    services = set(system.compose("config", "--services").split())
    assert {"tumour-classifier", "traffic", "exporter", "prometheus", "grafana-reader", "grafana", "jaeger"} <= services


async def test_prometheus_reads_every_role_without_a_further_word(system: System) -> None:
    """The dashboard, which is closed, with its token; every other role of the system, exporter included."""
    system.compose("up", "-d", "--no-build", "--no-recreate", "--no-deps", "exporter", "prometheus")
    url = "http://prometheus:9090/api/v1/query?query=up"
    ask = f"import urllib.request as r; print(r.urlopen('{url}', timeout=5).read().decode())"

    def are_up() -> bool:
        answer = json.loads(system.compose("exec", "-T", "dashboard", "python", "-c", ask))
        found = {one["metric"]["instance"]: one["value"][1] for one in answer["data"]["result"]}
        assert len(found) >= len(ROLES) + 1, found
        return "dashboard:8050" in found and set(found.values()) == {"1"}

    await eventually(are_up, timeout_s=PATIENCE_S, interval_s=2, what="Prometheus reads every role")


def test_the_role_of_grafana_reads_the_views(system: System) -> None:
    """What makes it ends well, also when it is there already; it is asked for its password."""
    for _ in range(2):
        system.compose("up", "-d", "--no-build", "--no-deps", "grafana-reader")
        assert system.docker("wait", "modelwatch_grafana-reader_1").strip() == "0"
    question = "SELECT sum(calls) > 0 FROM modelwatch_services_1m WHERE service_name = 'tumour-classifier'"
    url = f"postgresql://modelwatch_reader:{system.secrets['MODELWATCH_READER_PASSWORD']}@postgres/modelwatch"
    assert system.compose("exec", "-T", "postgres", "psql", "-At", "-c", question, url).strip() == "t"


def test_no_secret_is_in_any_log(system: System) -> None:
    """Passwords and keys are told to containers only."""
    logs = system.compose("logs", "--no-color")
    assert len(logs) > 1000
    for name, secret in system.secrets.items():
        assert name == "MODELWATCH_DOCKER_GID" or secret not in logs, name
