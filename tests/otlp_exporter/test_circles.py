"""What several ModelWatch forward to each other comes to an end, and one that forwards loses nothing by bad targets."""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from otlp_exporter.installation import FILE, installation_id
from telemetry import Batch, Signal
from telemetry.forwarding_trail import FORWARDED_BY_HEADER, MAX_TRAIL, trail_of
from tests.otlp_exporter.conftest import Carrier
from tests.otlp_exporter.test_forwarding import numbered, one_of_each, second_receiver
from tests.support.http_sink import HttpSink
from tests.support.otlp import server_spans, trace_request
from tests.support.otlp_target import GrpcTarget
from tests.support.ports import free_port
from tests.support.rabbit import RabbitView
from tests.support.systems import EMBEDDED, System, running_system, system_in
from tests.support.waiting import eventually

OWN, OTHER = "0123456789abcdef", "fedcba9876543210"


def through(batch: Batch, *trail: str) -> Batch:
    return Batch.of(
        batch.signal,
        batch.body,
        item_count=batch.item_count,
        received_unix_nano=batch.received_unix_nano,
        forwarded_by=trail,
    )


async def test_what_comes_back_is_forwarded_no_further(carrier: Carrier) -> None:
    """Neither what has our id nor what came through as many others as is allowed; and the rest goes on with our id."""
    async with GrpcTarget() as rpc, HttpSink() as http:
        await carrier.start(
            {"name": "rpc", "endpoint": f"http://localhost:{rpc.port}", "max_concurrent": 1},
            {"name": "web", "endpoint": f"http://127.0.0.1:{http.port}", "protocol": "http", "max_concurrent": 1},
            installation_id=OWN,
            max_hops=3,
        )
        fresh, ours, travelled, once = numbered(4)
        await carrier.offer(through(ours, OTHER, OWN))
        await carrier.offer(through(travelled, *[OTHER] * 3))
        await carrier.offer(fresh)
        await carrier.offer(through(once, OTHER))
        await eventually(lambda: carrier.counters.total("forward_sent_items") == 4)
        assert [one[FORWARDED_BY_HEADER] for one in rpc.metadata] == [OWN, f"{OTHER},{OWN}"]
        assert [one.headers[FORWARDED_BY_HEADER] for one in http.posted] == [OWN, f"{OTHER},{OWN}"]
        counted = {
            (dict(labels)["target"], dict(labels)["reason"]): value
            for (name, labels), value in carrier.counters.snapshot().items()
            if name == "forward_circled_items" and value
        }
        assert counted == {(name, why): 1 for name in ("rpc", "web") for why in ("returned", "hops")}
        await carrier.stop()


@pytest.mark.parametrize("protocol", ["grpc", "http"])
async def test_a_receiver_learns_who_forwarded(carrier: Carrier, protocol: str) -> None:
    """The trail is beside the request on both protocols, and the request and its id are what they were."""
    receiver, kept = await second_receiver()
    try:
        port = receiver.grpc_port if protocol == "grpc" else receiver.http_port
        target = {"name": "next", "endpoint": f"http://127.0.0.1:{port}", "protocol": protocol}
        await carrier.start(target, installation_id=OWN)
        [batch] = numbered(1)
        await carrier.offer(through(batch, OTHER))
        await eventually(lambda: len(kept.batches) == 1)
        [arrived] = kept.batches
        assert arrived.forwarded_by == (OTHER, OWN)
        assert (arrived.body, arrived.batch_id) == (batch.body, batch.batch_id)
    finally:
        await carrier.stop()
        await receiver.stop()


@pytest.mark.parametrize(
    ("header", "trail"),
    [
        (None, ()),
        ("", ()),
        (f" {OWN} ,{OTHER}", (OWN, OTHER)),
        (f"{OWN.upper()},{OWN}0,<script>,{OTHER}", (OTHER,)),
        (",".join([OWN] * 999), (OWN,) * MAX_TRAIL),
        (b"\xff", ()),
    ],
)
def test_a_trail_is_read_from_what_anybody_wrote(header: Any, trail: tuple[str, ...]) -> None:
    """Ids are kept up to the limit, everything else is left out, and nothing raises."""
    assert trail_of(header) == trail


def test_an_installation_keeps_its_id(tmp_path: Path) -> None:
    """All processes of a folder have the same id, another folder another; what is no id is replaced."""
    one = installation_id(tmp_path / "one")
    assert installation_id(tmp_path / "one") == one
    assert installation_id(tmp_path / "two") != one
    (tmp_path / "one" / FILE).write_text("damaged")
    again = installation_id(tmp_path / "one")
    assert trail_of(again) == (again,)
    assert installation_id(tmp_path / "one") == again
    assert [path.name for path in (tmp_path / "one").iterdir()] == [FILE]


