"""What processes report is kept as it was, on both databases; what those long gone had counted is never lost."""

from __future__ import annotations

from storage.component import build_pipeline_course, build_process_reports
from storage.history import SqlHistory
from storage.process_reports import PAST
from telemetry import Figures, ProcessReport, SeriesOverflow

NAME = "processor_stored_items"
LABELS = (("signal", "traces"),)


def report(process_id: str, noted_ms: int, stored: int) -> ProcessReport:
    overflow = SeriesOverflow("job\0<b>", 5, 9, {"instance": 9}, "instance")
    figures = Figures({(NAME, LABELS): stored}, {("processor_series", ()): 2.5}, (overflow,))
    return ProcessReport(process_id, "up", "1", "höst", 7, 5, noted_ms, "http://x", False, {"a": "b"}, figures)


async def test_a_report_is_read_as_it_was_written(history: SqlHistory) -> None:
    """The latest of each process; an older one that comes late does not take its place."""
    reports = build_process_reports(history)
    await reports.put(report("a", 10, 1))
    await reports.put(report("a", 30, 3))
    await reports.put(report("a", 20, 2))
    await reports.put(report("b", 10, 7))
    found = {one.process_id: one for one in await reports.read()}
    assert found == {"a": report("a", 30, 3), "b": report("b", 10, 7)}


async def test_counts_of_the_forgotten_stay(history: SqlHistory) -> None:
    """In one sum, that grows with each process that is forgotten, and once only."""
    reports = build_process_reports(history)
    for name, noted_ms, stored in (("a", 10, 1), ("b", 20, 10), ("c", 99, 100)):
        await reports.put(report(name, noted_ms, stored))
        await reports.forget(50)
        await reports.forget(50)
    found = {one.process_id: one for one in await reports.read()}
    assert set(found) == {PAST, "c"}
    assert found[PAST].figures == Figures({(NAME, LABELS): 11})
    assert found[PAST].started_ms == 5


async def test_the_course_has_one_point_a_step(history: SqlHistory) -> None:
    """The first that is noted of ten seconds; wider steps have the latest; old points are thinned out and go."""
    course = build_pipeline_course(history)
    for second in (1000, 1004, 1010, 1290, 1300):
        await course.put(second, f"at {second}")
    assert [tuple(point) for point in await course.read(1000, 1300, 10)] == [
        (1000, "at 1000"),
        (1010, "at 1010"),
        (1290, "at 1290"),
    ]
    assert [point.start_s for point in await course.read(900, 1400, 100)] == [1010, 1290, 1300]
    last = await course.last(1299, 100)
    assert last is not None
    assert last.start_s == 1290
    assert await course.last(1299, 5) is None
    await course.thin(1301 + 2 * 86_400)
    assert [point.start_s for point in await course.read(900, 1400, 10)] == []
    await course.put(1500, "a multiple of five minutes")
    await course.thin(1600 + 2 * 86_400)
    assert [point.start_s for point in await course.read(900, 1600, 10)] == [1500]
    await course.thin(1600 + 32 * 86_400)
    assert not await course.read(900, 1600, 10)
