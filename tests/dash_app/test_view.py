"""The view and its form in the page's address."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dash_app.shell.view import (
    DEFAULT_RANGE,
    RANGES,
    STEPS,
    STEPS_IF_WIDE,
    NotBegunError,
    TimeRange,
    View,
    fields_of,
    search_of,
    view_of,
)
from query import SeriesFilter

CHOSEN = TimeRange("", 5_400, 1_700_000_000)


@pytest.mark.parametrize("chosen", [*RANGES.values(), CHOSEN], ids=lambda chosen: chosen.short)
@pytest.mark.parametrize("name", [None, "a&b=c", "<script>", "ü/é %20", "?range=1h", " ", "x" * 10_000])
def test_address_gives_back_the_view(chosen: TimeRange, name: str | None) -> None:
    """Whatever is filtered by is called, its address leads to it and nowhere else; any range of time has one."""
    for where in (
        SeriesFilter(deployment_environment=name),
        SeriesFilter(name, name, name, name),
        SeriesFilter(service_version=name),
    ):
        view = View(chosen, where)
        assert view_of(search_of(view)) == view


def test_filters_that_do_not_apply_are_not_in_the_view() -> None:
    """A page is never asked for what it could not answer; NUL, which databases refuse, is what is stored for it."""
    search = "?env=prod&service=shop&model=iris&version=2%00"
    assert view_of(search).where == SeriesFilter("shop", "prod", "iris", "2\ufffd")
    assert view_of(search, filters=("env", "service")).where == SeriesFilter("shop", "prod")
    assert view_of(search, filters=()) == View()


def test_default_view_has_the_plain_address() -> None:
    """Nothing is written that need not be."""
    assert search_of(View()) == ""
    assert view_of("") == View(RANGES[DEFAULT_RANGE])


@pytest.mark.parametrize(
    "search", ["?range=7y", "?range=", "?unknown=1", "range", "?" + "a=1&" * 9_999, "?%ff=%fe&&&="]
)
def test_unknown_parts_of_an_address_are_left_out(search: str) -> None:
    """An address that was mistyped, or made to harm, shows the default view."""
    assert view_of(search) == View()


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("2026-11-22T10:00:00Z", ""),
        ("2026-11-22T10:00:00Z", "2026-11-22T10:00:00Z"),
        ("2026-11-22T11:00:00Z", "2026-11-22T10:00:00Z"),
        ("2026-11-22T10:00:00", "2026-11-22T11:00:00"),
        ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"),
        ("1969-01-01T00:00:00Z", "1969-01-02T00:00:00Z"),
        ("nan", "inf"),
        ("2026-11-22T10:00:00Z", "2026-13-45T10:00:00Z"),
    ],
)
def test_impossible_times_are_left_out(start: str, end: str) -> None:
    """Half a range, an empty one, one that ends before it begins, times without a zone, and the ends of time."""
    assert view_of(f"?from={start}&to={end}&range=1h").range == RANGES["1h"]


def test_zones_of_chosen_times_are_understood() -> None:
    """The same moment may be written in any zone."""
    berlin = view_of("?from=2026-11-22T11:00:00%2B01:00&to=2026-11-22T12:30:00%2B01:00")
    assert berlin == view_of("?from=2026-11-22T10:00:00Z&to=2026-11-22T11:30:00Z")
    assert (berlin.range.length_s, berlin.range.words, berlin.range.short) == (5_400, "the chosen time", "1h 30m")


def test_a_chosen_start_stays_where_it_was_chosen() -> None:
    """Nothing is asked beyond what is complete, which moves the start of named ranges only."""
    end_s = CHOSEN.end_s or 0
    named, over, half = RANGES["5m"].bounds(end_s), CHOSEN.bounds(1_800_000_000), CHOSEN.bounds(end_s - 5_280)
    assert (named.start_s, named.end_s, named.range) == (end_s - 300, end_s, RANGES["5m"])
    assert (over.start_s, over.end_s, over.range) == (end_s - 5_400, end_s, CHOSEN)
    assert (half.start_s, half.end_s, half.length_s) == (end_s - 5_400, end_s - 5_280, 120)
    assert (half.range.short, half.range.step_s, half.range.words) == ("2m", 1, "the chosen time")
    for settled_s in (end_s - 5_400, 1_600_000_000):
        with pytest.raises(NotBegunError, match="has not begun"):
            CHOSEN.bounds(settled_s)


def test_steps_fit_their_ranges() -> None:
    """Enough steps for a line, which the history's 10 s divide where it may be asked, and several questions a step."""
    for choice in RANGES.values():
        for most_steps in (STEPS, STEPS_IF_WIDE):
            fitted = replace(choice, most_steps=most_steps)
            assert 0.6 * most_steps <= fitted.length_s / fitted.step_s <= most_steps
            assert fitted.length_s / fitted.series_step_s <= most_steps / 2
            if choice.length_s >= 3_600:
                assert fitted.step_s % 10 == fitted.series_step_s % 10 == 0
        assert choice.pace_s <= max(choice.step_s / 3, 1)


def test_wide_charts_have_more_steps() -> None:
    """What the browser says of its charts decides how many there is room for."""
    assert view_of("", 500).range.most_steps == STEPS
    assert view_of("", 1_200).range.most_steps == STEPS_IF_WIDE


def test_only_the_first_of_equal_fields_counts() -> None:
    """An address that says two things is taken by the first."""
    assert fields_of("?name=a&name=b&empty=") == {"name": "a"}
