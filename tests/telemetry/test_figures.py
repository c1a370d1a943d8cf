"""The names of our own figures, what is declared of them, and their sums."""

from __future__ import annotations

from typing import get_args

from telemetry import Counters, Figures
from telemetry.counters import HELP, CounterName, GaugeName


def test_every_figure_has_one_sentence_that_explains_it() -> None:
    """No name without a text, no text without a name, and each text is one line that ends as a sentence does."""
    assert set(HELP) == {*get_args(CounterName), *get_args(GaugeName)}
    for name, text in HELP.items():
        assert text.endswith("."), name
        assert text.isprintable(), name
        assert "\\" not in text, name


def test_no_counter_shares_its_name_with_a_gauge() -> None:
    """A name says what kind it is."""
    assert not set(get_args(CounterName)) & set(get_args(GaugeName))


def test_declared_series_read_zero_until_something_happens() -> None:
    """Every combination of the label values is there from the start, and what was counted before is kept."""
    counters = Counters()
    counters.add("receiver_accepted_items", 3, signal="logs", transport="grpc")
    counters.declare("receiver_accepted_items", signal=["traces", "logs"], transport=["grpc", "http"])
    counters.declare("exporter_reconnects")
    assert counters.snapshot() == {
        ("receiver_accepted_items", (("signal", "traces"), ("transport", "grpc"))): 0,
        ("receiver_accepted_items", (("signal", "traces"), ("transport", "http"))): 0,
        ("receiver_accepted_items", (("signal", "logs"), ("transport", "grpc"))): 3,
        ("receiver_accepted_items", (("signal", "logs"), ("transport", "http"))): 0,
        ("exporter_reconnects", ()): 0,
    }


def test_gauges_are_read_when_somebody_looks() -> None:
    """A gauge shows what is true now; of two readers with the same labels the later is asked."""
    counters, held = Counters(), [1]
    counters.observe("spill_batches", lambda: -1)
    counters.observe("spill_batches", lambda: len(held))
    assert counters.figures().gauges == {("spill_batches", ()): 1}
    held.append(2)
    assert counters.figures().gauges == {("spill_batches", ()): 2}


def test_figures_add_up_by_name_and_labels() -> None:
    """Sums are over equal names and labels only; nothing at all is the sum of nothing."""
    first, second = Counters(), Counters()
    first.add("exporter_published_batches", 2, signal="traces")
    second.add("exporter_published_batches", 5, signal="traces")
    second.add("exporter_published_batches", 1, signal="logs")
    first.observe("spill_bytes", lambda: 10)
    second.observe("spill_bytes", lambda: 4)
    total = Figures.sum_of([first.figures(), second.figures()])
    assert total.counters == {
        ("exporter_published_batches", (("signal", "traces"),)): 7,
        ("exporter_published_batches", (("signal", "logs"),)): 1,
    }
    assert total.gauges == {("spill_bytes", ()): 14}
    assert Figures.sum_of([]) == Figures()
