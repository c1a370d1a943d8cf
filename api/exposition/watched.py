"""What is known of the watched services, for Prometheus: their RED, their resources, their alerts.

RED is counted out of the history from the hour in which this process began: late calls count too, and nothing is
counted by the process itself, so that several dashboards tell the same but for where they begin.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from itertools import accumulate
from typing import Final

import structlog

from alerting.desk import AlertDesk, OpenAlert
from api.exposition.families import Buckets, Family
from api.settings import ApiSettings
from query import GroupBy, Query, Resource, ResourceQuery, ResourceState, WindowTotals
from telemetry import ExponentialHistogram, ModelWatchError, NowNs
from telemetry.conventions import HTTP_DURATION_BOUNDS_S
from telemetry.exponential_histogram import counts_between

_LABELS: Final[dict[GroupBy, str]] = {
    "service": "service_name",
    "version": "service_version",
    "environment": "deployment_environment_name",
    "route": "http_route",
}
_FIELDS: Final[tuple[GroupBy, ...]] = ("service", "version", "environment", "route")
_HOUR_S: Final = 3_600
_RECENT_S: Final = 60
_STEP_S: Final = 10
_NS_PER_S: Final = 1_000_000_000

_log = structlog.get_logger(__name__)


class Watched:
    """Reads the families anew for each scrape."""

    def __init__(
        self,
        settings: ApiSettings,
        query: Query,
        resources: ResourceQuery,
        alerts: AlertDesk | None = None,
        now_ns: NowNs = time.time_ns,
    ) -> None:
        self._settings = settings
        self._query = query
        self._resources = resources
        self._alerts = alerts
        self._now_ns = now_ns
        self._start_s = now_ns() // _NS_PER_S // _HOUR_S * _HOUR_S

    async def families(self) -> list[Family]:
        """Return what could be read in time; the last family says which parts were."""
        parts: dict[str, Callable[[], Awaitable[list[Family]]]] = {
            "services": self._services,
            "resources": self._resources_now,
        }
        if self._alerts is not None:
            parts["alerts"] = self._alerts_now
        found = await asyncio.gather(*(self._part(name, read) for name, read in parts.items()))
        is_read = Family("modelwatch_scrape_part_is_complete", "gauge", "1 if this part of the page could be read.")
        for name, part in zip(parts, found, strict=True):
            is_read.add(int(part is not None), part=name)
        return [*(family for part in found for family in part or ()), is_read]

    async def _part(self, name: str, read: Callable[[], Awaitable[list[Family]]]) -> list[Family] | None:
        try:
            async with asyncio.timeout(self._settings.metrics_timeout_s):
                return await read()
        except (TimeoutError, ModelWatchError) as error:
            _log.warning("left out of /metrics", part=name, reason=repr(error))
            return None

    async def _services(self) -> list[Family]:
        if not self._settings.metrics_max_groups:
            return []
        end_s = self._now_ns() // _NS_PER_S + 1
        totals = await self._query.totals(
            end_s - self._start_s, _FIELDS, end_s, max_groups=self._settings.metrics_max_groups
        )
        return await asyncio.to_thread(red_families, totals)

    async def _resources_now(self) -> list[Family]:
        end_s = self._resources.end_s()
        answer = await self._resources.resources(end_s - _RECENT_S, end_s, _STEP_S)
        return resource_families(answer.items)

    async def _alerts_now(self) -> list[Family]:
        assert self._alerts is not None
        return [alert_family(await self._alerts.open_alerts())]


def red_families(totals: WindowTotals) -> list[Family]:
    """Return durations, errors and client errors by service, version, environment and route; the start is a whole hour.

    A bound of a bucket is met to within 1 %, as durations are kept in buckets of 1.1 %; counts and sums are exact.
    """
    durations = Family(
        "modelwatch_request_duration_seconds", "histogram", "Durations of the requests that services answered."
    )
    errors = Family("modelwatch_request_errors", "counter", "Requests that failed by the service's fault.")
    client_errors = Family("modelwatch_request_client_errors", "counter", "Requests refused with a status of 4xx.")
    for key, total in totals.select(_FIELDS, totals.groups()):
        labels = {_LABELS[field]: value for field, value in zip(_FIELDS, key, strict=True)}
        durations.add(buckets_of(totals.durations(key), HTTP_DURATION_BOUNDS_S), **labels)
        errors.add(total.errors, **labels)
        client_errors.add(total.client_errors, **labels)
    return [durations, errors, client_errors]


def buckets_of(durations: ExponentialHistogram, bounds_s: Sequence[float]) -> Buckets:
    """Return how many durations are at most each of the bounds, in seconds."""
    *counts, total = accumulate(counts_between(durations.bucket_counts(), bounds_s))
    return Buckets(bounds_s, counts, total, durations.sum_ns / _NS_PER_S)


def resource_families(resources: Iterable[Resource]) -> list[Family]:
    """Return what containers and processes that are live use now."""
    used = {
        field: Family(f"modelwatch_resource_{name}", "gauge", text)
        for field, name, text in (
            ("cpu_cores", "cpu_cores", "CPU in use, in cores."),
            ("cpu_limit_cores", "cpu_limit_cores", "CPU that may be used, in cores."),
            ("throttled_share", "cpu_throttled_ratio", "Share of the periods of a CPU quota in which it was used up."),
            ("memory_bytes", "memory_bytes", "Memory in use: the working set of a container, resident of a process."),
            ("memory_limit_bytes", "memory_limit_bytes", "Memory that may be used."),
            ("network_receive_bytes_per_s", "network_receive_bytes_per_second", "Bytes received per second."),
            ("network_transmit_bytes_per_s", "network_transmit_bytes_per_second", "Bytes sent per second."),
            ("disk_read_bytes_per_s", "disk_read_bytes_per_second", "Bytes read from disks per second."),
            ("disk_write_bytes_per_s", "disk_write_bytes_per_second", "Bytes written to disks per second."),
        )
    }
    restarts = Family("modelwatch_resource_restarts", "counter", "Restarts since the container was made.")
    kills = Family("modelwatch_resource_oom_kills", "counter", "Processes that the kernel ended for want of memory.")
    for resource in resources:
        if resource.state is not ResourceState.LIVE:
            continue
        identity = resource.identity
        labels = {
            "kind": identity.kind,
            "id": identity.id,
            "name": identity.name,
            "host": identity.host,
            "service_name": resource.owner.service,
        }
        for field, family in used.items():
            family.add(getattr(resource.now, field), **labels)
        restarts.add(resource.restarts, **labels)
        kills.add(resource.oom_kills, **labels)
    return [*used.values(), restarts, kills]


def alert_family(alerts: Iterable[OpenAlert]) -> Family:
    """Return a sample of 1 for each alert that is pending, firing or without data."""
    family = Family("modelwatch_alert_state", "gauge", "1 for each alert that is pending, firing or without data.")
    for one in alerts:
        state = one.alert.state
        family.add(
            1,
            **{f"label_{name}": value for name, value in sorted(one.alert.labels.items())},
            rule=one.alert.rule_id,
            state=str(state.phase),
            severity=str(state.severity or ""),
        )
    return family
