"""Rules about containers, processes and any other metric, from OTLP to the alert."""

from __future__ import annotations

from typing import Any

import pytest

from alerting.notification import Severity
from alerting.rules import MetricChoice, Signal
from processor.component import build_metric_decoder
from processor.settings import ProcessorSettings
from storage.history import SqlHistory
from tests.support.alert_world import AlertWorld, rule
from tests.support.doubles import ManualClock
from tests.support.otlp import resource
from tests.support.otlp_metrics import gauge, metric_request, number_point, total


async def send(world: AlertWorld, *metrics: Any, service: str | None = None, **attributes: object) -> None:
    """Commit metrics whose points are of now."""
    for metric in metrics:
        kind = getattr(metric, metric.WhichOneof("data"))
        for point in kind.data_points:
            point.time_unix_nano = world.clock()
    body = metric_request(metrics, resource(service, **attributes)).SerializeToString()
    decoded = build_metric_decoder(ProcessorSettings()).decode(body, latest_ns=2**62)
    await world.commit(metrics=list(decoded.points))


async def test_a_container_near_its_memory_limit(history: SqlHistory, clock: ManualClock) -> None:
    """One alert for the container, by its name; the one that has room is none."""
    world = await AlertWorld(
        history, clock, rule(signal=Signal.MEMORY, warning=0.8, critical=0.95, window_s=60)
    ).begin()
    for _ in range(3):
        for name, used in (("full", 97.0), ("roomy", 40.0)):
            await send(
                world,
                gauge(number_point(used), name="container.memory.working_set"),
                gauge(number_point(100.0), name="container.memory.usage.limit"),
                container__id=name * 16,
                container__name=name,
                host__name="h1",
            )
        await world.round(10)
    (alert,) = await world.alerts()
    assert dict(alert.labels) == {"container": "full"}
    assert (alert.state.severity, alert.state.value) == (Severity.CRITICAL, pytest.approx(0.97))


async def test_a_process_of_a_service_that_is_short_of_cpu(history: SqlHistory, clock: ManualClock) -> None:
    """Its service and instance are known, and its memory is in the evidence."""
    world = await AlertWorld(
        history, clock, rule(signal=Signal.CPU, warning=0.8, critical=0.95, window_s=60, min_requests=0)
    ).begin()
    start_ns = clock() - 10**9
    for number in range(8):
        used = total(number_point(8.5 * number), name="process.cpu.time")
        used.sum.data_points[0].start_time_unix_nano = start_ns
        await send(
            world,
            used,
            gauge(number_point(1.0), name="process.cpu.limit"),
            gauge(number_point(500.0), name="process.memory.usage"),
            gauge(number_point(1_000.0), name="process.memory.limit"),
            service="shop",
            service__instance__id="i1",
            host__name="h1",
            process__pid=7,
        )
        await world.round(10)
    (alert,) = await world.alerts()
    assert (alert.labels["service"], alert.labels["instance"]) == ("shop", "i1")
    assert (alert.state.severity, alert.state.value) == (Severity.WARNING, pytest.approx(0.85))
    evidence = (await world.told())[0].items[0].evidence
    assert evidence is not None
    assert (evidence.memory_bytes, evidence.memory_share) == (500.0, 0.5)


@pytest.mark.parametrize(
    ("aggregation", "warning", "fires"),
    [("max", 25, True), ("avg", 25, False), ("avg", 15, True), ("min", 15, False), ("last", 25, True)],
)
async def test_any_metric_by_any_aggregation(
    history: SqlHistory, clock: ManualClock, aggregation: Any, warning: float, fires: bool
) -> None:
    """Of the readings 10, 20 and 30 in the window."""
    queue = MetricChoice(name="queue.length", aggregation=aggregation)
    world = await AlertWorld(
        history,
        clock,
        rule(
            signal=Signal.METRIC,
            metric=queue,
            warning=warning,
            critical=None,
            window_s=60,
            group_by=("service", "shard"),
            scope={"service": "shop", "shard": "b*"},
        ),
    ).begin()
    for value in (10.0, 20.0, 30.0):
        points = [number_point(value, shard=shard) for shard in ("a1", "b1")]
        await send(world, gauge(*points, name="queue.length"), service="shop")
        clock.advance(10)
    await world.round(1)
    assert await world.phases() == ({"shop/b1": "firing"} if fires else {})


async def test_a_metric_whose_unit_changes_is_refused_by_name(history: SqlHistory, clock: ManualClock) -> None:
    """Milliseconds are not compared with seconds: the rule says that it must name one, and other rules go on."""
    named = rule(
        rule_id="of-seconds",
        signal=Signal.METRIC,
        metric=MetricChoice(name="wait", unit="s"),
        warning=1,
        critical=None,
    )
    unnamed = rule(rule_id="of-any", signal=Signal.METRIC, metric=MetricChoice(name="wait"), warning=1, critical=None)
    world = await AlertWorld(history, clock, named, unnamed).begin()
    for value, unit in ((2.0, "s"), (2_000.0, "ms")):
        metric = gauge(number_point(value), name="wait")
        metric.unit = unit
        await send(world, metric, service="shop")
    await world.round(5)
    assert {alert.rule_id: alert.state.value for alert in await world.alerts()} == {"of-seconds": 2.0}
    assert "units 'ms', 's'" in world.evaluator.report.failures["of-any"]
