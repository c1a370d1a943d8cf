"""Which metrics tell what of a container or process: a table of names, ours and those of the Collector's receivers.

Read by `measuring.py`. `docker_stats`, `kubeletstats`, `k8s_cluster` and `hostmetrics` (`process` scraper) are
understood beside ModelWatch's own (`docs/containers.md`), which has the names of the semantic conventions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

from query.resources.answers import ResourceKind

Quantity = Literal[
    "cpu_cores",
    "cpu_limit_cores",
    "cpu_count",
    "periods_per_s",
    "throttled_per_s",
    "memory_bytes",
    "memory_limit_bytes",
    "memory_available_bytes",
    "network_receive_bytes_per_s",
    "network_transmit_bytes_per_s",
    "disk_read_bytes_per_s",
    "disk_write_bytes_per_s",
    "restarts",
    "oom_kills",
    "state",
]


class Source(NamedTuple):
    """What a metric tells. Of several that tell the same the one with the lowest `rank` counts."""

    kind: ResourceKind
    quantity: Quantity | Mapping[str, Quantity]
    """Where the metric has directions, what it tells by each."""
    rank: int = 0
    factor: float = 1.0


_NETWORK: Final[Mapping[str, Quantity]] = {
    "receive": "network_receive_bytes_per_s",
    "transmit": "network_transmit_bytes_per_s",
}
_DISK: Final[Mapping[str, Quantity]] = {"read": "disk_read_bytes_per_s", "write": "disk_write_bytes_per_s"}

SOURCES: Final[Mapping[str, Source]] = {
    "container.cpu.time": Source("container", "cpu_cores"),
    "container.cpu.usage.total": Source("container", "cpu_cores", 1, 1e-9),
    "container.cpu.usage": Source("container", "cpu_cores", 2),
    "container.cpu.limit": Source("container", "cpu_limit_cores"),
    "k8s.container.cpu_limit": Source("container", "cpu_limit_cores", 1),
    "container.cpu.logical.count": Source("container", "cpu_count"),
    "container.cpu.throttling_data.periods": Source("container", "periods_per_s"),
    "container.cpu.throttling_data.throttled_periods": Source("container", "throttled_per_s"),
    "container.memory.working_set": Source("container", "memory_bytes"),
    "container.memory.usage.total": Source("container", "memory_bytes", 1),
    "container.memory.usage": Source("container", "memory_bytes", 2),
    "container.memory.usage.limit": Source("container", "memory_limit_bytes"),
    "k8s.container.memory_limit": Source("container", "memory_limit_bytes", 1),
    "container.memory.available": Source("container", "memory_available_bytes"),
    "container.network.io": Source("container", _NETWORK),
    "container.network.io.usage.rx_bytes": Source("container", "network_receive_bytes_per_s", 1),
    "container.network.io.usage.tx_bytes": Source("container", "network_transmit_bytes_per_s", 1),
    "container.disk.io": Source("container", _DISK),
    "container.blockio.io_service_bytes_recursive": Source("container", _DISK, 1),
    "container.restarts": Source("container", "restarts"),
    "k8s.container.restarts": Source("container", "restarts", 1),
    "container.memory.oom_kills": Source("container", "oom_kills"),
    "container.state": Source("container", "state"),
    "process.cpu.time": Source("process", "cpu_cores"),
    "process.cpu.limit": Source("process", "cpu_limit_cores"),
    "process.cpu.throttling_data.periods": Source("process", "periods_per_s"),
    "process.cpu.throttling_data.throttled_periods": Source("process", "throttled_per_s"),
    "process.memory.usage": Source("process", "memory_bytes"),
    "process.memory.physical_usage": Source("process", "memory_bytes", 1),
    "process.memory.limit": Source("process", "memory_limit_bytes"),
    "process.disk.io": Source("process", _DISK),
    "process.restarts": Source("process", "restarts"),
}

JUDGED: Final = tuple(
    name
    for name, source in SOURCES.items()
    if isinstance(source.quantity, str) and not source.quantity.startswith("network_")
)
"""What verdicts are made of; the rest is left out of their reads."""

DIRECTION_LABELS: Final = ("network.io.direction", "disk.io.direction", "direction", "operation")
MODE_LABELS: Final = ("cpu.mode", "state")
WAITING_MODES: Final = frozenset({"wait", "iowait", "idle", "steal"})
"""Modes of CPU time in which no CPU was used by the process."""
OWN_SCOPE: Final = "modelwatch.container_stats"
STATE_LABEL: Final = "container.state"
STOPPED_STATES: Final = frozenset({"created", "exited", "dead", "removed", "stopped"})

# Labels that say which container or process it is.
CONTAINER_ID: Final = "container.id"
CONTAINER_NAME: Final = "container.name"
IMAGE_NAME: Final = "container.image.name"
HOST_NAME: Final = "host.name"
K8S_NAMESPACE: Final = "k8s.namespace.name"
K8S_POD: Final = "k8s.pod.name"
K8S_CONTAINER: Final = "k8s.container.name"
PROCESS_PID: Final = "process.pid"
EXECUTABLE: Final = "process.executable.name"
PROCESS_LINE: Final = "modelwatch.process.line"
COMPOSE_PROJECT: Final = "container.label.com.docker.compose.project"
COMPOSE_SERVICE: Final = "container.label.com.docker.compose.service"
