"""The metrics that this room sends: their names, types and units, as docs/containers.md explains them.

OpenTelemetry's names where it has any, else those of the Collector's `docker_stats` receiver, else ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

Kind = Literal["counter", "sum", "gauge"]
"""A counter only grows, a sum goes both ways (and adds up over containers), a gauge does not add up."""

SCOPE: Final = "modelwatch.container_stats"

HOST_NAME: Final = "host.name"
CONTAINER_ID: Final = "container.id"
CONTAINER_NAME: Final = "container.name"
CONTAINER_IMAGE_NAME: Final = "container.image.name"
CONTAINER_IMAGE_TAGS: Final = "container.image.tags"
CONTAINER_RUNTIME: Final = "container.runtime"
CONTAINER_RUNTIME_NAME: Final = "container.runtime.name"
CONTAINER_LABEL_PREFIX: Final = "container.label."
CONTAINER_STATE: Final = "container.state"
CONTAINER_HEALTH: Final = "container.health"
PROCESS_PID: Final = "process.pid"
PROCESS_PARENT_PID: Final = "process.parent_pid"
PROCESS_EXECUTABLE_NAME: Final = "process.executable.name"
PROCESS_CREATION_TIME: Final = "process.creation.time"
NETWORK_DIRECTION: Final = "network.io.direction"
NETWORK_INTERFACE: Final = "network.interface.name"
DISK_DIRECTION: Final = "disk.io.direction"
DISK_DEVICE: Final = "system.device"
FAULT_TYPE: Final = "system.paging.fault.type"
CPU_MODE: Final = "cpu.mode"
SWITCH_TYPE: Final = "process.context_switch.type"
PROCESS_LINE: Final = "modelwatch.process.line"


class Metric(NamedTuple):
    """What the points of a metric have in common."""

    kind: Kind
    unit: str


METRICS: Final[Mapping[str, Metric]] = {
    "container.cpu.time": Metric("counter", "s"),
    "container.cpu.usage": Metric("gauge", "{cpu}"),
    "container.cpu.limit": Metric("gauge", "{cpus}"),
    "container.cpu.logical.count": Metric("gauge", "{cpus}"),
    "container.cpu.limit_utilization": Metric("gauge", "1"),
    "container.cpu.throttling_data.periods": Metric("counter", "{periods}"),
    "container.cpu.throttling_data.throttled_periods": Metric("counter", "{periods}"),
    "container.cpu.throttling_data.throttled_time": Metric("counter", "ns"),
    "container.memory.usage": Metric("sum", "By"),
    "container.memory.working_set": Metric("sum", "By"),
    "container.memory.rss": Metric("sum", "By"),
    "container.memory.file": Metric("sum", "By"),
    "container.memory.usage.limit": Metric("sum", "By"),
    "container.memory.available": Metric("sum", "By"),
    "container.memory.limit_utilization": Metric("gauge", "1"),
    "container.memory.oom_kills": Metric("counter", "{kill}"),
    "container.paging.faults": Metric("counter", "{fault}"),
    "container.network.io": Metric("counter", "By"),
    "container.disk.io": Metric("counter", "By"),
    "container.pids.count": Metric("sum", "{pids}"),
    "container.pids.limit": Metric("sum", "{pids}"),
    "container.restarts": Metric("counter", "{restarts}"),
    "container.uptime": Metric("gauge", "s"),
    "container.state": Metric("sum", "{container}"),
    "container.health": Metric("sum", "{container}"),
    "container.exit_code": Metric("gauge", "1"),
    "process.cpu.time": Metric("counter", "s"),
    "process.cpu.utilization": Metric("gauge", "1"),
    "process.cpu.limit": Metric("gauge", "{cpu}"),
    "process.cpu.throttling_data.periods": Metric("counter", "{periods}"),
    "process.cpu.throttling_data.throttled_periods": Metric("counter", "{periods}"),
    "process.memory.usage": Metric("sum", "By"),
    "process.memory.virtual": Metric("sum", "By"),
    "process.memory.uss": Metric("sum", "By"),
    "process.memory.limit": Metric("sum", "By"),
    "process.thread.count": Metric("sum", "{thread}"),
    "process.unix.file_descriptor.count": Metric("sum", "{file_descriptor}"),
    "process.context_switches": Metric("counter", "{context_switch}"),
    "process.disk.io": Metric("counter", "By"),
    "process.uptime": Metric("gauge", "s"),
    "process.restarts": Metric("counter", "{restarts}"),
}