class Mesh:
    """Three installations of which each forwards everything to both others, the second over RabbitMQ.

    The first two have a target that keeps what it gets, one that never answers, and one that does not exist, too.
    """

    def __init__(self, folder: Path, broker_url: str) -> None:
        folders = [folder / name for name in ("first", "second", "third")]
        brokers = [{}, {"MODELWATCH_BROKER_URL": broker_url}, {}]
        self.systems = [system_in(one, broker) for one, broker in zip(folders, brokers, strict=True)]

    @contextlib.asynccontextmanager
    async def running(self, kept_ports: tuple[int, int], slow_port: int) -> AsyncIterator[tuple[System, ...]]:
        async with contextlib.AsyncExitStack() as stack:
            for number, system in enumerate(self.systems):
                system.folder.mkdir()
                targets = [
                    {"name": other.folder.name, "endpoint": f"http://127.0.0.1:{other.grpc_port}"}
                    for other in self.systems
                    if other is not system
                ]
                if number < 2:
                    targets += [
                        {"name": "kept", "endpoint": f"http://127.0.0.1:{kept_ports[number]}"},
                        {"name": "slow", "endpoint": f"http://localhost:{slow_port}"},
                        {"name": "dead", "endpoint": f"http://localhost:{free_port()}"},
                    ]
                system.environment |= {
                    "MODELWATCH_EXPORTER__TARGETS": json.dumps(targets),
                    "MODELWATCH_EXPORTER__REMEMBERED_BATCHES": "0",  # a circle shall not end by that
                    "MODELWATCH_EXPORTER__STOP_GRACE_S": "0.1",
                    "MODELWATCH_EXPORTER__RETRY_MAX_S": "1",
                    "MODELWATCH_CONTAINERS__IS_ENABLED": "false",
                    "MODELWATCH_ALERTS__IS_ENABLED": "false",
                }
                await stack.enter_async_context(running_system(system, EMBEDDED))
            yield tuple(self.systems)


async def figure(system: System, name: str, **labels: str) -> float:
    """Return the sum of a figure of `/metrics` over the series with these labels."""
    async with httpx.AsyncClient() as client:
        text = (await client.get(f"{system.url}/metrics")).text
    lines = re.findall(rf"^modelwatch_{name}(?:_total)?{{(.*)}} (\S+)$", text, re.MULTILINE)
    wanted = [f'{key}="{value}"' for key, value in labels.items()]
    return sum(float(value) for found, value in lines if all(one in found for one in wanted))


async def test_rings_of_two_and_three_end_and_bad_targets_change_nothing(rabbitmq: Any, tmp_path: Path) -> None:
    """Real processes, on disk and over RabbitMQ: what is sent to one is at all, in equal bytes, and goes round no more.

    A target that never answers and one that is dead hold nothing back from the others. Each call counts once at each.
    """
    view = RabbitView(rabbitmq.url)
    view.clear()
    (first_end, first_kept), (second_end, second_kept) = await second_receiver(), await second_receiver()
    spans = server_spans(5, end_ns=time.time_ns())
    traces = Batch.of(
        Signal.TRACES, trace_request(spans).SerializeToString(), item_count=5, received_unix_nano=time.time_ns()
    )
    sent = [traces, *one_of_each()[1:]]
    items = sum(batch.item_count for batch in sent)
    mesh = Mesh(tmp_path, rabbitmq.url)
    try:
        async with (
            GrpcTarget() as slow,
            mesh.running((first_end.grpc_port, second_end.grpc_port), slow.port) as (first, second, third),
            httpx.AsyncClient() as client,
        ):
            slow.delay_s = 3600
            for batch in sent:
                url = f"http://127.0.0.1:{first.http_port}/v1/{batch.signal.value}"
                answer = await client.post(
                    url, content=batch.body, headers={"content-type": "application/x-protobuf"}, timeout=20
                )
                assert answer.status_code == 200
            # By their trails: [] is sent on by the first; [1] and [1, 3] by the second, [1] and [1, 2] by the third.
            for system, ways in ((first, 1), (second, 2), (third, 2)):
                others = [other.folder.name for other in mesh.systems if other is not system]
                for name in others:

                    async def has_all(system: System = system, name: str = name, ways: int = ways) -> bool:
                        return await figure(system, "forward_sent_items", target=name) == ways * items

                    await eventually(has_all, timeout_s=40, what=f"{system.folder.name} sends to {name}")

            # Back at the first come [1, 2], [1, 3], [1, 2, 3] and [1, 3, 2], at the others one each.
            for system, ways in ((first, 4), (second, 1), (third, 1)):
                name = next(other.folder.name for other in mesh.systems if other is not system)

                async def has_ended(system: System = system, name: str = name, ways: int = ways) -> bool:
                    return await figure(system, "forward_circled_items", target=name, reason="returned") == ways * items

                await eventually(has_ended, timeout_s=40, what=f"what comes back ends at {system.folder.name}")
            for system, ways in ((first, 1), (second, 2), (third, 2)):
                assert await figure(system, "forward_sent_items") % (ways * items) == 0, "none was sent once more"
                services = (await client.get(f"{system.url}/api/v1/services?window=5m")).json()["items"]
                assert [one["calls"] for one in services] == [5], system.folder.name
            for system, kept, ways in ((first, first_kept, 1), (second, second_kept, 2)):
                await eventually(lambda kept=kept, ways=ways: len(kept.batches) == ways * len(sent))
                assert Counter(one.body for one in kept.batches) == {one.body: ways for one in sent}
                assert await figure(system, "forward_is_failing", target="dead") == 1
                assert await figure(system, "forward_backlog_batches", target="dead") >= len(sent)
                assert await figure(system, "forward_sent_items", target="slow") == 0
            assert slow.bodies == []
    finally:
        await first_end.stop()
        await second_end.stop()
        for name in ("first", "third", "kept", "slow", "dead"):
            view.delete_queue(f"modelwatch.export.{name}")
