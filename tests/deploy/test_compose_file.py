"""What compose.yaml, the Collector's configuration and the image say, held against what there is."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from modelwatch.roles import ROLES
from modelwatch.settings import Settings
from modelwatch.settings_sources import leaves_of, load, variable_of
from telemetry.queues import EXCHANGE

REPOSITORY = Path(__file__).parent.parent.parent
COMPOSE = yaml.safe_load((REPOSITORY / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"].startswith("${MODELWATCH_IMAGE")}
JOBS = {"grafana-reader"}
"""Containers that have something to do once."""
NO_SETTINGS = {"MODELWATCH_OTLP_ENDPOINT", "MODELWATCH_INGEST_KEY"}
"""Variables of the Collector's configuration, which shares our prefix."""


def test_compose_of_before_version_2_takes_the_file_too() -> None:
    """A `name:` at the top is refused by 1.29, a `version:` is warned about by v2."""
    assert not {"name", "version"} & COMPOSE.keys()


@pytest.mark.parametrize("name", SERVICES)
def test_every_image_is_pinned_and_every_container_bounded(name: str) -> None:
    """No image is `latest`, and no container may take the whole machine, grow its log for ever, or stay dead."""
    service = SERVICES[name]
    default = re.sub(r"\$\{\w+:-(.*)\}", r"\1", service["image"])
    assert re.fullmatch(r"[a-z/-]+:v?\d+\.\d+[\w.-]*", default), default
    assert service["deploy"]["resources"]["limits"].keys() == {"cpus", "memory"}
    assert service["logging"]["options"].keys() == {"max-size", "max-file"}
    assert service["restart"] == ("on-failure" if name in JOBS else "unless-stopped")


@pytest.mark.parametrize("name", OURS)
def test_every_role_of_ours_is_one_that_there_is_and_has_no_rights(name: str) -> None:
    """A read-only file system, no capability, and a health check on each."""
    service = OURS[name]
    assert service["command"][0] in ROLES
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "/readyz" in str(service["healthcheck"]["test"])


def test_every_role_but_the_embedded_one_has_its_container() -> None:
    """Whoever adds a role adds it here."""
    assert {service["command"][0] for service in OURS.values()} == set(ROLES) - {"up"}


def test_every_variable_of_ours_is_a_setting() -> None:
    """ModelWatch refuses to start with a variable that it does not know."""
    known = {variable_of(path) for path, _ in leaves_of(Settings)}
    used = {key for service in SERVICES.values() for key in service.get("environment", {})}
    assert {key for key in used if key.startswith("MODELWATCH_")} - known == NO_SETTINGS


def test_the_collector_is_given_every_variable_that_its_configuration_names() -> None:
    """A variable that is missing would be an empty endpoint or an empty key."""
    text = "\n".join(
        line
        for line in (REPOSITORY / "otel-collector-config.yaml").read_text().splitlines()
        if not line.strip().startswith("#")
    )
    assert set(re.findall(r"\$\{env:(\w+)\}", text)) == NO_SETTINGS
    assert SERVICES["otel-collector"]["environment"].keys() >= NO_SETTINGS


def test_every_component_of_the_collector_that_is_configured_is_used() -> None:
    """The Collector leaves out silently what no pipeline names."""
    config = yaml.safe_load((REPOSITORY / "otel-collector-config.yaml").read_text())
    pipelines = config["service"]["pipelines"].values()
    for kind in ("receivers", "processors", "exporters"):
        assert config[kind].keys() == {name for pipeline in pipelines for name in pipeline[kind]}, kind
    assert list(config["extensions"]) == config["service"]["extensions"]


def test_the_collector_does_what_the_documents_say_of_it() -> None:
    """Signals come by OTLP, are bounded, told their host, batched; containers are told of; the queue is on disk."""
    config = yaml.safe_load((REPOSITORY / "otel-collector-config.yaml").read_text())
    for signal in ("traces", "metrics", "logs"):
        pipeline = config["service"]["pipelines"][signal]
        assert pipeline["receivers"][0] == "otlp"
        assert pipeline["processors"] == ["memory_limiter", "resourcedetection", "batch"]
        assert pipeline["exporters"] == ["otlp/modelwatch"]
    assert "docker_stats" in config["service"]["pipelines"]["metrics"]["receivers"]
    queue = config["exporters"]["otlp/modelwatch"]["sending_queue"]
    assert queue["storage"] in config["service"]["extensions"]
    assert config["exporters"]["otlp/modelwatch"]["retry_on_failure"]["max_elapsed_time"] == "0s"
    socket = config["receivers"]["docker_stats"]["endpoint"].removeprefix("unix://")
    assert any(one.endswith(f":{socket}:ro") for one in SERVICES["otel-collector"]["volumes"])


def test_the_variants_of_the_collector_that_are_comments_are_whole() -> None:
    """Without their marks, they are exporters; RabbitMQ's goes to the exchange that processors make."""
    text = (REPOSITORY / "otel-collector-config.yaml").read_text()
    variants = re.findall(r"^  # ((?:rabbitmq|otlp/jaeger):\n(?:  #   .*\n)+)", text, re.MULTILINE)
    exporters = {}
    for variant in variants:
        exporters |= yaml.safe_load(variant.replace("  #   ", "  "))
    assert exporters.keys() == {"rabbitmq", "otlp/jaeger"}
    assert exporters["rabbitmq"]["routing"] == {"exchange": EXCHANGE}
    assert exporters["rabbitmq"]["retry_on_failure"]["enabled"] is True


