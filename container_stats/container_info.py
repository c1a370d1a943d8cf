"""What is known of a container beside its usage: from the engine's answer to "inspect"; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from container_stats.cpu_sets import cpus_in
from container_stats.engine_times import unix_nano_of

HAS_PROCESSES: Final = frozenset({"running", "paused"})

_STATES: Final = {"configured": "created", "initialized": "created", "stopped": "exited", "stopping": "running"}
"""What Podman calls them, in Docker's words; `unknown` and the like pass as they are."""

_SHORT_ID_CHARS: Final = 12
_DEFAULT_PERIOD_US: Final = 100_000


@dataclass(frozen=True, slots=True)
class Limits:
    """What a container may use: cores by quota and CPU set together, the CPUs of the set, bytes; `None` without one."""

    cores: float | None = None
    cpu_set_size: int | None = None
    memory_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class ContainerInfo:
    """A container between two changes of it."""

    id: str
    name: str
    image_name: str
    image_tag: str
    state: str
    health: str | None
    created_unix_nano: int
    started_unix_nano: int | None
    finished_unix_nano: int | None
    exit_code: int
    restarts: int
    was_oom_killed: bool
    limits: Limits
    labels: tuple[tuple[str, str], ...]

    @property
    def has_processes(self) -> bool:
        return self.state in HAS_PROCESSES


def info_of(inspected: Mapping[str, Any], label_names: Sequence[str]) -> ContainerInfo:
    """Return what an answer to `GET /containers/{id}/json` says. Raises `ValueError` if it is none."""
    try:
        state, config = inspected["State"], inspected["Config"]
        host, labels = inspected.get("HostConfig") or {}, config.get("Labels") or {}
        image_name, image_tag = split_image(str(config.get("Image") or inspected.get("Image") or ""))
        status = str(state["Status"]).lower()
        cpu_set = cpus_in(str(host.get("CpusetCpus") or ""))
        return ContainerInfo(
            id=str(inspected["Id"]),
            name=str(inspected["Name"]).lstrip("/"),
            image_name=image_name,
            image_tag=image_tag,
            state=_STATES.get(status, status),
            health=_health(state),
            created_unix_nano=unix_nano_of(inspected.get("Created")) or 0,
            started_unix_nano=unix_nano_of(state.get("StartedAt")),
            finished_unix_nano=unix_nano_of(state.get("FinishedAt")),
            exit_code=int(state.get("ExitCode") or 0),
            restarts=int(inspected.get("RestartCount") or 0),
            was_oom_killed=bool(state.get("OOMKilled")),
            limits=Limits(_cores(host, cpu_set), len(cpu_set) or None, int(host.get("Memory") or 0) or None),
            labels=tuple((name, str(labels[name])) for name in label_names if name in labels),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"no answer to an inspection: {error!r} is missing") from error


def split_image(image: str) -> tuple[str, str]:
    """Split `registry:5000/team/model:1.2@sha256:…` into name and tag; the tag is empty where there is none."""
    if image.startswith("sha256:"):
        return image.removeprefix("sha256:")[:_SHORT_ID_CHARS], ""
    name = image.partition("@")[0]
    before, colon, tag = name.rpartition(":")
    return (before, tag) if colon and "/" not in tag else (name, "")


def _health(state: Mapping[str, Any]) -> str | None:
    status = (state.get("Health") or state.get("Healthcheck") or {}).get("Status")
    return str(status) if status and status != "none" else None


def _cores(host: Mapping[str, Any], cpu_set: frozenset[int]) -> float | None:
    quota_us, period_us = int(host.get("CpuQuota") or 0), int(host.get("CpuPeriod") or 0) or _DEFAULT_PERIOD_US
    nano_cpus = int(host.get("NanoCpus") or 0)
    limits = [float(len(cpu_set))] if cpu_set else []
    if nano_cpus > 0:
        limits.append(nano_cpus / 1e9)
    elif quota_us > 0:
        limits.append(quota_us / period_us)
    return min(limits, default=None)
