"""Who runs a service: one process of it, as the resource of its telemetry names it.

The processor reads it from the resources of spans and metrics, storage keeps a row of each, query joins it with the
container and the process whose CPU and memory are measured.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final, NamedTuple


class ServiceInstance(NamedTuple):
    """All fields are text; what a resource lacks is the empty string.

    The first five tell instances apart: workers that share one `service.instance.id` are rows of their own by their
    `process.pid`, and a container that is made anew is another one by its `container.id`.
    """

    service_name: str
    service_instance_id: str = ""
    host_name: str = ""
    process_pid: str = ""
    container_id: str = ""
    service_version: str = ""
    deployment_environment: str = ""
    container_name: str = ""
    k8s_namespace: str = ""
    k8s_pod: str = ""
    k8s_container: str = ""
    sdk_language: str = ""
    sdk_version: str = ""

    @property
    def name(self) -> str:
        """What to call it: `service.instance.id`, else host and pid, as far as they are known."""
        return self.service_instance_id or ":".join(filter(None, (self.host_name, self.process_pid)))


_IDENTITY: Final = 5
"""So many fields, the first, are the identity."""


@dataclass(frozen=True, slots=True)
class SeenInstance:
    """An instance, and between which Unix seconds something came of it; the last is told within half a minute."""

    instance: ServiceInstance
    first_seen_s: int
    last_seen_s: int


def service_instance_id_of(instance: ServiceInstance) -> int:
    """Return a stable signed 64-bit id of the identity, equal in every process: BLAKE2b over length-prefixed fields."""
    fields = [field.encode() for field in instance[:_IDENTITY]]
    parts = b"".join(len(raw).to_bytes(4, "little") + raw for raw in fields)
    digest = hashlib.blake2b(parts, digest_size=8, person=b"instance").digest()
    return int.from_bytes(digest, "little", signed=True)
