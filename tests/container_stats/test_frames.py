"""Frames of the engine's stats: recorded ones of cgroup v1, v2 and of Podman, and one in the form of version 2."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from container_stats.container_info import Limits
from container_stats.container_readings import usage_readings
from container_stats.frames import usage_before_frame, usage_of_frame
from container_stats.readings import Reading
from container_stats.usage import Throttling, Usage

FRAMES = Path(__file__).parent / "frames"


def frame(name: str) -> Any:
    return json.loads((FRAMES / f"{name}.json").read_text())


def usage(name: str) -> Usage:
    found = usage_of_frame(frame(name))
    assert found is not None
    return found


def readings(name: str, limits: Limits | None = None) -> dict[str, list[Reading]]:
    """Return by metric what is sent of a frame that is the first to be looked at."""
    found: dict[str, list[Reading]] = {}
    for reading in usage_readings(usage(name), usage_before_frame(frame(name)), limits or Limits()):
        found.setdefault(reading.metric, []).append(reading)
    return found


def value(found: dict[str, list[Reading]], metric: str) -> float:
    (reading,) = found[metric]
    return reading.value


def test_a_frame_of_cgroup_v1_tells_cores_throttling_and_memory() -> None:
    """The container of the recording had a fifth of a core and 64 MiB: its own figures, worked out by hand."""
    found = readings("docker-20.10-cgroup-v1", Limits(cores=0.2, memory_bytes=67108864))
    assert value(found, "container.cpu.time") == pytest.approx(0.830908690)
    assert value(found, "container.cpu.usage") == pytest.approx((830908690 - 632017881) / 1002428835)
    assert value(found, "container.cpu.limit_utilization") == pytest.approx(0.99204, abs=1e-4)
    assert value(found, "container.cpu.throttling_data.throttled_periods") == 40
    assert value(found, "container.cpu.throttling_data.throttled_time") == 2412727673
    assert value(found, "container.memory.working_set") == 421888
    assert value(found, "container.memory.rss") == 61440
    assert value(found, "container.memory.file") == 4096
    assert value(found, "container.memory.available") == 67108864 - 421888
    assert [(one.value, one.attributes) for one in found["container.paging.faults"]] == [
        (1019, (("system.paging.fault.type", "minor"),)),
        (1, (("system.paging.fault.type", "major"),)),
    ]
    assert "container.network.io" not in found
    assert "container.pids.limit" not in found


def test_a_frame_of_cgroup_v1_tells_page_cache_and_network() -> None:
    """Page cache that is not in use is no part of the working set; each interface is told by direction."""
    found = readings("docker-20.10-cgroup-v1-network")
    assert value(found, "container.memory.usage") == 5349376
    assert value(found, "container.memory.working_set") == 5349376 - 4194304
    assert [(one.value, dict(one.attributes)) for one in found["container.network.io"]] == [
        (1810, {"network.io.direction": "receive", "network.interface.name": "eth0"}),
        (672, {"network.io.direction": "transmit", "network.interface.name": "eth0"}),
    ]
    assert value(found, "container.pids.limit") == 50
    assert "container.memory.available" not in found
    assert "container.cpu.limit" not in found
    assert value(found, "container.cpu.logical.count") == 2


def test_a_frame_of_cgroup_v2_tells_the_same() -> None:
    """Version 2 has other names in its memory statistics, operations in lower case, and no list of CPUs.

    This frame is written down after Docker's code, not recorded: where the tests are made the controllers of CPU,
    memory, I/O and processes belong to version 1, and a version 2 that is mounted beside has none to give to an engine.
    """
    found = readings("docker-cgroup-v2", Limits(cores=2.0, cpu_set_size=1, memory_bytes=536870912))
    assert value(found, "container.cpu.usage") == pytest.approx(1.5)
    assert value(found, "container.cpu.limit_utilization") == pytest.approx(1.5)  # of the one CPU of its set
    assert value(found, "container.memory.working_set") == 210000000
    assert value(found, "container.memory.rss") == 180000000
    assert value(found, "container.memory.file") == 110000000
    assert value(found, "container.memory.limit_utilization") == pytest.approx(210000000 / 536870912)
    assert usage("docker-cgroup-v2").throttling == Throttling(200, 50, 1500000000)
    assert usage("docker-cgroup-v2").disk == {"259:0": (4194304, 8192), "253:1": (1024, 0)}
    assert usage("docker-cgroup-v2").network == {"eth0": (5000, 7000), "eth1": (1, 2)}
    assert "container.pids.limit" not in found


def test_a_recorded_frame_of_cgroup_v2_is_read() -> None:
    """The figures that Docker told of a container on a host of version 2, its first frame, near its limit of 256 MiB.

    Recorded by others in 2023: the makers of the Collector's receiver for Docker keep it among their test data.
    """
    found = readings("docker-cgroup-v2-recorded", Limits(memory_bytes=268435456))
    assert value(found, "container.cpu.time") == pytest.approx(0.999478)
    assert value(found, "container.memory.usage") == 234647552
    # Shared memory is in use, though the kernel counts it among the files.
    assert value(found, "container.memory.working_set") == 234647552
    assert value(found, "container.memory.rss") == 61440
    assert value(found, "container.memory.file") == 233848832
    assert value(found, "container.memory.limit_utilization") == pytest.approx(0.8741, abs=1e-4)
    assert value(found, "container.pids.limit") == 4694
    assert [one.value for one in found["container.paging.faults"]] == [9458 - 4, 4]
    assert usage("docker-cgroup-v2-recorded").disk == {"8:0": (167936, 0)}
    assert usage("docker-cgroup-v2-recorded").network == {"eth0": (1296, 0)}
    assert "container.cpu.usage" not in found


def test_a_frame_of_podman_leaves_out_what_podman_does_not_measure() -> None:
    """Podman writes zeros for throttling, and no parts of memory: neither is told as if it had been measured."""
    found = readings("podman-4.3-cgroup-v1", Limits(memory_bytes=67108864))
    assert value(found, "container.cpu.usage") == pytest.approx((4279187884 - 2549432488) / 5002804945)
    assert value(found, "container.memory.usage") == 352256
    assert value(found, "container.memory.working_set") == 352256
    assert not {name for name in found if "throttling" in name}
    assert not found.keys() & {"container.memory.rss", "container.memory.file", "container.paging.faults"}


def test_a_first_frame_tells_no_cores() -> None:
    """Before the first frame nothing was measured, so there is CPU time but no usage since."""
    found = readings("docker-20.10-cgroup-v1-first")
    assert "container.cpu.time" in found
    assert not found.keys() & {"container.cpu.usage", "container.cpu.limit_utilization"}


def test_the_frame_of_a_stopped_container_tells_nothing() -> None:
    """The engine goes on sending frames of zeros after a container has stopped; none of them is a reading."""
    assert usage_of_frame(frame("docker-20.10-stopped")) is None


@pytest.mark.parametrize("path", sorted(FRAMES.glob("*.json")), ids=lambda path: path.stem)
@pytest.mark.parametrize("damage", [None, [], {}, "text", -1, True, 2**70])
def test_a_damaged_frame_is_no_error(path: Path, damage: object) -> None:
    """Whatever stands in place of a part of a frame, the rest is read and nothing is raised."""
    whole = json.loads(path.read_text())
    for key, part in whole.items():
        for damaged in [whole | {key: damage}] + (
            [whole | {key: part | {inner: damage}} for inner in part] if isinstance(part, dict) else []
        ):
            found, before = usage_of_frame(damaged), usage_before_frame(damaged)
            if found is not None:
                assert all(reading.value >= 0 for reading in usage_readings(found, before, Limits()))
    assert usage_of_frame(damage) is None
