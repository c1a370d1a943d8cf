"""The view and its form in the page's address."""

from __future__ import annotations

import pytest

from dash_app.shell.view import DEFAULT_RANGE, RANGES, View, search_of, view_of


@pytest.mark.parametrize("name", RANGES)
@pytest.mark.parametrize("service", [None, "a&b=c", "<script>", "ü/é %20", "?range=1h"])
def test_address_gives_back_the_view(name: str, service: str | None) -> None:
    """Whatever a service is called, its address leads to it and nowhere else."""
    view = View(RANGES[name], "prod & more", service)
    assert view_of(search_of(view)) == view


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


def test_steps_fit_their_ranges() -> None:
    """Enough steps for a line, which the history's 10 s divide where it may be asked, and several questions a step."""
    for choice in RANGES.values():
        assert 90 <= choice.length_s / choice.step_s <= 120
        assert 45 <= choice.length_s / choice.series_step_s <= 60
        assert choice.pace_s <= choice.step_s / 3
        if choice.length_s >= 900:
            assert choice.step_s % 10 == choice.series_step_s % 10 == 0
