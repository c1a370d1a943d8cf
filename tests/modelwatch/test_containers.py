"""Containers and processes as a role of their own, and as a part of `up`."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

import httpx
import pytest

from container_stats.watched_process import WatchedProcess, watched_process_of
from modelwatch.containers import build_containers
from modelwatch.doctor.configuration import examine
from modelwatch.lifecycle import start_all, stop_all
from modelwatch.roles import ROLES, assemble_role
from modelwatch.settings import Settings
from modelwatch.settings_sources import load
from otlp_receiver.component import build as build_receiver
from otlp_receiver.settings import ReceiverSettings
from telemetry import Counters, SeenInstance, ServiceInstance
from tests.support import otlp
from tests.support.metric_consumer import MetricConsumer
from tests.support.ports import free_port
from tests.support.processes import start_role
from tests.support.waiting import eventually


async def test_the_role_sends_what_it_measures_to_a_receiver(tmp_path: Path) -> None:
    """`modelwatch containers` alone reads a process and sends it with the first ingest key; it stops when told to."""
    sent, port = MetricConsumer(), free_port()
    settings = load(Settings, {"MODELWATCH_INGEST_KEYS": "right,other"})
    receiver = build_receiver(ReceiverSettings(grpc_port=0, http_port=0), sent, Counters(), settings.ingest_keys)
    await receiver.start()
    environment = {
        "MODELWATCH_HEALTH__PORT": str(port),
        "MODELWATCH_INGEST_KEYS": "right,other",
        "MODELWATCH_RECEIVER__HTTP_PORT": str(receiver.http_port),
        "MODELWATCH_CONTAINERS__ENGINE": "none",
        "MODELWATCH_CONTAINERS__INTERVAL_S": "1",
        "MODELWATCH_CONTAINERS__PROCESS_PIDS": str(os.getpid()),
    }
    try:
        role = await start_role("containers", environment, tmp_path / "log", port)
        try:
            pid_is = {"process.pid": os.getpid(), "host.name": socket.gethostname()}.items()
            await eventually(
                lambda: sent.last("process.memory.usage", lambda resource: pid_is <= resource.items()), timeout_s=60
            )
            async with httpx.AsyncClient() as client:
                figures = (await client.get(f"http://127.0.0.1:{port}/metrics")).text
            assert "modelwatch_container_stats_sent_points" in figures
            assert role.stop() == 0
        finally:
            role.kill()
    finally:
        await receiver.stop()


async def test_up_watches_the_processes_that_spans_name(tmp_path: Path) -> None:
    """A span whose resource tells host and process is enough: the process's metrics are its service's."""
    ports = {name: str(free_port()) for name in ("RECEIVER__GRPC_PORT", "RECEIVER__HTTP_PORT", "API__PORT")}
    environment = {
        **{f"MODELWATCH_{name}": port for name, port in ports.items()},
        "MODELWATCH_DATA_DIR": str(tmp_path),
        "MODELWATCH_CONTAINERS__ENGINE": "none",
        "MODELWATCH_CONTAINERS__INTERVAL_S": "1",
    }
    made = assemble_role("up", load(Settings, environment))
    await start_all(made.components)
    try:
        resource = otlp.resource("fraud", host__name=socket.gethostname(), process__pid=os.getpid())
        request = otlp.trace_request([otlp.server_span(end_ns=time.time_ns())], resource)
        headers = {"content-type": "application/x-protobuf"}
        async with httpx.AsyncClient() as client:
            url = f"http://127.0.0.1:{ports['RECEIVER__HTTP_PORT']}/v1/traces"
            assert (await client.post(url, content=request.SerializeToString(), headers=headers)).is_success

            async def memory() -> list[float]:
                query = {"name": "process.memory.usage", "service": "fraud", "group_by": "process.pid"}
                answer = await client.get(f"http://127.0.0.1:{ports['API__PORT']}/api/v1/metrics", params=query)
                items = [item for item in answer.json()["items"] if item["labels"] == {"process.pid": str(os.getpid())}]
                return [point["value"] for item in items for point in item["points"] if point["value"]]

            assert (await eventually(memory, timeout_s=60))[-1] > 10_000_000
            instances = (await client.get(f"http://127.0.0.1:{ports['API__PORT']}/api/v1/instances")).json()["items"]
        assert len(instances) == 1  # the process that was measured is the one that sent the span, not another
    finally:
        await stop_all(made.components)


async def test_alone_it_finds_processes_by_their_spans_through_the_api(tmp_path: Path) -> None:
    """`modelwatch containers`, told where the API is, watches a process that only a span named, as its service's."""
    ports = {name: str(free_port()) for name in ("RECEIVER__GRPC_PORT", "RECEIVER__HTTP_PORT", "API__PORT")}
    environment = {f"MODELWATCH_{name}": port for name, port in ports.items()}
    environment |= {"MODELWATCH_DATA_DIR": str(tmp_path / "data"), "MODELWATCH_CONTAINERS__IS_ENABLED": "false"}
    api, health = f"http://127.0.0.1:{ports['API__PORT']}", free_port()
    made = assemble_role("up", load(Settings, environment))
    await start_all(made.components)
    try:
        resource = otlp.resource("fraud", host__name=socket.gethostname(), process__pid=os.getpid())
        request = otlp.trace_request([otlp.server_span(end_ns=time.time_ns())], resource)
        async with httpx.AsyncClient(headers={"content-type": "application/x-protobuf"}) as client:
            url = f"http://127.0.0.1:{ports['RECEIVER__HTTP_PORT']}/v1/traces"
            assert (await client.post(url, content=request.SerializeToString())).is_success
            of_the_role = {
                "MODELWATCH_HEALTH__PORT": str(health),
                "MODELWATCH_RECEIVER__HTTP_PORT": ports["RECEIVER__HTTP_PORT"],
                "MODELWATCH_CONTAINERS__ENGINE": "none",
                "MODELWATCH_CONTAINERS__INTERVAL_S": "1",
                "MODELWATCH_CONTAINERS__INSTANCES_URL": api,
            }
            role = await start_role("containers", of_the_role, tmp_path / "log", health)
            try:

                async def is_found() -> bool:
                    answer = await client.get(f"{api}/api/v1/resources", params={"service": "fraud"})
                    ids = [item["id"] for item in answer.json()["items"] if item["kind"] == "process"]
                    return f"{socket.gethostname()}:{os.getpid()}" in ids

                await eventually(is_found, timeout_s=60)
            finally:
                role.kill()
    finally:
        await stop_all(made.components)


