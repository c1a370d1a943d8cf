"""What the demo would start, without starting it."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from modelwatch import demo_programs
from modelwatch.demo_programs import (
    check_ports,
    find_repository,
    knowing_what_to_stop,
    model_api_servers,
    modelwatch_servers,
    traffic_program,
)
from modelwatch.settings import Settings
from telemetry import StartError
from tests.support.ports import free_port

LOGS = Path("logs")


def settings(**changes: object) -> Settings:
    return Settings.model_validate(changes)


def test_an_api_gets_nothing_but_environment_variables() -> None:
    """The command is `opentelemetry-instrument uvicorn MODULE:app`; all else is variables."""
    program = model_api_servers(settings(), {"PATH": "/bin"}, Path(), LOGS)["digits-reader"].program
    tools = [Path(word).name for word in program.command]
    assert tools == ["opentelemetry-instrument", "uvicorn", "examples.model_apis.digits_reader:app"]
    assert program.environ["OTEL_SERVICE_NAME"] == "digits-reader"
    assert program.environ["OTEL_RESOURCE_ATTRIBUTES"] == "service.version=4.0.2,deployment.environment.name=demo"
    assert program.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://127.0.0.1:4317"
    assert program.environ["UVICORN_PORT"] == "8103"
    assert program.environ["PATH"] == "/bin"


@pytest.mark.parametrize("cpus", [{3}, {0, 1}, {2, 4, 6, 7}])
def test_each_api_has_one_of_the_cpus_that_the_demo_may_use(monkeypatch: pytest.MonkeyPatch, cpus: set[int]) -> None:
    """As many as there are; which the demo may not use itself is given to none."""
    monkeypatch.setattr("os.sched_getaffinity", lambda _pid: cpus)
    servers = model_api_servers(settings(), {}, Path(), LOGS).values()
    given = {server.program.cpu for server in servers}
    assert given <= cpus
    assert len(given) == min(len(cpus), len(servers))


def test_apis_and_traffic_inherit_nothing_that_is_meant_for_others() -> None:
    """OpenTelemetry's and ModelWatch's variables and proxies stay outside; ModelWatch itself gets its own."""
    environ = {"OTEL_SDK_DISABLED": "true", "MODELWATCH_DATABASE_URL": "secret", "http_proxy": "http://proxy"}
    servers = model_api_servers(settings(), environ, Path(), LOGS)
    for program in [server.program for server in servers.values()] + [
        traffic_program(settings(), environ, Path(), LOGS, servers)
    ]:
        assert not environ.keys() & program.environ.keys()
    (modelwatch,) = modelwatch_servers(settings(), environ, LOGS).values()
    assert modelwatch.program.environ == environ


def test_a_modelwatch_that_is_split_has_its_page_where_people_look_for_it() -> None:
    """The page, what takes and stores data, and the alerts, with the same settings, and each with a health port."""
    servers = modelwatch_servers(settings(api={"port": 8123}), {"A": "b"}, LOGS, is_split=True)
    roles = [server.program.command[-1] for server in servers.values()]
    assert roles == ["dashboard", "up", "alerts"]
    page, ingest, _ = servers.values()
    assert page.url("/") == "http://127.0.0.1:8123/"
    assert page.program.environ == {"A": "b"}
    assert ingest.program.environ["MODELWATCH_ALERTS__IS_ENABLED"] == "false"
    assert len({server.port for server in servers.values()}) == 3
    assert all(server.program.environ.items() >= {("A", "b")} for server in servers.values())


@pytest.mark.parametrize(
    ("url", "argument"),
    [("sqlite:////tmp/a=b/my.db", "7=/tmp/a=b/my.db"), ("postgresql+psycopg://u:secret@h/db", "7")],
)
def test_the_visitors_are_told_what_stands_still(url: str, argument: str) -> None:
    """The process and, of SQLite, the file; no URL, as it may hold a secret."""
    program = traffic_program(settings(), {}, Path(), LOGS, {})
    assert knowing_what_to_stop(program, settings(database_url=url), 7).command[-2:] == ["--processor", argument]


@pytest.mark.parametrize(
    ("host", "endpoint"),
    [("0.0.0.0", "http://127.0.0.1:4317"), ("::", "http://[::1]:4317"), ("10.0.0.7", "http://10.0.0.7:4317")],
)
def test_apis_reach_a_receiver_that_listens_elsewhere(host: str, endpoint: str) -> None:
    """A receiver on every address is reached over loopback; the first ingest key goes along, percent-encoded."""
    changed = settings(receiver={"host": host}, ingest_keys="a key=,other")
    environ = model_api_servers(changed, {}, Path(), LOGS)["tumour-classifier"].program.environ
    assert environ["OTEL_EXPORTER_OTLP_ENDPOINT"] == endpoint
    assert environ["OTEL_EXPORTER_OTLP_HEADERS"] == "x-modelwatch-key=a%20key%3D"


@pytest.mark.parametrize(
    ("path", "variable"),
    [
        (("receiver", "grpc_port"), "MODELWATCH_RECEIVER__GRPC_PORT"),
        (("receiver", "http_port"), "MODELWATCH_RECEIVER__HTTP_PORT"),
        (("api", "port"), "MODELWATCH_API__PORT"),
        (("demo", "first_port"), "MODELWATCH_DEMO__FIRST_PORT"),
    ],
)
def test_a_port_that_is_taken_gets_one_line_with_port_and_setting(path: tuple[str, str], variable: str) -> None:
    """Whichever it is, the message is one line that names the port and what to set."""
    ports = iter(range(free_port(1, 2, 3, 4, 5), 65536))
    tree = {
        "receiver": {"grpc_port": next(ports), "http_port": next(ports)},
        "api": {"port": next(ports)},
        "demo": {"first_port": next(ports)},
    }
    taken = tree[path[0]][path[1]]
    changed = settings(**tree)
    servers = model_api_servers(changed, {}, Path(), LOGS)
    check_ports(changed, servers)
    with socket.create_server(("127.0.0.1", taken)), pytest.raises(StartError) as raised:
        check_ports(changed, servers)
    assert f"port {taken} on 127.0.0.1" in str(raised.value)
    assert variable in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_port_left_to_chance_is_refused() -> None:
    """The APIs must know where to send to, so 0 will not do."""
    changed = settings(receiver={"grpc_port": 0})
    with pytest.raises(StartError, match=r"fixed port.*MODELWATCH_RECEIVER__GRPC_PORT"):
        check_ports(changed, {})


def test_an_installation_without_examples_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Installed from a wheel, the demo has no model APIs to start, and one line tells where they are."""
    assert (find_repository() / "examples").is_dir()
    monkeypatch.setattr(demo_programs, "__file__", str(tmp_path / "modelwatch" / "demo_programs.py"))
    with pytest.raises(StartError, match="run the demo in a clone"):
        find_repository()
