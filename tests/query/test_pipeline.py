"""What is said of the pipeline: the sums, the balance, and which process is how."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from query import QuestionError
from query.pipeline import PipelineAnswer, PipelineQuery, SignalFlow, course_text
from query.pipeline.component import MOST_STEPS
from telemetry import Figures, ProcessReport
from tests.support.doubles import ManualClock

NOW_S = 1_700_000_000


def figures(traces: dict[str, int], **gauges: float) -> Figures:
    counters: dict[Any, int] = {(name, (("signal", "traces"),)): count for name, count in traces.items()}
    return Figures(counters, {(name, ()): value for name, value in gauges.items()})  # type: ignore[misc]


def report(role: str, found: Figures, *, age_s: float = 1.0, **more: Any) -> ProcessReport:
    noted_ms = int(1000 * (NOW_S - age_s))
    return ProcessReport(f"{role}-id", role, "1", "host", 7, 1000 * (NOW_S - 60), noted_ms, figures=found, **more)


class Kept:
    """Reports and a course in memory."""

    def __init__(self, *reports: ProcessReport, course: dict[int, str] | None = None) -> None:
        self.reports, self.course = list(reports), course or {}

    async def read(self, *span: int) -> Any:
        if not span:
            return self.reports
        return [(at, text) for at, text in sorted(self.course.items()) if span[0] <= at < span[1]]

    async def last(self, at_s: int, within_s: int) -> Any:
        found = [(at, text) for at, text in self.course.items() if at_s - within_s < at <= at_s]
        return max(found, default=None)


async def ask(*reports: ProcessReport, course: dict[int, str] | None = None) -> PipelineAnswer:
    kept = Kept(*reports, course=course)
    return await PipelineQuery(kept, kept, ManualClock(NOW_S)).pipeline(300)


async def traces(*reports: ProcessReport, course: dict[int, str] | None = None) -> SignalFlow:
    return (await ask(*reports, course=course)).flows[0]


EMBEDDED = {
    "receiver_accepted_items": 100,
    "receiver_rejected_items": 5,
    "processor_received_items": 110,
    "processor_stored_items": 90,
    "processor_late_items": 4,
    "processor_invalid_items": 3,
    "processor_duplicate_items": 3,
    "processor_poison_items": 2,
    "processor_refused_items": 1,
}


async def test_in_one_process_every_item_is_somewhere() -> None:
    """What is received was stored, set aside or rejected, or is in hand; the sender of poison was told."""
    flow = await traces(report("up", figures(EMBEDDED)))
    assert flow.in_flight == 110 - 90 - 4 - 3 - 3 - 2 - 1
    assert flow.dead_lettered == 0
    parts = flow.stored + flow.duplicate + flow.late + flow.invalid + flow.discarded + flow.rejected
    assert flow.received == parts + flow.dead_lettered + flow.in_flight + flow.unexplained
    assert (flow.balance, flow.unexplained) == ("in_flight", 0)


async def test_what_was_asked_again_after_a_kill_is_explained() -> None:
    """It comes from no receiver of this process, and is received again as it is stored or a duplicate again."""
    again = {"forward_asked_again_items": 19, "processor_received_items": 110 + 19}
    again |= {"processor_duplicate_items": 3 + 12, "processor_stored_items": 90 + 7}
    flow = await traces(report("up", figures(EMBEDDED | again)))
    before = await traces(report("up", figures(EMBEDDED)))
    assert (flow.unexplained, flow.balance, flow.received) == (0, before.balance, before.received + 19)


async def test_what_vanished_is_said() -> None:
    """Items that were answered with success and are nowhere are missing, however few."""
    flow = await traces(report("up", figures(EMBEDDED | {"receiver_accepted_items": 140})))
    assert (flow.balance, flow.unexplained) == ("missing", 40)
    with_less = await traces(report("up", figures(EMBEDDED | {"receiver_accepted_items": 60})))
    assert (with_less.balance, with_less.unexplained) == ("surplus", -40)


CONNECTED = {"rabbit_source_connected": 1, "rabbit_dead_letters": 1}


def distributed(accepted: int, stored: int, queue: int) -> list[ProcessReport]:
    sent = {"receiver_accepted_items": accepted, "exporter_published_batches": accepted}
    got = {"processor_received_items": stored + 3, "processor_stored_items": stored, "processor_poison_items": 3}
    source = {"rabbit_source_dead_lettered_batches": 1}
    return [
        report("receiver", figures(sent)),
        report(
            "processor",
            figures(got | source, rabbit_queue_batches=queue, rabbit_dead_letters=1, rabbit_source_connected=1),
        ),
    ]


async def test_what_waits_in_the_queue_is_in_flight() -> None:
    """And what is set aside is a dead letter."""
    answer = await ask(*distributed(1000, 400, queue=9))
    flow = answer.flows[0]
    assert (flow.in_flight, flow.dead_lettered, flow.balance) == (597, 3, "in_flight")
    assert answer.gauges["rabbit_dead_letters"] == 1


async def test_with_an_empty_queue_what_is_not_stored_is_missing() -> None:
    """Beyond what may have come between two reports."""
    flow = (await ask(*distributed(1000, 400, queue=0))).flows[0]
    assert (flow.balance, flow.unexplained) == ("missing", 597)
    assert (await traces(*distributed(1000, 990, queue=0))).balance in ("balanced", "in_flight")


async def test_without_a_processor_what_waits_is_in_flight() -> None:
    """Nobody reads the queue, so that nobody can say that it is empty."""
    sender, worker = distributed(1000, 400, queue=0)
    flow = await traces(sender, replace(worker, has_ended=True))
    assert (flow.balance, flow.in_flight) == ("in_flight", 597)


async def test_a_killed_process_makes_a_difference_uncertain() -> None:
    """As what it counted last was never told; one that ended in order does not."""
    sender, worker = distributed(1000, 400, queue=0)
    dead = report("processor-2", Figures(), age_s=40)
    assert (await traces(sender, worker, dead)).balance == "uncertain"
    ended = report("processor-2", Figures(), age_s=40, has_ended=True)
    assert (await traces(sender, worker, ended)).balance == "missing"


async def test_what_comes_between_two_reports_is_judged_by_what_came_lately() -> None:
    """While much comes a difference may be on its way; when nothing has come for a while it is one."""
    sender, worker = distributed(10_000, 9_500, queue=0)
    rising = {NOW_S - 20: course_text(distributed(5_000, 5_000, queue=0), 0), NOW_S - 10: None}
    still = {NOW_S - 20: course_text([sender, worker], 0), NOW_S - 10: course_text([sender, worker], 0)}
    rising[NOW_S - 10] = rising[NOW_S - 20]
    assert (await traces(sender, worker, course=rising)).balance == "balanced"  # type: ignore[arg-type]
    flow = await traces(sender, worker, course=still)  # type: ignore[arg-type]
    assert (flow.balance, flow.unexplained, flow.tolerance) == ("missing", 497, 0)


async def test_flows_are_those_of_the_range() -> None:
    """What was counted before it is left out; the course tells what that was, and the rates between."""
    before = course_text([report("up", figures({"receiver_accepted_items": 40, "processor_stored_items": 40}))], 0)
    later = course_text([report("up", figures({"receiver_accepted_items": 60, "processor_stored_items": 60}))], 0)
    assert before is not None
    assert later is not None
    now = report("up", figures(dict.fromkeys(("receiver_accepted_items", "processor_stored_items"), 100)))
    course = {NOW_S - 310: before, NOW_S - 100: later}
    answer = await ask(now, course=course)
    assert answer.since_s == NOW_S - 310
    assert (answer.flows[0].received, answer.flows[0].stored) == (60, 60)
    step = next(one for one in answer.steps if one.time_s == NOW_S - 100)
    assert step.received_per_s == pytest.approx(20 / 210)
    assert json.loads(before)["gauges"] == {}, "of a process that is long silent"


async def test_a_range_longer_than_what_is_kept_is_counted_from_where_that_begins() -> None:
    """In steps as long as there is room for; a process that is younger than what was noted hides nothing of it."""
    counts = [figures(dict.fromkeys(("receiver_accepted_items", "processor_stored_items"), n)) for n in (40, 60, 100)]
    first, later = (course_text([report("up", one)], NOW_S - 1) for one in counts[:2])
    assert first is not None
    assert later is not None
    began_s = NOW_S - 31 * 86_400
    kept = Kept(report("up", counts[2]), course={began_s: first, NOW_S - 86_400: later})
    query = PipelineQuery(kept, kept, ManualClock(NOW_S))
    for days in (90, 731):
        answer = await query.pipeline(days * 86_400)
        assert (answer.since_s, answer.flows[0].received) == (began_s, 60)
        assert len(answer.steps) <= MOST_STEPS
        assert answer.start_s == NOW_S - days * 86_400
    with pytest.raises(QuestionError):
        await query.pipeline(732 * 86_400)


async def test_what_was_noted_as_the_first_process_began_is_not_left_out() -> None:
    """All that it counted is of the range."""
    now = report("up", figures(dict.fromkeys(("receiver_accepted_items", "processor_stored_items"), 100)))
    noted = course_text([report("up", figures({"receiver_accepted_items": 7, "processor_stored_items": 7}))], NOW_S - 1)
    assert noted is not None
    answer = await ask(now, course={NOW_S - 60 - 5: noted})
    assert answer.flows[0].received == 100


@pytest.mark.parametrize("before_s", [None, 7_300])
async def test_a_past_range_of_which_nothing_was_noted_has_no_flows(before_s: int | None) -> None:
    """Neither the counts of now nor noughts, which nobody saw; also where something was noted before it."""
    now = report("up", figures(dict.fromkeys(("receiver_accepted_items", "processor_stored_items"), 100)))
    noted = course_text([report("up", figures({"receiver_accepted_items": 7}))], NOW_S)
    assert noted is not None
    kept = Kept(now, course={NOW_S - before_s: noted} if before_s else {})
    query = PipelineQuery(kept, kept, ManualClock(NOW_S))
    answer = await query.pipeline(600, NOW_S - 6_600)
    assert answer.flows == ()
    assert answer.since_s <= answer.end_s
    assert (await query.pipeline(600)).flows[0].received == 100, "up to now the reports themselves tell"


async def test_processes_are_told_apart_by_how_they_are() -> None:
    """Those in trouble come first."""
    answer = await ask(
        report("up", Figures()),
        report("alerts", Figures(), failures={"history": "no answer", "clock": ""}),
        report("receiver", Figures(), age_s=60),
        report("dashboard", Figures(), has_ended=True, age_s=60),
    )
    states = [(one.report.role, one.state) for one in answer.processes]
    assert states == [("alerts", "failing"), ("receiver", "silent"), ("up", "well"), ("dashboard", "ended")]


async def test_a_window_that_cannot_be_is_refused() -> None:
    """With the parameter's name."""
    with pytest.raises(QuestionError) as refused:
        await PipelineQuery(Kept(), Kept(), ManualClock(NOW_S)).pipeline(1)
    assert refused.value.parameter == "window"