def test_an_instance_with_host_and_pid_is_a_process() -> None:
    """What the catalog keeps of an instance is what its process's metrics get; without host or pid it is none."""
    instance = ServiceInstance("fraud", "one", "gpu-1", "42", "c" * 64, "1.2", "prod")
    attributes = (
        ("service.name", "fraud"),
        ("service.version", "1.2"),
        ("service.instance.id", "one"),
        ("deployment.environment.name", "prod"),
    )
    found = watched_process_of(SeenInstance(instance, 1, 2))
    assert found == WatchedProcess("gpu-1", 42, 2, "c" * 64, attributes)
    assert watched_process_of(SeenInstance(instance._replace(host_name=""), 1, 2)) is None
    assert watched_process_of(SeenInstance(instance._replace(process_pid="x"), 1, 2)) is None


@pytest.mark.parametrize("is_part", [True, False])
def test_up_watches_unless_it_is_turned_off(is_part: bool, tmp_path: Path) -> None:
    """One setting takes the part out of `up`."""
    environment = {"MODELWATCH_DATA_DIR": str(tmp_path), "MODELWATCH_CONTAINERS__IS_ENABLED": str(is_part)}
    made = assemble_role("up", load(Settings, environment))
    assert ("ContainerStats" in {type(component).__name__ for component in made.components}) == is_part
    assert "containers" in ROLES["up"]


@pytest.mark.parametrize(
    ("environment", "endpoint", "headers"),
    [
        ({}, "http://127.0.0.1:4318", {}),
        ({"MODELWATCH_RECEIVER__HOST": "0.0.0.0"}, "http://127.0.0.1:4318", {}),
        ({"MODELWATCH_RECEIVER__HOST": "::1"}, "http://[::1]:4318", {}),
        ({"MODELWATCH_INGEST_KEYS": "a,b"}, "http://127.0.0.1:4318", {"x-modelwatch-key": "a"}),
        ({"MODELWATCH_INGEST_KEYS": "a", "MODELWATCH_CONTAINERS__HEADERS": "b=c"}, "http://127.0.0.1:4318", {"b": "c"}),
        ({"MODELWATCH_INGEST_KEYS": "a", "MODELWATCH_CONTAINERS__ENDPOINT": "http://h:1"}, "http://h:1", {}),
    ],
)
def test_alone_it_sends_to_the_receiver_of_this_host(
    environment: dict[str, str], endpoint: str, headers: dict[str, str]
) -> None:
    """With the key that the receiver asks for, which goes to no other endpoint."""
    component = build_containers(load(Settings, environment), Counters(), None, None)
    assert component.endpoint == endpoint
    assert component.headers == headers


@pytest.mark.parametrize(
    ("engine", "state"), [("none", "ok"), ("unix:///nowhere/docker.sock", "problem"), ("docker.sock", "problem")]
)
def test_the_doctor_looks_for_the_engine(engine: str, state: str, tmp_path: Path) -> None:
    """An engine that is named must answer."""
    settings = load(Settings, {"MODELWATCH_CONTAINERS__ENGINE": engine, "MODELWATCH_DATA_DIR": str(tmp_path)})
    (finding,) = [finding for finding in examine(settings) if finding.subject == "containers"]
    assert finding.state == state
