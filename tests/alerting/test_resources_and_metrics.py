"""Rules about containers, processes and any other metric, from OTLP to the alert."""

from __future__ import annotations

from typing import Any

import pytest

from alerting.notification import Severity, Told
from alerting.rules import MetricChoice, Signal
from alerting.states import Phase
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


@pytest.mark.parametrize("scope", [{}, {"container": "f*l", "host": "*"}, {"host": "h1"}])
async def test_a_container_near_its_memory_limit(
    history: SqlHistory, clock: ManualClock, scope: dict[str, str]
) -> None:
    """One alert for the container, by its name; the one that has room is none, nor is one that a scope leaves out."""
    of_scope = rule(signal=Signal.MEMORY, warning=0.8, critical=0.95, window_s=60, scope=scope)
    of_others = of_scope.model_copy(update={"rule_id": "others", "scope": {"container": "f*x", "host": "h1"}})
    world = await AlertWorld(history, clock, of_scope, of_others).begin()
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
    evidence = (await world.told())[0].items[0].evidence
    assert evidence is not None
    assert (evidence.memory_share, evidence.calls) == (pytest.approx(0.97), None)


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
    await world.calls(7)
    await world.calls(5, service_name="other")
    for value in (10.0, 20.0, 30.0):
        points = [number_point(value, shard=shard) for shard in ("a1", "b1")]
        await send(world, gauge(*points, name="queue.length"), service="shop")
        clock.advance(10)
    await world.round(1)
    assert await world.phases() == ({"shop/b1": "firing"} if fires else {})
    evidence = [item.evidence for told in await world.told() for item in told.items]
    assert [one and one.calls for one in evidence] == ([7] if fires else []), "what its service answered"


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


async def test_a_question_that_the_database_can_never_answer_fails_its_own_rule_alone(
    history: SqlHistory, clock: ManualClock
) -> None:
    """A label with NUL in it, which PostgreSQL refuses: that rule may fail and says so, the others go on."""
    odd = rule(
        rule_id="odd",
        signal=Signal.METRIC,
        metric=MetricChoice(name="wait"),
        warning=1,
        critical=None,
        scope={"sh\0ard": "a"},
    )
    world = await AlertWorld(history, clock, odd, rule()).begin()
    await send(world, gauge(number_point(5.0, shard="a"), name="wait"), service="shop")
    await world.calls(5, errors=5)
    await world.round(5)
    assert await world.phases() == {"shop": "firing"}
    assert set(world.evaluator.report.failures) <= {"odd"}


class Machine:
    """Containers that report as `container_stats` does: what is set, as long as it is set."""

    def __init__(self, world: AlertWorld) -> None:
        self.world = world
        self.start_ns = world.clock()
        self.cpu_s = self.periods = self.throttled = 0.0
        self.restarts = 0

    async def report(self, *, busy: float, throttled: float, memory: float, restarts: int) -> None:
        """Go on for ten seconds with these shares of the limits, and with this many restarts."""
        self.cpu_s += 10 * busy
        self.periods += 100 if busy else 0
        self.throttled += 100 * throttled
        self.restarts += restarts
        totals = {
            "container.cpu.time": self.cpu_s,
            "container.cpu.throttling_data.periods": self.periods,
            "container.cpu.throttling_data.throttled_periods": self.throttled,
        }
        metrics = [total(number_point(value), name=name) for name, value in totals.items()]
        for metric in metrics:
            metric.sum.data_points[0].start_time_unix_nano = self.start_ns
        readings = {
            "container.cpu.limit": 1.0,
            "container.memory.working_set": 100 * memory,
            "container.memory.usage.limit": 100.0,
            "container.restarts": float(self.restarts),
        }
        metrics += [gauge(number_point(value), name=name) for name, value in readings.items()]
        await send(self.world, *metrics, container__id="c" * 64, container__name="model", host__name="h1")


@pytest.mark.parametrize("busy", [0.0, 0.1])
async def test_each_rule_for_resources_that_is_there_from_the_start_fires_and_is_resolved(
    history: SqlHistory, clock: ManualClock, busy: float
) -> None:
    """A container that uses up its CPU and its quota, nearly fills its memory and restarts, and then recovers.

    While it does nothing at all, no period of its quota counts: it is throttled no more, and that is known.
    """
    world = await AlertWorld(history, clock, default_rules=True).begin()
    machine = Machine(world)
    ill = {"busy": 1.0, "throttled": 0.9, "memory": 0.97}
    well = {"busy": busy, "throttled": 0.0, "memory": 0.3}
    for _ in range(8):
        await machine.report(**well, restarts=0)
        await world.round(10)
    assert await world.alerts() == []
    for number in range(20):
        await machine.report(**ill, restarts=int(number < 5))
        await world.round(10)
    rules = {"high-cpu", "cpu-throttled", "high-memory", "restarting"}
    firing = {alert.rule_id: alert.state for alert in await world.alerts() if alert.state.phase == Phase.FIRING}
    assert {rule_id: state.severity for rule_id, state in firing.items()} == dict.fromkeys(rules, Severity.CRITICAL)
    for _ in range(75):
        await machine.report(**well, restarts=0)
        await world.round(10)
    assert {alert.rule_id for alert in await world.alerts() if alert.state.phase == Phase.FIRING} == set()
    told = [(one.rule_id, one.state) for one in await world.told()]
    assert {(rule_id, state) for rule_id in rules for state in (Told.FIRING, Told.RESOLVED)} == set(told)


async def test_the_default_rules_hold_for_processes_that_no_engine_knows(
    history: SqlHistory, clock: ManualClock
) -> None:
    """A service whose process is started anew again and again, and one whose quota is used up; one alert each.

    A service whose four processes were started anew together, once each, is none of that.
    """
    world = await AlertWorld(history, clock, default_rules=True).begin()

    async def report(service: str, pid: int, age_s: int, restarts: int, line: int, throttled: int = 0) -> None:
        restart = total(number_point(restarts, **{"modelwatch.process.line": str(line)}), name="process.restarts")
        periods = total(number_point(10 * age_s), name="process.cpu.throttling_data.periods")
        used_up = total(number_point(throttled * age_s), name="process.cpu.throttling_data.throttled_periods")
        for metric in (restart, periods, used_up):
            metric.sum.data_points[0].start_time_unix_nano = clock() - age_s * 10**9
        attributes = {"service__instance__id": f"{service}-{pid}", "host__name": "h1", "process__pid": pid}
        await send(world, restart, periods, used_up, service=service, **attributes)

    for number in range(24):
        pid, age_s = 100 + min(number // 4, 3), 10 * (number % 4 if number < 12 else number - 12) + 5
        await report("looping", pid, age_s, int(pid > 100), 100)
        await report("waiting", 7, 10 * number + 5, 0, 7, throttled=9)
        for place in range(4):
            is_new = number > 5
            await report("redeployed", 10 * is_new + place + 10, 10 * (number % 6) + 5, int(is_new), place + 10)
        await world.round(10)
    firing = {
        (alert.rule_id, alert.labels["service"]): (alert.state.severity, alert.state.value)
        for alert in await world.alerts()
        if alert.state.phase == Phase.FIRING
    }
    assert firing == {
        ("restarting", "looping"): (Severity.WARNING, 3.0),
        ("cpu-throttled", "waiting"): (Severity.CRITICAL, pytest.approx(0.9)),
    }
    for number in range(24, 100):
        await report("looping", 103, 10 * (number - 12) + 5, 1, 100)
        await world.round(10)
    assert {alert.rule_id for alert in await world.alerts() if alert.state.phase == Phase.FIRING} == set()
