"""What workers tell their parent arrives as it was said."""

from __future__ import annotations

import pytest

from modelwatch.worker_reports import LINE_LIMIT_BYTES, Report
from telemetry import Counters
from telemetry.counters import CounterName


def test_a_report_is_one_line_that_says_it_all() -> None:
    """Figures with their labels, failures with any text and the numbers are the same on the other side."""
    counters = Counters()
    counters.add("receiver_accepted_items", 2**53, transport="grpc", signal="traces")
    counters.add("exporter_reconnects")
    counters.observe("spill_bytes", lambda: 0.5)
    report = Report(True, 7, counters.figures(), {"broker": "no\nconnection “to” it"}, "set MODELWATCH_X")
    line = report.to_line()
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert Report.from_line(line) == report


def test_a_report_with_nothing_is_one_too() -> None:
    """A worker that is only starting says so."""
    assert Report.from_line(Report().to_line()) == Report()


def test_all_the_series_there_could_be_fit_into_a_line() -> None:
    """The bound on a line is far above a thousand series with long labels."""
    counters = Counters()
    name: CounterName = "receiver_accepted_items"
    for number in range(1_000):
        counters.add(name, 2**60, signal="x" * 50, transport=str(number))
    assert len(Report(figures=counters.figures()).to_line()) < LINE_LIMIT_BYTES / 4


@pytest.mark.parametrize("line", [b"\n", b"{}\n", b"[1]\n", b'{"counters": [], "gauges": [], "unknown": 1}\n'])
def test_what_is_no_report_is_refused(line: bytes) -> None:
    """Anything else ends the conversation, with one class of error."""
    with pytest.raises(ValueError, match="no report"):
        Report.from_line(line)
