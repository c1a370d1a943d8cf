"""The bytes of the live feed's entries: what goes in comes out, and nothing else is believed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.live_codec import UnreadableEntryError, decode_points, encode_points
from telemetry import ExponentialHistogram, RedPoint, SeriesKey
from tests.support.red_points import random_points

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
series_keys = st.builds(SeriesKey, *(texts for _ in SeriesKey._fields))
histograms = st.lists(st.integers(0, 2**63 - 1), max_size=20).map(ExponentialHistogram.of)
points = st.builds(
    RedPoint,
    series_keys,
    st.integers(-(2**63), 2**63 - 1),
    st.integers(0, 2**64 - 1),
    st.integers(0, 2**64 - 1),
    histograms,
)


@given(st.lists(points, max_size=10))
def test_points_come_out_as_they_went_in(sent: list[RedPoint]) -> None:
    """Any text, any time, any size of counts and histograms, in order."""
    assert decode_points(encode_points(sent)) == sent


def test_a_series_is_written_once_however_many_points_it_has() -> None:
    """1000 points of 5 series take little more than their histograms."""
    sent = random_points(1, 1_000)
    size = len(encode_points(sent))
    assert size < sum(len(point.durations.to_bytes()) + 40 for point in sent)
    received = decode_points(encode_points(sent))
    assert len({id(point.series) for point in received}) == 5


def test_every_cut_and_every_addition_is_noticed() -> None:
    """A prefix of an entry, or an entry with more behind it, is never taken for points."""
    raw = encode_points(random_points(2, 3))
    for length in range(len(raw)):
        with pytest.raises(UnreadableEntryError):
            decode_points(raw[:length])
    with pytest.raises(UnreadableEntryError, match="too many"):
        decode_points(raw + b"\0")


@given(st.binary(max_size=200))
def test_any_bytes_are_either_points_or_unreadable(raw: bytes) -> None:
    """No other error, no endless work."""
    try:
        decode_points(raw)
    except UnreadableEntryError:
        pass


def test_another_version_is_named_in_the_error() -> None:
    """A reader of yesterday that meets a writer of tomorrow says so."""
    with pytest.raises(UnreadableEntryError, match="version 9"):
        decode_points(b"\x09" + encode_points([])[1:])
