"""A process that telemetry came from: who it is, and whose.

Made of the instances of services, which `modelwatch/` reads from the history in the same process, or
`instance_client.py` asks the API for.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, NamedTuple

from container_stats.readings import Attributes
from telemetry import SeenInstance
from telemetry import conventions as names

HEARD_OF_S: Final = 900
"""A service that nothing came from for so long has no process worth looking for."""


class WatchedProcess(NamedTuple):
    """The resource of a service's spans, as far as it tells the process.

    `last_seen_s` is the Unix time of the last telemetry: a process made later has only the same number. `attributes`
    are those of the service, which its process's metrics get as well.
    """

    host_name: str
    pid: int
    last_seen_s: float
    container_id: str = ""
    attributes: Attributes = ()


FindWatched = Callable[[], Awaitable[Sequence[WatchedProcess]]]
"""Return the processes that telemetry came from of late, on any host."""


def watched_process_of(seen: SeenInstance) -> WatchedProcess | None:
    """Return the process that an instance is, if its resource tells host and process."""
    instance = seen.instance
    if not instance.host_name or not instance.process_pid.isdecimal():
        return None
    service: Mapping[str, str] = {
        names.SERVICE_NAME: instance.service_name,
        names.SERVICE_VERSION: instance.service_version,
        names.SERVICE_INSTANCE_ID: instance.service_instance_id,
        names.DEPLOYMENT_ENVIRONMENT: instance.deployment_environment,
    }
    attributes = tuple((key, value) for key, value in service.items() if value)
    pid = int(instance.process_pid)
    return WatchedProcess(instance.host_name, pid, seen.last_seen_s, instance.container_id, attributes)
