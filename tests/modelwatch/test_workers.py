"""A receiver of several processes: real processes, a real RabbitMQ, and senders that note what was acknowledged."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any, get_args

import grpc
import grpc.aio
import httpx
import psutil
import pytest

from modelwatch.declared_series import declare_series
from telemetry import Counters
from telemetry.counters import GaugeName
from tests.support.otlp_senders import EXPORT_TRACES, PROTOBUF
from tests.support.ports import free_port, is_free
from tests.support.processes import RunningProcess
from tests.support.rabbit import RabbitView, batch_number
from tests.support.waiting import eventually

CONNECTIONS = 8
SPANS = 3
PAUSE_S = 0.01
"""Between one request and the next over the same connection: work for both workers, and something left for the rest."""
IS_READY = "receiver is ready"
GAUGES = get_args(GaugeName)


class Receiver:
    """`modelwatch receiver --workers 2` on ports of its own."""

    def __init__(self, broker_url: str, folder: Path, **environment: str) -> None:
        self.grpc_port, self.http_port, self.health_port = free_port(), free_port(), free_port()
        self.environment = {
            "MODELWATCH_BROKER_URL": broker_url,
            "MODELWATCH_DATA_DIR": str(folder),
            "MODELWATCH_RECEIVER__GRPC_PORT": str(self.grpc_port),
            "MODELWATCH_RECEIVER__HTTP_PORT": str(self.http_port),
            "MODELWATCH_HEALTH__PORT": str(self.health_port),
            **environment,
        }
        command = [sys.executable, "-m", "modelwatch", "receiver", "--workers", "2"]
        self.running = RunningProcess(command, self.environment, folder / "receiver.log")

    async def get(self, path: str) -> httpx.Response:
        async with httpx.AsyncClient() as client:
            return await client.get(f"http://127.0.0.1:{self.health_port}{path}")

    async def is_ready(self) -> bool:
        assert self.running.assert_running()
        try:
            return (await self.get("/readyz")).status_code == 200
        except httpx.HTTPError:
            return False

    async def checks(self) -> dict[str, str]:
        """What is wrong by worker, empty where nothing is."""
        return {name: check["message"] for name, check in (await self.get("/readyz")).json()["checks"].items()}

    async def figures(self) -> dict[tuple[str, str], float]:
        """All figures by name and labels."""
        items = (await self.get("/api/v1/pipeline")).json()["items"]
        return {(item["name"], ",".join(item["labels"].values())): item["value"] for item in items}

    def workers(self) -> list[psutil.Process]:
        """The processes that serve, which are those that listen."""
        children = psutil.Process(self.running.pid).children()
        return [child for child in children if _ports(child, psutil.CONN_LISTEN)]

    async def learn_ports(self) -> None:
        """Read the ports from the line that says where the receiver listens."""
        lines = await eventually(lambda: [line for line in self.running.output().splitlines() if IS_READY in line])
        said = json.loads(lines[0])
        self.grpc_port, self.http_port = (int(said[name].split(":")[1]) for name in ("otlp_grpc", "otlp_http"))

    def descendants(self) -> list[psutil.Process]:
        return psutil.Process(self.running.pid).children(recursive=True)


def _ports(process: psutil.Process, status: str) -> set[int]:
    try:
        return {one.laddr.port for one in process.net_connections("tcp") if one.status == status}
    except psutil.Error:
        return set()


class Load:
    """Senders over connections of their own, on both transports, until they are told to stop."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._numbers = count()
        self._is_over = asyncio.Event()
        self.acknowledged: set[str] = set()
        self.other_answers: list[object] = []

    async def over_http(self) -> None:
        while not self._is_over.is_set():
            async with httpx.AsyncClient(timeout=20) as client:
                await self._send_all(lambda body: self._post(client, body))

    async def over_grpc(self) -> None:
        while not self._is_over.is_set():
            options = [("grpc.use_local_subchannel_pool", 1)]
            target = f"127.0.0.1:{self._receiver.grpc_port}"
            async with grpc.aio.insecure_channel(target, options=options) as channel:
                export = channel.unary_unary(EXPORT_TRACES)
                await self._send_all(lambda body, export=export: export(body, timeout=20))

    def stop(self) -> None:
        self._is_over.set()

    async def _post(self, client: httpx.AsyncClient, body: bytes) -> None:
        url = f"http://127.0.0.1:{self._receiver.http_port}/v1/traces"
        answer = await client.post(url, content=body, headers={"content-type": PROTOBUF})
        if answer.status_code != 200:
            self.other_answers.append(answer.status_code)
            raise OSError(answer.status_code)

    async def _send_all(self, send: Callable[[bytes], Any]) -> None:
        """Send one request after the other over one connection until it fails."""
        while not self._is_over.is_set():
            batch = batch_number(next(self._numbers), spans=SPANS)
            try:
                await send(batch.body)
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.UNAVAILABLE:
                    self.other_answers.append(error.code())
                return await asyncio.sleep(0.02)
            except (httpx.HTTPError, OSError):
                return await asyncio.sleep(0.02)
            self.acknowledged.add(batch.batch_id.hex())
            await asyncio.sleep(PAUSE_S)
        return None


