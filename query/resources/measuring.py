"""From series of metrics to what each container and process used, step after step.

Pure; between the history's points and the answers. Where several reporters tell the same of one resource, one of them
is believed and the others are not added to it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from query.resources import sources as names
from query.resources.answers import ResourceIdentity, Usage
from query.resources.identities import identity_of
from query.resources.readings import Told, is_reading, told_of
from query.resources.sources import SOURCES, Quantity, Source
from telemetry.metric_points import MetricColumns
from telemetry.metric_series import MetricSeriesKey, labels_of

_NS_PER_S: Final = 1_000_000_000
_TOTALS: Final = frozenset({"restarts", "oom_kills"})

Course = list[float | None]
"""A value for each step, `None` where nothing is known."""


@dataclass(frozen=True, slots=True)
class Total:
    """What was counted: up to the last point, and how much of it in the time asked about."""

    last: int
    new: int


@dataclass(slots=True)
class Measured:
    """What is known of one container or process."""

    identity: ResourceIdentity
    last_ns: int = 0
    courses: dict[Quantity, Course] = field(default_factory=dict)
    totals: dict[Quantity, Total] = field(default_factory=dict)
    reported_state: str = ""
    has_own_cpu_limit: bool = False
    has_own_memory_limit: bool = False
    """Whether the limits are its own; otherwise they are the host's, for all that run there."""

    def steps(self, step_count: int) -> tuple[Usage, ...]:
        """Return what was used in each step."""
        empty: Course = [None] * step_count
        courses = [self.courses.get(name, empty) for name in USAGE_FIELDS]
        return tuple(Usage(*values) for values in zip(*courses, strict=True))


USAGE_FIELDS: Final[tuple[Quantity, ...]] = (
    "cpu_cores",
    "cpu_limit_cores",
    "periods_per_s",
    "throttled_per_s",
    "memory_bytes",
    "memory_limit_bytes",
    "network_receive_bytes_per_s",
    "network_transmit_bytes_per_s",
    "disk_read_bytes_per_s",
    "disk_write_bytes_per_s",
)
"""The fields of a `Usage`, in its order."""


@dataclass(frozen=True, slots=True)
class _Telling:
    """A series that tells of a quantity, and what it tells in each step."""

    series: MetricSeriesKey
    source: Source
    steps: Mapping[int, Told]
    is_new: bool
    """Whether nothing was told by it before the time asked about."""

    @property
    def reporter(self) -> tuple[int, str, str]:
        return self.source.rank, self.series.metric_name, self.series.scope_name


_ByQuantity = dict[Quantity, list[_Telling]]


def measured(columns: MetricColumns, start_s: int, step_s: int, step_count: int, since_s: int) -> list[Measured]:
    """Return what is known of each container and process in the steps from `start_s` on.

    Points of before `start_s`, from `since_s` on, are there to tell increases by.
    """
    points: defaultdict[int, list[tuple[int, bytes]]] = defaultdict(list)
    for bucket_s, index, state in columns.points:
        points[index].append((bucket_s, state))
    found: dict[tuple[str, str], tuple[ResourceIdentity, _ByQuantity]] = {}
    for index, of_series in points.items():
        series = columns.series[index]
        source = SOURCES.get(series.metric_name)
        quantity = _quantity_of(source, series) if source is not None else None
        identity = identity_of(source.kind, series) if source is not None and quantity is not None else None
        if source is None or quantity is None or identity is None:
            continue
        steps = told_of(series, of_series, start_s, step_s, since_s)
        if not steps:
            continue
        key = identity.kind, identity.id
        so_far, told = found.setdefault(key, (identity, {}))
        found[key] = _merged(so_far, identity), told
        told.setdefault(quantity, []).append(_Telling(series, source, steps, of_series[0][0] >= start_s))
    return [_measured(identity, told, step_count) for identity, told in found.values()]


def _quantity_of(source: Source, series: MetricSeriesKey) -> Quantity | None:
    labels = labels_of(series.attributes)
    if isinstance(source.quantity, str):
        is_waiting = source.quantity == "cpu_cores" and _first(labels, names.MODE_LABELS) in names.WAITING_MODES
        return None if is_waiting else source.quantity
    return source.quantity.get(_first(labels, names.DIRECTION_LABELS).lower())


