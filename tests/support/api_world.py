"""A running ModelWatch that has something to answer on every route of its API: calls, a container, an alert."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
from google.protobuf.message import Message
from opentelemetry.proto.metrics.v1.metrics_pb2 import AGGREGATION_TEMPORALITY_CUMULATIVE, Metric

from tests.support.http_sink import HttpSink
from tests.support.otlp import resource, server_span, trace_request
from tests.support.otlp_metrics import gauge, metric_request, number_point, total
from tests.support.systems import System, embedded_system
from tests.support.waiting import eventually

BOX = "4f1c07be2d5a" + "0" * 52
_NS_PER_S = 10**9
_AGES_S = range(5, 65, 10)
_RULE = {
    "rule_id": "failing",
    "name": "Failing",
    "signal": "error_rate",
    "warning": 0.01,
    "window_s": 300,
    "interval_s": 1,
    "min_requests": 1,
    "confidence": 0,
}


@contextlib.asynccontextmanager
async def api_world(folder: Path) -> AsyncIterator[System]:
    """Run `modelwatch up` with two services in a container that is measured; one fails, which a channel is told."""
    async with HttpSink() as sink:
        channel = {"name": "on-call", "url": f"http://127.0.0.1:{sink.port}/hook"}
        settings = {
            "MODELWATCH_ALERTS__CHANNELS": json.dumps([channel]),
            "MODELWATCH_ALERTS__ALLOWED_NETWORKS": "127.0.0.1/32",
            "MODELWATCH_CONTAINERS__IS_ENABLED": "false",
        }
        async with embedded_system(folder, **settings) as system:
            await _fill(system)
            yield system


async def send_traffic(system: System) -> None:
    """Send what two services and their container did up to now, and wait until it is told.

    Forty calls each in the past forty seconds, of which the latest five of one failed.
    """
    now_ns = time.time_ns()
    async with httpx.AsyncClient() as client:
        for name, failing in (("churn-classifier", 5), ("doc-ocr", 0)):
            await _send_service(client, system, now_ns, name, failing)
        box = {"container__id": BOX, "container__name": "churn-1", "host__name": "node-1"}
        await _post(client, system, "metrics", metric_request(_box(now_ns), resource(None, **box)))

        async def is_told() -> bool:
            # Whoever asked before it was sent had no container, which is remembered for a few seconds.
            boxes = await _items(client, system, "resources?service=churn-classifier&window=15m")
            services = await _items(client, system, "services?window=15m")
            is_live = bool(boxes) and boxes[0]["state"] == "live" and boxes[0]["now"]["cpu_cores"] is not None
            return is_live and any(one["problems"] for one in services)

        await eventually(is_told, timeout_s=60, interval_s=0.2, what="services and their container are told")


async def _items(client: httpx.AsyncClient, system: System, path: str) -> list[dict[str, Any]]:
    return list((await client.get(f"{system.url}/api/v1/{path}")).json()["items"])


async def _fill(system: System) -> None:
    await send_traffic(system)
    async with httpx.AsyncClient() as client:
        answer = await client.post(f"{system.url}/api/v1/alert-rules", json=_RULE)
        assert answer.status_code == 201, answer.text

        async def is_told() -> bool:
            found = await _items(client, system, "alert-notifications")
            firing = await _items(client, system, "alerts?state=firing")
            return bool(firing) and any(one["status"] == "sent" for one in found)

        await eventually(is_told, timeout_s=60, interval_s=0.2, what="an alert fires and is told")


async def _send_service(client: httpx.AsyncClient, system: System, now_ns: int, name: str, failing: int) -> None:
    of = resource(
        name,
        service__version="1.4.0",
        service__instance__id=f"{name}-1",
        deployment__environment__name="production",
        container__id=BOX[:12],
        host__name="node-1",
        process__pid=4100,
    )
    spans = [
        server_span(
            method="POST",
            route="/predict",
            status_code=500 if index < failing else 200,
            end_ns=now_ns - index * _NS_PER_S,
            attributes={"ml.model.name": name.partition("-")[0]},
            index=index,
        )
        for index in range(40)
    ]
    await _post(client, system, "traces", trace_request(spans, of))
    points = [_at(now_ns, age_s, 3.0 + age_s % 20) for age_s in _AGES_S]
    await _post(client, system, "metrics", metric_request([gauge(*points, name="inference.queue.length")], of))


async def _post(client: httpx.AsyncClient, system: System, signal: str, request: Message) -> None:
    url, headers = f"http://127.0.0.1:{system.http_port}/v1/{signal}", {"content-type": "application/x-protobuf"}
    answer = await client.post(url, content=request.SerializeToString(), headers=headers)
    assert answer.status_code == 200, answer.text


def _at(now_ns: int, age_s: int, value: float) -> Any:
    point = number_point(value)
    point.time_unix_nano = now_ns - age_s * _NS_PER_S
    return point


def _box(now_ns: int) -> list[Metric]:
    used = [_at(now_ns, age_s, 0.4 * ((now_ns // _NS_PER_S - age_s) % 10**7)) for age_s in _AGES_S]
    held = [_at(now_ns, age_s, 3e8) for age_s in _AGES_S]
    return [
        total(*used, name="container.cpu.time", temporality=AGGREGATION_TEMPORALITY_CUMULATIVE),
        gauge(*held, name="container.memory.working_set"),
        gauge(*[_at(now_ns, age_s, 1e9) for age_s in _AGES_S], name="container.memory.usage.limit"),
    ]