@asynccontextmanager
async def load_on(receiver: Receiver) -> AsyncIterator[Load]:
    load = Load(receiver)
    senders = [load.over_http() for _ in range(CONNECTIONS)] + [load.over_grpc() for _ in range(CONNECTIONS)]
    tasks = [asyncio.create_task(sender) for sender in senders]
    try:
        yield load
    finally:
        load.stop()
        await asyncio.gather(*tasks)


@pytest.fixture
def view(rabbitmq: Any) -> Iterator[RabbitView]:
    view = RabbitView(rabbitmq.url)
    view.clear()
    yield view
    view.clear()


@pytest.fixture
async def start(rabbitmq: Any, tmp_path: Path) -> AsyncIterator[Any]:
    """Start a receiver of two workers and return it when it is ready."""
    started: list[Receiver] = []

    async def make(**environment: str) -> Receiver:
        receiver = Receiver(rabbitmq.url, tmp_path, **environment)
        started.append(receiver)
        await eventually(receiver.is_ready, timeout_s=30, what="the receiver is ready")
        return receiver

    yield make
    for receiver in started:
        receiver.running.kill()


def declared_series() -> dict[tuple[str, str], float]:
    """Every counter of such a receiver by name and labels, at 0."""
    counters = Counters()
    for source in ("receiver", "exporter"):
        declare_series(counters, source)
    counters.declare("worker_restarts")
    return {
        (name, ",".join(value for _, value in labels)): value for (name, labels), value in counters.snapshot().items()
    }


def arrived(view: RabbitView) -> list[str]:
    return [properties.message_id for _, properties, _ in view.take_all()]


async def test_connections_are_dealt_out_and_figures_are_added_up(start: Any, view: RabbitView) -> None:
    """Both workers answer senders; the parent serves none and shows the sum of what they counted, from 0 on.

    The ports are chosen by the system, the same for both, and told; Ctrl-C, which every process hears, ends them all.
    """
    receiver = await start(MODELWATCH_RECEIVER__GRPC_PORT="0", MODELWATCH_RECEIVER__HTTP_PORT="0")
    await receiver.learn_ports()
    workers = receiver.workers()
    ports = {receiver.grpc_port, receiver.http_port}
    assert [_ports(one, psutil.CONN_LISTEN) for one in workers] == [ports, ports]
    assert _ports(psutil.Process(receiver.running.pid), psutil.CONN_LISTEN) == {receiver.health_port}
    declared = declared_series()
    assert {key: value for key, value in (await receiver.figures()).items() if key[0] not in GAUGES} == declared
    async with load_on(receiver) as load:
        await eventually(lambda: len(load.acknowledged) > 300)
        for port in (receiver.grpc_port, receiver.http_port):
            assert all(port in _ports(one, psutil.CONN_ESTABLISHED) for one in workers), "both workers serve"
    sent = len(load.acknowledged)
    figures = await receiver.figures()
    accepted = {labels: value for (name, labels), value in figures.items() if name == "receiver_accepted_items"}
    assert accepted["traces,grpc"] + accepted["traces,http"] == sent * SPANS
    assert min(accepted["traces,grpc"], accepted["traces,http"]) > 0
    assert figures["exporter_published_batches", "traces"] == sent
    assert {key for key in figures if key[0] not in GAUGES} == set(declared), "no series that was not declared"
    assert figures["workers_ready", ""] == 2
    assert figures["receiver_in_flight_requests", "traces,grpc"] == 0
    assert figures["receiver_received_bytes", "traces,http"] > 0
    text = (await receiver.get("/metrics")).text
    assert f'modelwatch_exporter_published_batches_total{{signal="traces"}} {sent}\n' in text
    assert (await receiver.get("/api/v1/pipeline")).json()["scope"] == "workers"
    assert (await receiver.get("/healthz")).json() == {"status": "alive"}
    assert await receiver.checks() == {"worker_1": "", "worker_2": ""}
    assert set(arrived(view)) == load.acknowledged
    processes = receiver.descendants()
    os.killpg(receiver.running.pid, signal.SIGINT)
    assert receiver.running.process.wait(15) == 0
    await eventually(lambda: not any(map(_is_alive, processes)))
    assert "Traceback" not in receiver.running.output()
    assert "worker ended" not in receiver.running.output()
    assert is_free(receiver.grpc_port)
    assert is_free(receiver.http_port)


