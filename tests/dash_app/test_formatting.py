"""Figures are written as people read them."""

from __future__ import annotations

import pytest

from dash_app.shared import formatting


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "–"),
        (0.0, "0 ms"),
        (0.0000004, "0.400 µs"),
        (0.00087, "870 µs"),
        (0.0009996, "1.00 ms"),
        (0.00123, "1.23 ms"),
        (0.0431, "43.1 ms"),
        (0.4312, "431 ms"),
        (0.9996, "1.00 s"),
        (1.923, "1.92 s"),
        (99.96, "100 s"),
        (600.0, "600 s"),
        (1800.0, "30.0 min"),
    ],
)
def test_duration_has_three_digits_and_the_fitting_unit(seconds: float | None, text: str) -> None:
    """Rounding never shows 1000 of a unit where 1 of the next is meant."""
    assert formatting.duration(seconds).text.replace("\u00a0", " ") == text


@pytest.mark.parametrize(
    ("per_s", "text"),
    [
        (0, "0 req/s"),
        (0.0001, "<0.001 req/s"),
        (0.123, "0.123 req/s"),
        (3.4211, "3.42 req/s"),
        (99.96, "100 req/s"),
        (1234.5, "1,234 req/s"),
        (2_345_678, "2.35 M req/s"),
    ],
)
def test_rate_has_three_digits(per_s: float, text: str) -> None:
    """Whole requests from a hundred a second on, thousands apart."""
    assert formatting.rate(per_s).text.replace("\u00a0", " ") == text


@pytest.mark.parametrize(
    ("ratio", "number"),
    [
        (None, "–"),
        (0.0, "0"),
        (0.00001, "<0.01"),
        (0.0042, "0.42"),
        (0.09994, "9.99"),
        (0.0999999, "10.0"),
        (0.123, "12.3"),
        (0.99999, ">99.9"),
        (1.0, "100"),
    ],
)
def test_percentage_never_rounds_something_to_nothing_or_to_all(ratio: float | None, number: str) -> None:
    """Nothing and everything are written only when they are exact."""
    assert formatting.percent(ratio).number == number


def test_counting_words_agree_in_number() -> None:
    """One is singular, everything else plural."""
    assert [formatting.plural(number, "service") for number in (0, 1, 1_200)] == [
        "0 services",
        "1 service",
        "1,200 services",
    ]
