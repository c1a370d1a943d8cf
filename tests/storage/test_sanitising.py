"""Cleaning text: what no store can keep is replaced, everything else is left alone."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from storage.ports import SeriesFilter
from storage.sanitising import clean_filter, clean_points, clean_series, clean_text
from telemetry import SeriesKey
from tests.support.red_points import red_point


@given(st.text(st.characters(), max_size=50))
def test_cleaned_text_can_be_stored_anywhere(text: str) -> None:
    """It is UTF-8, without NUL, no longer than allowed; cleaning it again changes nothing."""
    cleaned = clean_text(text, 30)
    cleaned.encode()
    assert "\0" not in cleaned
    assert len(cleaned) <= 30
    assert clean_text(cleaned, 30) == cleaned


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30))
def test_good_text_stays_as_it_is(text: str) -> None:
    """Every character that can be stored is kept, in every script."""
    assert clean_text(text, 30) == text


def test_each_lone_surrogate_becomes_one_replacement_character() -> None:
    """The rest of the text keeps its place."""
    assert clean_text("a\ud800b\udfff\0c", 100) == "a\ufffdb\ufffd\ufffdc"


def test_clean_series_and_points_are_passed_on_unchanged() -> None:
    """No copies are made where nothing is wrong."""
    series, point = SeriesKey("shop", http_route="/ü"), red_point("shop")
    assert clean_series(series, 100) is series
    assert clean_points([point], 100)[0] is point


def test_a_filter_is_cleaned_field_by_field() -> None:
    """What is not asked stays not asked."""
    assert clean_filter(SeriesFilter("a\0", model_name="xyz"), 2) == SeriesFilter("a\ufffd", model_name="xy")
