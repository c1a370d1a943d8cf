"""The questions about resources: which containers and processes there are, and how those of a service are doing.

Beside `query/component.py`; the answers come from the history, as fine as it keeps. Reading and asking is here; what is
made of it is in the pure modules beside.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol

import structlog

from query.blocks import ceil_to, floor_to, widened
from query.component import Query
from query.question import QuestionError, check_range, check_step
from query.resources.answers import (
    InstancesAnswer,
    Owner,
    Resource,
    ResourceGrouping,
    ResourcesAnswer,
    ResourceState,
    ServiceResources,
    ServiceVerdicts,
    Usage,
    VerdictsAnswer,
)
from query.resources.joining import owners_of
from query.resources.measuring import Measured, measured
from query.resources.on_one_axis import calls_per_cpu_s, service_steps
from query.resources.sources import JUDGED, SOURCES
from query.resources.states import states_of
from query.resources.summing import Limited, groups_of, latest_of, mean_of, sum_of
from query.resources.verdicts import LENGTH_S, STEP_S, Observed, memory_left_s, verdicts_of
from query.settings import QuerySettings
from query.shared_answers import Kept, SharedAnswers
from query.tiers import finest_width_s, fitting_width_s, look_back
from storage.instance_ports import InstanceHistory
from storage.metric_ports import MetricFilter, MetricHistory
from storage.ports import KeptTier, SeriesFilter, TooManyPointsError
from storage.sanitising import clean_text
from telemetry import ModelWatchError, NowNs, SeenInstance

log = structlog.get_logger(__name__)

_NS_PER_S: Final = 1_000_000_000
_AHEAD_S: Final = 600
"""Series may have been noted so long before the time of their points, as data may be dated ahead."""
_INSTANCE_LOOK_BACK_S: Final = 3_600
_JUDGED_FOR_S: Final = 10.0
_CACHE_FACTOR: Final = 5
"""Reporters tell every ten seconds or less often, so that what was measured holds longer than other answers."""
_PATIENCE_S: Final = 0.5
_SERVICE_PATIENCE_S: Final = 2.0
_RECENT_S: Final = 60


@dataclass(frozen=True, slots=True)
class ResourceFilter:
    """Which resources a question is about. A field that is `None` lets every value through.

    A name is found by what it was sent as: the fields are as the stores keep them.
    """

    service: str | None = None
    environment: str | None = None

    def __post_init__(self) -> None:
        for field in self.__slots__:
            if (name := getattr(self, field)) is not None:
                object.__setattr__(self, field, clean_text(name, sys.maxsize))

    def matches(self, owner: Owner) -> bool:
        """Tell whether a resource of this owner passes."""
        return self.service in (None, owner.service) and self.environment in (None, owner.environment)


class ResourceHistory(MetricHistory, InstanceHistory, Protocol):
    """What is needed of the history."""


@dataclass(frozen=True, slots=True)
class _Found:
    """What was found in a time: resources with their limits' ownership, and what was heard of instances."""

    start_s: int
    end_s: int
    step_s: int
    resources: Sequence[Limited]
    instances: Sequence[SeenInstance]


_EVERYTHING: Final = ResourceFilter()