def test_no_secret_is_shipped_and_each_is_asked_for() -> None:
    """Every password is a variable without a default, whose absence says what to run."""
    text = (REPOSITORY / "compose.yaml").read_text()
    secrets = re.findall(r"\$\{MODELWATCH_(?:\w+_PASSWORD|INGEST_KEY|METRICS_TOKEN)([^}]*)\}", text)
    assert len(secrets) >= 12
    assert set(secrets) == {":?run deploy/secrets.sh first"}


def test_what_reads_the_history_is_given_it() -> None:
    """Derived metrics of the exporter are made from the history, which it waits for as the others do."""
    readers = {name for name, one in OURS.items() if "MODELWATCH_DATABASE_URL" in str(one["environment"])}
    assert readers == {"processor", "dashboard", "alerts", "exporter"}
    assert all("postgres" in OURS[name]["depends_on"] for name in readers)


def test_prometheus_has_the_token_that_opens_the_metrics() -> None:
    """From the same secret as the dashboard, by the file that its configuration names; not among its arguments."""
    scrape = yaml.safe_load((REPOSITORY / "deploy" / "prometheus.yml").read_text())["scrape_configs"][0]
    service = SERVICES["prometheus"]
    token = service["environment"]["METRICS_TOKEN"]
    assert token == SERVICES["dashboard"]["environment"]["MODELWATCH_ACCESS__METRICS_TOKEN"]
    assert f'"$$METRICS_TOKEN" > {scrape["authorization"]["credentials_file"]} ' in service["entrypoint"][2]
    assert "METRICS_TOKEN}" not in str(service["entrypoint"] + service["command"])


def test_the_secrets_are_fresh_and_for_one_pair_of_eyes(tmp_path: Path) -> None:
    """Two runs make two sets; a file that is there stays as it is; others cannot read it; all fit into URLs."""
    script = str(REPOSITORY / "deploy" / "secrets.sh")
    first, second = tmp_path / "first", tmp_path / "second"
    for path in (first, second):
        subprocess.run([script, str(path)], check=True, capture_output=True, timeout=20)
    values = [dict(line.split("=") for line in path.read_text().splitlines()) for path in (first, second)]
    secret = [key for key in values[0] if key != "MODELWATCH_DOCKER_GID"]
    assert len(secret) == 8
    for key in secret:
        assert re.fullmatch("[0-9a-f]{48}", values[0][key])
        assert values[0][key] != values[1][key]
    assert os.stat(first).st_mode & 0o077 == 0
    before = first.read_text()
    done = subprocess.run([script, str(first)], check=True, capture_output=True, timeout=20, text=True)
    assert "stays as it is" in done.stdout
    assert first.read_text() == before


def test_secrets_of_an_earlier_version_stay_and_what_is_new_is_added(tmp_path: Path) -> None:
    """Whoever updates runs it again: passwords that volumes were made with, and what was set by hand, stay."""
    path = tmp_path / "env"
    path.write_text("MODELWATCH_POSTGRES_PASSWORD=old\nMODELWATCH_PAGE_PORT=80")
    script = str(REPOSITORY / "deploy" / "secrets.sh")
    subprocess.run([script, str(path)], check=True, capture_output=True, timeout=20)
    lines = path.read_text().splitlines()
    assert lines[:2] == ["MODELWATCH_POSTGRES_PASSWORD=old", "MODELWATCH_PAGE_PORT=80"]
    names = [line.partition("=")[0] for line in lines]
    assert "MODELWATCH_ADMIN_PASSWORD" in names
    assert len(names) == len(set(names))
    assert os.stat(path).st_mode & 0o077 == 0


def test_pages_and_api_are_closed_by_default() -> None:
    """The first user comes from the secrets, and nothing says that strangers may come in."""
    environment = SERVICES["dashboard"]["environment"]
    assert (
        environment["MODELWATCH_ACCESS__ADMIN_PASSWORD"] == "${MODELWATCH_ADMIN_PASSWORD:?run deploy/secrets.sh first}"
    )
    assert "MODELWATCH_API__ALLOW_UNAUTHENTICATED" not in str(COMPOSE)


def test_secrets_can_be_files(tmp_path: Path) -> None:
    """The override is of services and variables that there are; its files stand over compose.yaml, or are empty."""
    override = yaml.safe_load((REPOSITORY / "compose.secrets.yaml").read_text())
    used = set()
    for name, service in override["services"].items():
        ((variable, path),) = service["environment"].items()
        (secret,) = service["secrets"]
        used.add(secret)
        assert path == f"/run/secrets/{secret}"
        plain = variable.removesuffix("_FILE")
        assert OURS[name]["environment"][plain].endswith(":-[]}")
        file = tmp_path / secret
        file.write_text(
            "[{name: a, url: 'https://example.com/x', endpoint: 'http://h:1'}]".replace(
                *(", endpoint: 'http://h:1'", "") if "CHANNELS" in variable else ("url: 'https://example.com/x', ", "")
            )
        )
        settings = load(Settings, {plain: "[]", variable: str(file)})
        assert len((*settings.alerts.channels, *settings.exporter.targets)) == 1
        file.write_text("")
        settings = load(Settings, {plain: "[]", variable: str(file)})
        assert not (*settings.alerts.channels, *settings.exporter.targets)
    assert override["secrets"].keys() == used


def test_the_image_takes_every_room_and_no_more() -> None:
    """A room that is missing from the image would be noticed by its first user; secrets must not get into it."""
    allowed = {line[1:] for line in (REPOSITORY / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    project = (REPOSITORY / "pyproject.toml").read_text()
    rooms = re.search(r"include = \[(.*)\]", project)
    assert rooms is not None
    named = {name.strip(' "*') for name in rooms[1].split(",")}
    beside = {"pyproject.toml", "README.md", "requirements", "instrumentation", "examples", "deploy/slim.sh"}
    assert allowed == named | beside
