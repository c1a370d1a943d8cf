"""What is made of metrics of containers and processes, ours and the Collector's, in their own names and units."""

from __future__ import annotations

from typing import Any

import pytest

from query.resources.measuring import Measured, measured
from query.resources.sources import SOURCES
from telemetry.metric_points import MetricColumns, MetricPoint
from tests.support.resource_metrics import container, counter, process, reading

START_S = 1_700_000_000
STEP_S = 10
STEPS = 6
SECONDS = range(START_S - STEP_S, START_S + STEPS * STEP_S, STEP_S)
"""One point a step, and one before the first."""


def found_in(*series: list[MetricPoint]) -> list[Measured]:
    points = [point for one in series for point in one]
    names = sorted({point.series for point in points})
    index_of = {name: index for index, name in enumerate(names)}
    rows = sorted((point.start_s, index_of[point.series], point.state.to_bytes()) for point in points)
    return measured(MetricColumns(names, rows), START_S, STEP_S, STEPS, START_S - 300)


def growing(per_s: float, start: float = 5.0) -> list[tuple[int, float]]:
    return [(second, start + per_s * (second - START_S + STEP_S)) for second in SECONDS]


def level(value: float) -> list[tuple[int, float]]:
    return [(second, value) for second in SECONDS]


POD = {"k8s.namespace.name": "ns", "k8s.pod.name": "web-x", "k8s.container.name": "app"}
NAMES: dict[str, tuple[list[list[MetricPoint]], str, float]] = {
    "ours: CPU time": ([counter("container.cpu.time", growing(1.5), container())], "cpu_cores", 1.5),
    "docker_stats: CPU time in ns": (
        [counter("container.cpu.usage.total", growing(1.5e9), container(), unit="ns", scope="d")],
        "cpu_cores",
        1.5,
    ),
    "kubeletstats: cores": ([reading("container.cpu.usage", level(0.7), POD, scope="k")], "cpu_cores", 0.7),
    "k8s_cluster: limit": ([reading("k8s.container.cpu_limit", level(2), POD, scope="k")], "cpu_limit_cores", 2),
    "no limit: the CPUs that there are": (
        [reading("container.cpu.logical.count", level(4), container())],
        "cpu_limit_cores",
        4,
    ),
    "working set": ([reading("container.memory.working_set", level(100), container())], "memory_bytes", 100),
    "docker_stats: memory": (
        [reading("container.memory.usage.total", level(90), container(), scope="d")],
        "memory_bytes",
        90,
    ),
    "the better of two": (
        [
            reading("container.memory.usage", level(500), container()),
            reading("container.memory.working_set", level(100), container()),
        ],
        "memory_bytes",
        100,
    ),
    "two reporters are not added up": (
        [
            counter("container.cpu.time", growing(1.0), container()),
            counter("container.cpu.time", growing(1.0), container(), scope="another"),
        ],
        "cpu_cores",
        1.0,
    ),
    "interfaces are added up": (
        [
            counter("container.network.io", growing(3), container(), network__io__direction="receive", interface="a"),
            counter("container.network.io", growing(4), container(), network__io__direction="receive", interface="b"),
            counter("container.network.io", growing(9), container(), network__io__direction="transmit", interface="b"),
        ],
        "network_receive_bytes_per_s",
        7,
    ),
    "docker_stats: bytes sent": (
        [counter("container.network.io.usage.tx_bytes", growing(8), container(), scope="d", interface="eth0")],
        "network_transmit_bytes_per_s",
        8,
    ),
    "docker_stats: bytes read": (
        [
            counter("container.blockio.io_service_bytes_recursive", growing(2), container(), operation="read"),
            counter("container.blockio.io_service_bytes_recursive", growing(5), container(), operation="write"),
        ],
        "disk_read_bytes_per_s",
        2,
    ),
    "throttled periods": (
        [counter("container.cpu.throttling_data.throttled_periods", growing(3), container())],
        "throttled_per_s",
        3,
    ),
    "hostmetrics: modes but waiting": (
        [
            counter("process.cpu.time", growing(0.5), process(), scope="h", state="user"),
            counter("process.cpu.time", growing(0.25), process(), scope="h", state="system"),
            counter("process.cpu.time", growing(0.9), process(), scope="h", state="wait"),
        ],
        "cpu_cores",
        0.75,
    ),
    "hostmetrics: memory": ([reading("process.memory.usage", level(70), process(), scope="h")], "memory_bytes", 70),
}