async def test_a_killed_worker_takes_nothing_acknowledged_with_it(start: Any, view: RabbitView) -> None:
    """SIGKILL of one worker under load: what was acknowledged is in RabbitMQ, it comes back, and no sum ever falls.

    At the end SIGTERM under load: what is in flight is finished, and nothing is acknowledged and lost there either.
    """
    receiver = await start()
    async with load_on(receiver) as load:
        await eventually(lambda: len(load.acknowledged) > 100)
        before = await receiver.figures()
        victim, survivor = receiver.workers()
        victim.kill()
        await eventually(lambda: not _is_alive(victim))

        async def is_back() -> bool:
            nonlocal before
            now = await receiver.figures()
            for key, value in before.items():
                assert key[0] in GAUGES or now[key] >= value, f"{key} fell from {value} to {now[key]}"
            before = now
            return now["worker_restarts", ""] == 1 and now["workers_ready", ""] == 2

        await eventually(_unless_wrong(is_back), timeout_s=20)
        newcomer = next(one for one in receiver.workers() if one.pid != survivor.pid)
        await eventually(lambda: receiver.http_port in _ports(newcomer, psutil.CONN_LISTEN))
        receiver.running.process.terminate()
        assert receiver.running.process.wait(20) == 0
    assert load.acknowledged <= set(arrived(view))
    assert not {answer for answer in load.other_answers if answer not in (503,)}
    log = receiver.running.output()
    assert log.count("a worker ended and is started again") == 1
    assert "SIGKILL" in log


def _unless_wrong(condition: Callable[[], Any]) -> Callable[[], Any]:
    """Let a failed assertion end the wait, rather than count as not yet."""

    async def checked() -> Any:
        try:
            return await condition()
        except AssertionError as error:
            raise RuntimeError(str(error)) from error

    return checked


async def test_a_worker_that_cannot_start_again_is_tried_again_while_the_others_serve(
    start: Any, tmp_path: Path
) -> None:
    """Readiness says which worker is missing until the cause is gone; when the parent is killed, all workers end.

    So it does of a worker that hangs, and the figures are shown without it meanwhile.
    """
    keys = tmp_path / "keys"
    keys.write_text("let-me-in-please\n")
    receiver = await start(MODELWATCH_INGEST_KEYS_FILE=str(keys))
    victim, survivor = receiver.workers()
    keys.unlink()
    victim.kill()
    await eventually(lambda: "MODELWATCH_INGEST_KEYS_FILE" in receiver.running.output(), timeout_s=20)
    assert receiver.running.assert_running()
    answer = await receiver.get("/readyz")
    assert answer.status_code == 503
    assert sorted(bool(message) for message in (await receiver.checks()).values()) == [False, True]
    assert _is_alive(survivor)
    keys.write_text("let-me-in-please\n")
    await eventually(receiver.is_ready, timeout_s=20)
    survivor.suspend()
    assert "has not answered within 1 s" in (await receiver.checks()).values()
    assert (await receiver.figures())["worker_restarts", ""] >= 1
    survivor.resume()
    await eventually(receiver.is_ready)
    processes = receiver.descendants()
    os.kill(receiver.running.pid, signal.SIGKILL)
    receiver.running.process.wait(10)
    await eventually(lambda: not any(map(_is_alive, processes)), timeout_s=15)
    assert is_free(receiver.grpc_port)


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