class ResourceQuery:
    """Answers questions about resources from a history, which it neither starts nor stops; `query` answers of RED."""

    def __init__(
        self, settings: QuerySettings, query: Query, history: ResourceHistory, now_ns: NowNs = time.time_ns
    ) -> None:
        self._settings = settings
        self._query = query
        self._history = history
        self._now_ns = now_ns
        self._found: SharedAnswers[_Found] = SharedAnswers()
        self._verdicts: SharedAnswers[VerdictsAnswer] = SharedAnswers()
        self._latest: VerdictsAnswer | None = None

    def use(self, settings: QuerySettings) -> None:
        """Judge by these thresholds from now on."""
        self._settings = settings

    async def resources(
        self,
        start_s: int,
        end_s: int,
        step_s: int,
        group_by: ResourceGrouping = "resource",
        where: ResourceFilter = _EVERYTHING,
        is_grouped: Callable[[Resource], bool] | None = None,
    ) -> ResourcesAnswer:
        """Return the containers and processes that were measured from `start_s` to before `end_s`, in steps.

        The start is moved down to a multiple of the step, which is widened to a multiple of what the history keeps of
        that time. Groups are of those that `is_grouped` lets pass, of all without it. Raises `QuestionError`, or
        `StorageUnavailableError` when the history does not answer.
        """
        self._check(start_s, end_s, step_s)
        found = await self._measure(start_s, end_s, step_s)
        chosen = _owned(found, where)
        kept = _largest(chosen, self._settings.max_groups)
        self._check_size(len(kept), found)
        grouped = kept if is_grouped is None else [one for one in kept if is_grouped(one.resource)]
        groups = await asyncio.to_thread(groups_of, grouped, group_by) if group_by != "resource" else ()
        return ResourcesAnswer(
            found.start_s,
            found.end_s,
            found.step_s,
            tuple(sorted((one.resource for one in kept), key=_order)),
            groups,
            is_complete=len(kept) == len(chosen),
        )

    async def service(
        self, service: str, start_s: int, end_s: int, step_s: int, environment: str | None = None
    ) -> ServiceResources:
        """Return the resources of a service on the time axis of its traffic, and what is to be said of them.

        Of one `environment` if it is given; verdicts are always on the whole service. Raises as `resources` does.
        """
        self._check(start_s, end_s, step_s)
        where = ResourceFilter(service, environment)
        found = await self._measure(start_s, end_s, step_s)
        series = SeriesFilter(deployment_environment=environment, service_name=service)
        red, verdicts = await asyncio.gather(
            self._query.red(found.start_s, found.end_s, found.step_s, (), series), self.verdicts()
        )
        own = sorted(_owned(found, where), key=lambda one: _order(one.resource))
        settled_end_s = self._query.settled_end_s()
        steps = await asyncio.to_thread(service_steps, red, found.start_s, found.step_s, own, settled_end_s)
        hour = await self._hour()
        left = [memory_left_s(_observed(one, "")) for one in _owned(hour, where)]
        return ServiceResources(
            service=service,
            start_s=found.start_s,
            end_s=found.end_s,
            step_s=found.step_s,
            resources=tuple(one.resource for one in own),
            now=sum_of([(one, one.resource.now) for one in own]),
            steps=tuple(steps),
            calls_per_cpu_s=calls_per_cpu_s(steps, found.step_s, settled_end_s),
            verdicts=verdicts.of(service),
            memory_left_s=min((left_s for left_s in left if left_s is not None), default=None),
        )

    async def recent_service(
        self, service: str, start_s: int, end_s: int, step_s: int, environment: str | None = None
    ) -> ServiceResources | None:
        """Return the same for those who show it beside something else: within two seconds or nothing, never raising."""
        try:
            asked = self.service(service, start_s, end_s, step_s, environment)
            return await asyncio.wait_for(asked, _SERVICE_PATIENCE_S)
        except (TimeoutError, ModelWatchError) as error:
            log.debug("resources of a service not answered", service=service, reason=repr(error))
            return None

    def end_s(self) -> int:
        """Return the end of questions about the present: the second that is running is the last one included."""
        return self._now_s() + 1

    async def instances(self, window_s: int, service: str | None = None) -> InstancesAnswer:
        """Return the instances of services that were heard of in the last `window_s` seconds. Raises as `resources`."""
        since_s = max(self._now_s() - window_s, 0)
        return InstancesAnswer(since_s, tuple(await self._history.instances(since_s, service)))

    async def verdicts(self) -> VerdictsAnswer:
        """Return what is to be said of the resources of every service, judged now and kept for ten seconds.

        Services are those whose instances were heard of in the last hour. Raises `StorageUnavailableError`.
        """
        return await self._verdicts.get((), self._answer_verdicts)

    async def recent_verdicts(self) -> VerdictsAnswer | None:
        """Return the verdicts for those who show them beside something else: within half a second, never raising.

        Those of up to a minute ago, or none, where there are no newer ones.
        """
        try:
            # The question goes on when nobody waits for it, so that the next one has its answer.
            self._latest = await asyncio.wait_for(self.verdicts(), _PATIENCE_S)
        except (TimeoutError, ModelWatchError) as error:
            log.debug("verdicts on resources not answered", reason=repr(error))
        is_recent = self._latest is not None and self._now_s() - self._latest.end_s <= _RECENT_S
        return self._latest if is_recent else None

    async def _answer_verdicts(self) -> Kept[VerdictsAnswer]:
        still_holds = self._holds_for(_JUDGED_FOR_S)
        hour = await self._hour()
        languages = {seen.instance.service_name: seen.instance.sdk_language for seen in hour.instances}
        observed: defaultdict[str, list[Observed]] = defaultdict(list)
        for one in hour.resources:
            if service := one.resource.owner.service:
                observed[service].append(_observed(one, languages.get(service, "")))

        def judge() -> VerdictsAnswer:
            services = sorted(languages.keys() | observed.keys())
            settings = self._settings.resources
            items = [ServiceVerdicts(name, verdicts_of(observed.get(name, ()), settings)) for name in services]
            return VerdictsAnswer(hour.end_s, tuple(items))

        return await asyncio.to_thread(judge), still_holds

    async def _hour(self) -> _Found:
        end_s = self._now_s() + 1
        start_s = max(end_s - LENGTH_S, 0)
        # Asked by the minute, so that whoever asks in the meantime shares the answer.
        return await self._found.get(
            "hour", lambda: self._answer_found(start_s, end_s, STEP_S, JUDGED, self._holds_for(_JUDGED_FOR_S))
        )

    async def _measure(self, start_s: int, end_s: int, step_s: int) -> _Found:
        names = tuple(SOURCES)
        holds = self._holds_for(_CACHE_FACTOR * self._settings.history_cache_s)
        return await self._found.get(
            (start_s, end_s, step_s), lambda: self._answer_found(start_s, end_s, step_s, names, holds)
        )

    async def _answer_found(
        self, start_s: int, end_s: int, step_s: int, names: tuple[str, ...], still_holds: Callable[[], bool]
    ) -> Kept[_Found]:
        tiers = await self._history.kept()
        step_s = widened(start_s, step_s, partial(finest_width_s, tiers))
        start_s, end_s = floor_to(start_s, step_s), self._end_in(tiers, end_s)
        since_s = look_back(tiers, start_s, step_s)
        where = MetricFilter(metric_names=names, noted_since_s=since_s - _AHEAD_S)
        try:
            columns, instances = await asyncio.gather(
                self._history.read_metrics(since_s, end_s, where, fitting_width_s(tiers, step_s)),
                self._history.instances(max(start_s - _INSTANCE_LOOK_BACK_S, 0)),
            )
        except TooManyPointsError as error:
            raise QuestionError("start_s", str(error)) from error
        step_count = -(-(end_s - start_s) // step_s)
        stale_after_s = max(self._settings.resources.stale_after_s, 2 * tiers[0].width_s)

        def make() -> _Found:
            found = measured(columns, start_s, step_s, step_count, since_s)
            then_s = min(end_s, self._now_s())
            states = states_of(found, then_s, stale_after_s)
            owners = owners_of(instances, [one.identity for one in found])
            fresh_steps = -(-max(stale_after_s, step_s) // step_s) + 1
            limited = [
                _limited(
                    one,
                    state,
                    owners.get((one.identity.kind, one.identity.id), Owner()),
                    one.steps(step_count),
                    fresh_steps,
                )
                for one, state in zip(found, states, strict=True)
            ]
            return _Found(start_s, end_s, step_s, limited, instances)

        return await asyncio.to_thread(make), still_holds

    def _check(self, start_s: int, end_s: int, step_s: int) -> None:
        check_range(start_s, end_s, self._settings)
        check_step(start_s, end_s, step_s, self._settings)

    def _check_size(self, count: int, found: _Found) -> None:
        values = count * -(-(found.end_s - found.start_s) // found.step_s) * len(Usage.__dataclass_fields__)
        if values > self._settings.max_metric_values:
            least = -(-values // self._settings.max_metric_values)
            raise QuestionError(
                "step_s",
                f"{count} resources in steps of {found.step_s} s are more than {self._settings.max_metric_values} "
                f"values: ask for steps {least} times as wide, a shorter time or a single service",
            )

    def _end_in(self, tiers: Sequence[KeptTier], end_s: int) -> int:
        return max(end_s, min(ceil_to(end_s, tiers[0].width_s), self._now_s() + 1))

    def _holds_for(self, seconds: float) -> Callable[[], bool]:
        now_ns = self._now_ns()
        return lambda: 0 <= self._now_ns() - now_ns < seconds * _NS_PER_S

    def _now_s(self) -> int:
        return self._now_ns() // _NS_PER_S


def _limited(one: Measured, state: ResourceState, owner: Owner, steps: tuple[Usage, ...], fresh_steps: int) -> Limited:
    restarts, kills = one.totals.get("restarts"), one.totals.get("oom_kills")
    resource = Resource(
        identity=one.identity,
        owner=owner,
        state=state,
        reported_state=one.reported_state,
        last_seen_s=one.last_ns // _NS_PER_S,
        now=latest_of(steps[-fresh_steps:]) if state is ResourceState.LIVE else Usage(),
        mean=mean_of(steps),
        steps=steps,
        restarts=None if restarts is None else restarts.last,
        new_restarts=None if restarts is None else restarts.new,
        oom_kills=None if kills is None else kills.last,
        new_oom_kills=None if kills is None else kills.new,
    )
    return Limited(resource, one.has_own_cpu_limit, one.has_own_memory_limit)


def _observed(one: Limited, language: str) -> Observed:
    resource = one.resource
    is_live = resource.state is ResourceState.LIVE
    return Observed(
        resource.identity.name, resource.identity.kind, resource.steps, is_live, one.has_own_cpu_limit, language
    )


def _owned(found: _Found, where: ResourceFilter) -> list[Limited]:
    return [one for one in found.resources if where.matches(one.resource.owner)]


def _order(resource: Resource) -> tuple[str, str, str]:
    return resource.owner.service, resource.identity.name, resource.identity.id


def _largest(found: Sequence[Limited], limit: int) -> list[Limited]:
    """Return those that use the most, where there are more than an answer holds."""
    if len(found) <= limit:
        return list(found)
    by_use = sorted(
        found, key=lambda one: (-(one.resource.mean.cpu_cores or 0.0), -(one.resource.mean.memory_bytes or 0.0))
    )
    return by_use[:limit]
