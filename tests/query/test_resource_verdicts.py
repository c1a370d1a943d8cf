"""The rules for bottlenecks, at, below and above their thresholds, and without enough data."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from query.answers import (
    Problem,
    ProblemKind,
    RedTotal,
    ServicesAnswer,
    ServiceSummary,
    Status,
)
from query.resources.answers import ServiceVerdicts, Usage, Verdict, VerdictKind, VerdictsAnswer
from query.resources.bottlenecks import with_bottlenecks
from query.resources.settings import ResourceSettings
from query.resources.trend import trend_of
from query.resources.verdicts import Observed, memory_left_s, verdicts_of

MIB = 2**20
GIB = 2**30
SETTINGS = ResourceSettings()
CALM = Usage(cpu_cores=0.5, cpu_limit_cores=2.0, memory_bytes=200 * MIB, memory_limit_bytes=GIB)
KIND = VerdictKind
OK, BAD, WORST = Status.HEALTHY, Status.DEGRADED, Status.CRITICAL


def hour(make: Callable[[int], Usage] = lambda minute: CALM, minutes: int = 61) -> list[Usage]:
    return [make(minute) for minute in range(minutes)]


def lately(usage: Usage, steps: int = 6) -> list[Usage]:
    """An hour of calm, and then this."""
    return [*hour(minutes=61 - steps), *[usage] * steps]


def one(steps: Sequence[Usage], **fields: object) -> Observed:
    return Observed("web-1", fields.pop("kind", "container"), steps, **fields)  # type: ignore[arg-type]


def growing(per_minute: float, start: float = 200 * MIB, limit: float = GIB) -> list[Usage]:
    dice = random.Random(7)
    return hour(
        lambda minute: replace(
            CALM, memory_bytes=start + minute * per_minute + dice.uniform(-1, 1) * MIB, memory_limit_bytes=limit
        )
    )


def sawtooth(minute: int) -> Usage:
    return replace(CALM, memory_bytes=(200 + 10 * (minute % 12)) * MIB)


def warming_up(minute: int) -> Usage:
    return replace(CALM, memory_bytes=(200 + 20 * min(minute, 12) + 0.01 * minute) * MIB)


NOTHING: list[Usage] = hour(lambda minute: Usage())
CPU = replace(CALM, cpu_cores=1.85)
THROTTLED = replace(CALM, periods_per_s=10.0, throttled_per_s=1.0)
CASES: dict[str, tuple[list[Observed], VerdictKind, Status]] = {
    "calm": ([one(hour())], KIND.UNREMARKABLE, OK),
    "CPU just below": ([one(lately(replace(CALM, cpu_cores=1.79)))], KIND.UNREMARKABLE, OK),
    "CPU at the threshold": ([one(lately(replace(CALM, cpu_cores=1.8)))], KIND.CPU_BOUND, BAD),
    "CPU at all there is": ([one(lately(replace(CALM, cpu_cores=1.99)))], KIND.CPU_BOUND, WORST),
    "CPU for one minute only": ([one([*hour(minutes=60), CPU])], KIND.UNREMARKABLE, OK),
    "CPU without a limit known": ([one(lately(replace(CPU, cpu_limit_cores=None)))], KIND.UNREMARKABLE, OK),
    "one Python process on one of two cores": (
        [one(lately(replace(CALM, cpu_cores=1.0)), kind="process", language="python")],
        KIND.CPU_BOUND,
        BAD,
    ),
    "the same in another language": (
        [one(lately(replace(CALM, cpu_cores=1.0)), kind="process", language="go")],
        KIND.UNREMARKABLE,
        OK,
    ),
    "a Python process that varies about one core": (
        [
            one(
                [*hour(minutes=55), *[replace(CALM, cpu_cores=c) for c in (1, 0.4, 1.6, 1, 1, 1)]],
                kind="process",
                language="python",
            )
        ],
        KIND.UNREMARKABLE,
        OK,
    ),
    "throttled a little": ([one(lately(replace(THROTTLED, throttled_per_s=0.4)))], KIND.UNREMARKABLE, OK),
    "throttled": ([one(lately(THROTTLED))], KIND.THROTTLED, BAD),
    "throttled much": ([one(lately(replace(THROTTLED, throttled_per_s=2.5)))], KIND.THROTTLED, WORST),
    "a quota without any period": (
        [one(lately(replace(CALM, periods_per_s=0.0, throttled_per_s=0.0)))],
        KIND.UNREMARKABLE,
        OK,
    ),
    "memory below": ([one(lately(replace(CALM, memory_bytes=0.89 * GIB)))], KIND.UNREMARKABLE, OK),
    "memory near": ([one(lately(replace(CALM, memory_bytes=0.9 * GIB)))], KIND.MEMORY_NEAR_LIMIT, BAD),
    "memory full": ([one(lately(replace(CALM, memory_bytes=0.97 * GIB)))], KIND.MEMORY_NEAR_LIMIT, WORST),
    "memory that was near an hour ago": (
        [one([*[replace(CALM, memory_bytes=0.95 * GIB)] * 20, *hour(minutes=41)])],
        KIND.UNREMARKABLE,
        OK,
    ),
    "memory without a limit": (
        [one(hour(lambda minute: replace(CALM, memory_limit_bytes=None)))],
        KIND.UNREMARKABLE,
        OK,
    ),
    "growing, full within a day": ([one(growing(1 * MIB))], KIND.MEMORY_LEAKING, BAD),
    "growing, full within the hour": ([one(growing(9 * MIB, 250 * MIB))], KIND.MEMORY_LEAKING, WORST),
    "growing, full in a month": ([one(growing(1 * MIB, limit=64 * GIB))], KIND.UNREMARKABLE, OK),
    "growing for too short": ([one([Usage()] * 40 + growing(9 * MIB, 250 * MIB)[40:])], KIND.UNREMARKABLE, OK),
    "growing and collected again": ([one(hour(sawtooth))], KIND.UNREMARKABLE, OK),
    "warm-up that ended": ([one(hour(warming_up))], KIND.UNREMARKABLE, OK),
    "idle": ([one(hour(lambda minute: replace(CALM, cpu_cores=0.01)))], KIND.IDLE_CAPACITY, OK),
    "idle but for three minutes": (
        [one(hour(lambda minute: replace(CALM, cpu_cores=1.0 if minute < 3 else 0.01)))],
        KIND.IDLE_CAPACITY,
        OK,
    ),
    "idle but for a tenth of the hour": (
        [one(hour(lambda minute: replace(CALM, cpu_cores=1.0 if minute < 6 else 0.01)))],
        KIND.UNREMARKABLE,
        OK,
    ),
    "idle on a host's CPUs, which are others' too": (
        [one(hour(lambda minute: replace(CALM, cpu_cores=0.01)), has_own_cpu_limit=False)],
        KIND.UNREMARKABLE,
        OK,
    ),
    "idle for as long as is known, which is short": (
        [one(hour(lambda minute: replace(CALM, cpu_cores=0.01), minutes=20))],
        KIND.UNREMARKABLE,
        OK,
    ),
    "one of two is idle": (
        [one(hour(lambda minute: replace(CALM, cpu_cores=0.01))), one(hour())],
        KIND.UNREMARKABLE,
        OK,
    ),
    "one of two is short of CPU": ([one(hour()), one(lately(CPU))], KIND.CPU_BOUND, BAD),
    "no container or process": ([], KIND.NOT_ENOUGH_DATA, Status.NO_DATA),
    "nothing measured": ([one(NOTHING)], KIND.NOT_ENOUGH_DATA, Status.NO_DATA),
    "two minutes measured": ([one([*NOTHING[:59], CPU, CPU])], KIND.NOT_ENOUGH_DATA, Status.NO_DATA),
    "three minutes measured": ([one([*NOTHING[:58], CPU, CPU, CPU])], KIND.CPU_BOUND, BAD),
    "what ended is not judged": ([one(lately(CPU), is_live=False)], KIND.NOT_ENOUGH_DATA, Status.NO_DATA),
    "what ended beside what runs": ([one(lately(CPU), is_live=False), one(hour())], KIND.UNREMARKABLE, OK),
}


@pytest.mark.parametrize("name", CASES)
def test_the_worst_verdict_is(name: str) -> None:
    """What the rules of `docs/bottlenecks.md` say, with a sentence of evidence."""
    observed, kind, status = CASES[name]
    worst = verdicts_of(observed, SETTINGS)[0]
    assert (worst.kind, worst.status) == (kind, status), worst.evidence
    assert worst.evidence
    assert worst.is_problem is (status in (BAD, WORST))


def test_each_kind_is_told_once_the_worst_first() -> None:
    """About the container or process that is worst off."""
    short = replace(CALM, cpu_cores=1.9, periods_per_s=10.0, throttled_per_s=6.0, memory_bytes=0.92 * GIB)
    others = [replace(one(lately(replace(short, throttled_per_s=1.0))), name="web-2"), one(lately(short))]
    found = verdicts_of(others, SETTINGS)
    assert [verdict.kind for verdict in found[1:]] == [KIND.CPU_BOUND, KIND.MEMORY_NEAR_LIMIT]
    assert (found[0].kind, found[0].resource) == (KIND.THROTTLED, "web-1")


EVIDENCE = {
    "CPU at the threshold": "web-1 uses 1.8 of 2 cores (90 %) over the last 5 minutes, from 90 % on it is CPU-bound",
    "throttled": "web-1 used up its CPU quota of 2 cores in 10 % of the periods of the last 5 minutes, above 5 %",
    "memory near": "web-1 uses 922 MiB of 1 GiB memory (90 %), from 90 % on it is near its limit",
    "idle": "web-1 used less than 0.5 % of its 2 cores in 95 % of the minutes of the last hour, below 5 %",
    "calm": "web-1: CPU 0.5 of 2 cores, memory 200 MiB of 1 GiB",
    "nothing measured": "web-1 was measured in 0 of the last 5 minutes, 3 are needed",
    "no container or process": "no running container or process is known of this service",
}


@pytest.mark.parametrize("name", EVIDENCE)
def test_the_evidence_has_the_numbers(name: str) -> None:
    """What was measured, of what, and against which threshold."""
    assert verdicts_of(CASES[name][0], SETTINGS)[0].evidence == EVIDENCE[name]


def test_the_time_left_is_what_the_slope_says() -> None:
    """From what is used now to the limit; none where nothing grows."""
    left_s = memory_left_s(one(growing(1 * MIB)))
    assert left_s == pytest.approx((1024 - 260) * 60, rel=0.03)
    assert memory_left_s(one(hour())) is None
    assert memory_left_s(one(hour(sawtooth))) is None


@pytest.mark.parametrize("seed", range(5))
def test_noise_has_no_trend(seed: int) -> None:
    """However it falls, and with an outlier that a line of least squares would follow."""
    dice = random.Random(seed)
    times = [60.0 * minute for minute in range(60)]
    trend = trend_of(times, [100 + dice.gauss(0, 5) for _ in times[:-1]] + [500])
    assert trend is not None
    assert not trend.is_growing


def test_a_slope_is_found_through_noise_and_outliers() -> None:
    """To a few per cent, with a tenth of the values far off."""
    dice = random.Random(3)
    times = [60.0 * minute for minute in range(60)]
    values = [2.0 * second + dice.gauss(0, 50) + (9_000 if dice.random() < 0.1 else 0) for second in times]
    trend = trend_of(times, values)
    assert trend is not None
    assert trend.is_growing
    assert trend.per_s == pytest.approx(2.0, rel=0.1)


def summary(service: str, status: Status, *problems: Problem) -> ServiceSummary:
    total = RedTotal(10, 0, 0, 0.0, 1.0, 0.1, 0.1, 0.1)
    return ServiceSummary(service, (), (), 1, total, 100, status, problems)


def test_bottlenecks_stand_beside_the_other_problems() -> None:
    """They make a service worse, never better, and speak of no service that is silent."""
    slow = Problem(ProblemKind.HIGH_LATENCY, BAD, 1.0, 0.5, "P95")
    short = Verdict(KIND.THROTTLED, WORST, 0.3, 0.25, "throttled", "web-1")
    idle = Verdict(KIND.IDLE_CAPACITY, OK, 0.01, 0.05, "idle", "web-1")
    total = RedTotal(0, 0, 0, 0.0, 0.0, None, None, None)
    items = (summary("a", BAD, slow), summary("b", OK), summary("c", OK), summary("d", Status.NO_DATA))
    answer = ServicesAnswer(0, 60, items, total)
    verdicts = [ServiceVerdicts(name, (idle if name == "b" else short,)) for name in "abcd"]
    found = with_bottlenecks(answer, VerdictsAnswer(60, tuple(verdicts)))
    assert [(item.service, item.status) for item in found.items] == [
        ("a", WORST),
        ("c", WORST),
        ("b", OK),
        ("d", Status.NO_DATA),
    ]
    assert [problem.kind for problem in found.items[0].problems] == [
        ProblemKind.RESOURCE_BOTTLENECK,
        ProblemKind.HIGH_LATENCY,
    ]
    assert with_bottlenecks(answer, None) == answer
