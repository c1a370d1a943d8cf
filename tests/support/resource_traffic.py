"""A fleet of containers and processes, well and unwell, as the metrics that tell of it.

For pages and benchmarks; everything follows from the arguments.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from telemetry import SeenInstance, ServiceInstance
from telemetry.metric_points import MetricPoint
from tests.support.resource_metrics import container, counter, process, reading

MIB = 2**20
GIB = 2**30
HOSTILE = '<img src=x onerror="document.title=1">'


def fleet_id(number: int) -> str:
    """Return the id of the container of this number."""
    return f"{number:012x}" + "0" * 52


def instances(now_s: int) -> list[SeenInstance]:
    """Who runs what: four services in containers, one as processes."""
    of_containers = [
        SeenInstance(
            ServiceInstance(service, f"i{number}", container_id=fleet_id(number)[:12], deployment_environment="prod"),
            now_s - 3_600,
            now_s,
        )
        for number, service in enumerate(("churn-xgb", "doc-ocr", "fraud-model", HOSTILE), start=1)
    ]
    workers = ServiceInstance("price-model", "w", "node-1", "4100", sdk_language="python")
    return [*of_containers, SeenInstance(workers, now_s - 3_600, now_s)]


def fleet(start_s: int, now_s: int, extra: int = 0) -> Iterator[MetricPoint]:
    """Yield all points from `start_s` to `now_s`, one each ten seconds.

    A container that is throttled, one that leaks, one that is idle, one with a hostile name, one that stopped a minute
    and a half ago, two processes, and `extra` calm ones.
    """
    seconds = range(start_s, now_s, 10)
    yield from _box(
        1, "churn-1", "registry.example/churn", "models", seconds, lambda second: 1.9 + 0.08 * _wave(second)
    )
    yield from _box(
        2,
        "ocr-1",
        "registry.example/ocr",
        "models",
        seconds,
        lambda second: 0.6 + 0.3 * _wave(second),
        memory=lambda second: 500 * MIB + 0.06 * MIB * (second - start_s),
    )
    yield from _box(3, "fraud-1", "registry.example/fraud", "risk", seconds, lambda second: 0.01)
    yield from _box(4, HOSTILE, "<b>image</b>", "", seconds, lambda second: 0.3)
    ended = [second for second in seconds if second < now_s - 90]
    yield from _box(5, "churn-0", "registry.example/churn", "models", ended, lambda second: 0.8)
    exited = container(fleet_id(5), "churn-0", **_labels("registry.example/churn", "models"))
    yield from reading("container.state", [(now_s - 20, 1.0)], exited, container__state="exited")
    for pid in (4100, 4101):
        yield from _process(pid, seconds)
    for number in range(10, 10 + extra):
        yield from _box(number, f"calm-{number}", "registry.example/calm", "calm", seconds, lambda second: 0.2)


def _wave(second: int) -> float:
    return math.sin(second / 70)


def _labels(image: str, project: str) -> dict[str, str]:
    return {"container__image__name": image, "container__label__com__docker__compose__project": project}


def _box(
    number: int,
    name: str,
    image: str,
    project: str,
    seconds: range | list[int],
    cores: Callable[[int], float],
    memory: Callable[[int], float] = lambda second: 300 * MIB,
) -> Iterator[MetricPoint]:
    of = container(fleet_id(number), name, **_labels(image, project))
    used, throttled = 1_000.0, 100.0
    cpu, waits = [], []
    for second in seconds:
        used += 10 * cores(second)
        throttled += 30 if cores(second) > 1.5 else 0
        cpu.append((second, used))
        waits.append((second, throttled))
    yield from counter("container.cpu.time", cpu, of)
    yield from counter("container.cpu.throttling_data.throttled_periods", waits, of)
    yield from counter("container.cpu.throttling_data.periods", [(s, 10.0 * s) for s in seconds], of)
    yield from reading("container.cpu.limit", [(s, 2.0) for s in seconds], of)
    yield from reading("container.memory.working_set", [(s, memory(s)) for s in seconds], of)
    yield from reading("container.memory.usage.limit", [(s, float(GIB)) for s in seconds], of)
    yield from reading("container.memory.available", [(s, GIB - memory(s)) for s in seconds], of)
    for direction, per_s in (("receive", 18_000.0), ("transmit", 9_000.0)):
        told = [(s, per_s * (s - 1_000_000)) for s in seconds]
        yield from counter("container.network.io", told, of, network__io__direction=direction)
    yield from counter("container.restarts", [(s, 2.0) for s in seconds], of)
    yield from counter("container.memory.oom_kills", [(s, 0.0) for s in seconds], of)
    yield from reading("container.state", [(s, 1.0) for s in seconds], of, container__state="running")


def _process(pid: int, seconds: range) -> Iterator[MetricPoint]:
    of = process(pid, executable="gunicorn")
    names = {"service": "price-model", "instance": "w"}
    for mode in ("user", "system"):
        told = [(s, 0.2 * (s - 1_000_000)) for s in seconds]
        yield from counter("process.cpu.time", told, of, **names, cpu__mode=mode)
    yield from reading("process.cpu.limit", [(s, 2.0) for s in seconds], of, **names)
    yield from reading("process.memory.usage", [(s, 180.0 * MIB) for s in seconds], of, **names)
    yield from reading("process.memory.limit", [(s, 8.0 * GIB) for s in seconds], of, **names)