@pytest.mark.parametrize("name", NAMES)
def test_a_metric_tells_its_quantity(name: str) -> None:
    """In cores, bytes and bytes a second, for every step, of one container or process."""
    series, quantity, expected = NAMES[name]
    (one,) = found_in(*series)
    course = one.courses[quantity]  # type: ignore[index]
    assert course == [pytest.approx(expected)] * STEPS
    assert getattr(one.steps(STEPS)[0], quantity) == pytest.approx(expected)


def test_what_is_not_told_is_not_known() -> None:
    """Never 0: neither a quantity without a metric nor a step without a point."""
    (one,) = found_in(counter("container.cpu.time", growing(1.0)[:3], container()))
    assert one.courses["cpu_cores"] == [pytest.approx(1.0), pytest.approx(1.0), None, None, None, None]
    assert {usage.memory_bytes for usage in one.steps(STEPS)} == {None}


def test_a_limit_holds_until_another_is_told() -> None:
    """Reporters may tell it once a minute; it is not forgotten in between."""
    limits = [(START_S + 10, 2.0), (START_S + 40, 4.0)]
    (one,) = found_in(reading("container.cpu.limit", limits, container()))
    assert one.courses["cpu_limit_cores"] == [2, 2, 2, 2, 4, 4]


@pytest.mark.parametrize(
    ("available", "scope", "is_own"),
    [(True, "modelwatch.container_stats", True), (False, "modelwatch.container_stats", False), (False, "docker", True)],
)
def test_a_limit_is_the_hosts_where_nothing_says_otherwise(available: bool, scope: str, is_own: bool) -> None:
    """Our reporter tells the host's memory where a container has no limit, and what is available where it has one."""
    told = [reading("container.memory.usage.limit", level(1e9), container(), scope=scope)]
    told += [reading("container.memory.available", level(5e8), container(), scope=scope)] if available else []
    (one,) = found_in(*told)
    assert one.has_own_memory_limit is is_own


def test_restarts_and_oom_kills_are_totals_and_what_came_of_them() -> None:
    """As the reporter counts, and how many in the time asked about; a gauge of them as well."""
    counts = [(second, 3 if second < START_S + 30 else 5) for second in SECONDS]
    (ours,) = found_in(
        counter("container.restarts", counts, container()),
        counter("container.memory.oom_kills", level(2), container()),
    )
    assert (ours.totals["restarts"].last, ours.totals["restarts"].new) == (5, 2)
    assert (ours.totals["oom_kills"].last, ours.totals["oom_kills"].new) == (2, 0)
    (pod,) = found_in(reading("k8s.container.restarts", counts, POD))
    assert (pod.totals["restarts"].last, pod.totals["restarts"].new) == (5, 2)


def test_the_state_is_the_one_that_was_present_last() -> None:
    """Others that it was in before are told with 0."""

    def state(name: str, values: list[tuple[int, float]]) -> list[MetricPoint]:
        return reading("container.state", values, container(), container__state=name)

    running = [(second, 1.0 if second < START_S + 30 else 0.0) for second in SECONDS]
    exited = [(second, 1.0) for second in SECONDS if second >= START_S + 30]
    (one,) = found_in(state("running", running), state("exited", exited))
    assert one.reported_state == "exited"


def test_resources_are_told_apart_and_series_of_one_are_joined() -> None:
    """By pod and container, by id, or by host and pid; what one series does not name another may."""
    series = [
        counter("container.cpu.time", growing(1), container()),
        reading("container.memory.working_set", level(1), container(container__image__name="churn")),
        counter("container.cpu.time", growing(1), container("d" * 64, "web-2")),
        counter("process.cpu.time", growing(1), process(41)),
        counter("process.cpu.time", growing(1), process(41, "node-2")),
        reading("container.cpu.usage", level(1), POD | {"container.id": "e" * 64}),
        reading("k8s.container.memory_limit", level(1), POD),
        reading("container.cpu.usage", level(1), {}),
    ]
    found = {one.identity.id: one.identity for one in found_in(*series)}
    assert set(found) == {"c" * 64, "d" * 64, "node-1:41", "node-2:41", "ns/web-x/app"}
    assert found["c" * 64].image == "churn"
    assert found["ns/web-x/app"].container_id == "e" * 64


def test_metrics_of_other_names_are_left_out() -> None:
    """Also those of a direction that is none of ours."""
    other: list[Any] = [
        reading("container.cpu.utilization", level(1), container()),
        counter("container.network.io", growing(1), container(), network__io__direction="sideways"),
    ]
    assert found_in(*other) == []
    assert "container.cpu.utilization" not in SOURCES
