"""The one question about ModelWatch itself: how its pipeline is, and was over a range.

Asked by the page and by the API, which therefore say the same.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from query.pipeline.answers import PipelineAnswer, PipelineStep, ProcessState, ProcessStatus
from query.pipeline.flows import SILENT_AFTER_S, flows_of, gauges_of, living, rates_between, sums_of, tiers_of
from query.question import QuestionError
from telemetry import NowNs, ProcessReport

STEP_S: Final = 10
MOST_STEPS: Final = 500
_SHORTEST_S: Final = 10
_LONGEST_S: Final = 731 * 86_400
"""The longest range of the pages; of the course there is what is kept."""
_REPORTS_APART_S: Final = 4.0
"""Two reports of different processes are at most this far apart: they are made every two seconds, and asked for."""
_PAST: Final = "past"


class Reports(Protocol):
    """Where reports are read (`storage.process_reports.ProcessReports`)."""

    async def read(self) -> list[ProcessReport]:
        """Return the last report of every process."""
        ...


class Course(Protocol):
    """Where the course is read (`storage.pipeline_course.PipelineCourse`)."""

    async def read(self, start_s: int, end_s: int, step_s: int) -> Sequence[tuple[int, str]]:
        """Return what was noted, the latest of each step."""
        ...

    async def last(self, at_s: int, within_s: int) -> tuple[int, str] | None:
        """Return what was noted last before a time."""
        ...


class PipelineQuery:
    """Answers from the reports of all processes and the course of their sums."""

    def __init__(self, reports: Reports, course: Course, now_ns: NowNs = time.time_ns) -> None:
        self._reports = reports
        self._course = course
        self._now_ns = now_ns

    async def pipeline(self, window_s: int, end_s: int | None = None, step_s: int | None = None) -> PipelineAnswer:
        """Return the pipeline over the `window_s` seconds before `end_s`, by default up to now.

        What processes hold, and how they are, is as of now. Where nothing was noted in a range that is over, nothing is
        known of it: it has no flows. Raises `QuestionError` and `StorageUnavailableError`.
        """
        if not _SHORTEST_S <= window_s <= _LONGEST_S:
            raise QuestionError("window", f"the window must be {_SHORTEST_S} to {_LONGEST_S} seconds long")
        now_s = self._now_ns() / 1e9
        until_s = int(now_s) if end_s is None else min(end_s, int(now_s))
        start_s = max(min((end_s or until_s) - window_s, until_s - _SHORTEST_S), 0)  # an end to come moves no start
        step_s = max(step_s or -(-window_s // 120), STEP_S, -(-window_s // MOST_STEPS))
        step_s += -step_s % STEP_S
        reports, noted, before = await asyncio.gather(
            self._reports.read(),
            self._course.read(start_s - start_s % step_s, until_s + 1, step_s),
            self._course.last(start_s, max(window_s, 600)),
        )
        now_ms = int(1e3 * now_s)
        points = [(at_s, json.loads(document)) for at_s, document in noted]
        first_ms = min((one.started_ms for one in reports), default=0)
        base = (before[0], json.loads(before[1])) if before else None
        # Nobody noted anything for a while, or what was noted before is kept no more.
        if base is None and points and (first_ms < 1000 * start_s or 1000 * (points[0][0] + STEP_S) <= first_ms):
            base = points[0]
        alive = living(reports, now_ms)
        gauges = gauges_of(alive)
        is_now = end_s is None or end_s >= int(now_s)
        last = sums_of(reports) if is_now else points[-1][1]["sums"] if points else {}
        since_s = base[0] if base else min(first_ms // 1000 or start_s, until_s)
        # The last point may be of this very moment; the one before it is ten seconds older.
        lately = points[-2] if len(points) > 1 else base or (since_s, {"sums": {}})
        lost = any(_is_lost(one, now_ms) and one.noted_ms >= 1000 * since_s for one in reports)
        return PipelineAnswer(
            start_s,
            until_s,
            since_s,
            step_s,
            flows_of(
                base[1]["sums"] if base else {},
                last,
                is_something_waiting=_may_wait(gauges),
                tolerance_s=_REPORTS_APART_S,
                recent=rates_between(lately[1]["sums"], last, until_s - lately[0]),
                lost_process=lost,
            ),
            tuple(sorted((_status(one, now_ms) for one in reports if one.process_id != _PAST), key=_rank)),
            _steps(points, base, (start_s, until_s, step_s)),
            gauges,
            tuple(overflow for one in alive for overflow in one.figures.overflows),
            sum(_lost_canaries(one) for one in alive),
            tiers_of(alive),
        )


def _may_wait(gauges: Mapping[str, float]) -> bool:
    """Tell whether something waits in RabbitMQ or on a disk, or nobody can say that nothing does."""
    is_queue_seen = gauges.get("rabbit_source_connected", 0) > 0
    return not is_queue_seen or gauges.get("rabbit_queue_batches", 0) + gauges.get("spill_batches", 0) > 0


def _is_lost(report: ProcessReport, now_ms: int) -> bool:
    return not report.has_ended and now_ms - report.noted_ms > 1000 * SILENT_AFTER_S


def _status(report: ProcessReport, now_ms: int) -> ProcessStatus:
    state: ProcessState = "well"
    if report.has_ended:
        state = "ended"
    elif _is_lost(report, now_ms):
        state = "silent"
    elif any(report.failures.values()):
        state = "failing"
    return ProcessStatus(report, state, max(now_ms - report.noted_ms, 0) / 1e3)


def _rank(status: ProcessStatus) -> tuple[int, str, int]:
    states = ("failing", "silent", "well", "ended")
    return states.index(status.state), status.report.role, -status.report.started_ms


def _steps(
    points: Sequence[tuple[int, Any]], base: tuple[int, Any] | None, spanned: tuple[int, int, int]
) -> tuple[PipelineStep, ...]:
    start_s, end_s, step_s = spanned
    start_s -= start_s % step_s
    noted = {at_s - at_s % step_s: (at_s, document) for at_s, document in points}
    steps, before = [], base
    for second in range(start_s, end_s, step_s):
        found = noted.get(second)
        steps.append(PipelineStep(second) if found is None else _step(second, found, before))
        before = found or before
    return tuple(steps)


def _step(second: int, found: tuple[int, Any], before: tuple[int, Any] | None) -> PipelineStep:
    gauges: Mapping[str, float] = found[1]["gauges"]
    seconds = found[0] - before[0] if before else 0
    received_per_s = stored_per_s = None
    if before and seconds > 0:
        received, stored, direct = (
            _total(found[1]["sums"], of) - _total(before[1]["sums"], of) for of in ("accepted", "stored", "direct")
        )
        received_per_s, stored_per_s = max(received + direct, 0) / seconds, max(stored, 0) / seconds
    queue = gauges.get("rabbit_queue_batches")
    return PipelineStep(
        second,
        received_per_s,
        stored_per_s,
        gauges.get("processor_lag_s"),
        None if queue is None else int(queue),
        gauges.get("canary_p50_s"),
        gauges.get("canary_p95_s"),
    )


def _total(sums: Mapping[str, Mapping[str, int]], of: str) -> int:
    return sum(counts.get(of, 0) for counts in sums.values())


def _lost_canaries(report: ProcessReport) -> int:
    return sum(count for (name, _), count in report.figures.counters.items() if name == "canary_lost_spans")