def _first(labels: Mapping[str, str], keys: Iterable[str]) -> str:
    return next((labels[key] for key in keys if key in labels), "")


def _merged(one: ResourceIdentity, other: ResourceIdentity) -> ResourceIdentity:
    """Fill in what one series does not tell and another does."""
    fields = ResourceIdentity.__dataclass_fields__
    missing = {name: getattr(other, name) for name in fields if not getattr(one, name) and getattr(other, name)}
    return replace(one, **missing) if missing else one


def _measured(identity: ResourceIdentity, told: _ByQuantity, step_count: int) -> Measured:
    found = Measured(identity)
    limit_scopes = {one.series.scope_name for one in told.get("memory_limit_bytes", ())}
    for quantity, series in told.items():
        found.last_ns = max(found.last_ns, *(step.last_ns for one in series for step in one.steps.values()))
        believed = _believed(series)
        if quantity == "state":
            found.reported_state = _state_of(believed)
        elif quantity in _TOTALS:
            found.totals[quantity] = _total_of(believed, counts_from_nothing=identity.kind == "process")
        else:
            found.courses[quantity] = _course_of(believed, step_count)
    is_container = identity.kind == "container"
    found.has_own_cpu_limit = is_container and "cpu_limit_cores" in found.courses
    if "cpu_limit_cores" not in found.courses and (count := found.courses.pop("cpu_count", None)):
        found.courses["cpu_limit_cores"] = count
    # Our own reporter tells the host's memory where there is no limit, and what is available only where there is one.
    found.has_own_memory_limit = is_container and (
        "memory_available_bytes" in found.courses or names.OWN_SCOPE not in limit_scopes
    )
    _fill(found.courses)
    return found


def _believed(series: Sequence[_Telling]) -> list[_Telling]:
    """Return the series of one reporter: of the best source, and of several of those the one that tells most."""
    best = min(one.source.rank for one in series)
    by_reporter: defaultdict[tuple[int, str, str], list[_Telling]] = defaultdict(list)
    for one in series:
        if one.source.rank == best:
            by_reporter[one.reporter].append(one)
    chosen = min(by_reporter, key=lambda key: (-len({step for one in by_reporter[key] for step in one.steps}), key))
    return by_reporter[chosen]


def _course_of(series: Sequence[_Telling], step_count: int) -> Course:
    course: Course = [None] * step_count
    for one in series:
        for step, told in one.steps.items():
            if told.value is not None and step < step_count:
                course[step] = (course[step] or 0.0) + told.value * one.source.factor
    return course


def _total_of(series: Sequence[_Telling], *, counts_from_nothing: bool) -> Total:
    """Return what was counted. What a process counts begins with it, so that all of it is as new as the process."""
    last, new = 0.0, 0.0
    for one in series:
        steps = [one.steps[step] for step in sorted(one.steps)]
        readings = [step.last for step in steps if step.last is not None]
        if is_reading(one.series):
            last += readings[-1] if readings else 0.0
            new += max(readings[-1] - readings[0], 0.0) if readings else 0.0
        else:
            grown = sum(step.added or 0.0 for step in steps)
            last += readings[-1] if readings else grown
            new += readings[-1] if counts_from_nothing and one.is_new and readings else grown
    return Total(round(last), round(new))


def _state_of(series: Sequence[_Telling]) -> str:
    """Return the state that was the present one when it was told last."""
    told = [
        (step.last_ns, labels_of(one.series.attributes).get(names.STATE_LABEL, ""))
        for one in series
        for step in one.steps.values()
        if step.last == 1
    ]
    return max(told, default=(0, ""))[1]


def _fill(courses: Mapping[Quantity, Course]) -> None:
    """Let limits hold until another is told, as some reporters tell them less often."""
    for name in ("cpu_limit_cores", "memory_limit_bytes"):
        course = courses.get(name)
        if course is None:
            continue
        known: float | None = next((value for value in course if value is not None), None)
        for step, value in enumerate(course):
            known = course[step] = known if value is None else value
