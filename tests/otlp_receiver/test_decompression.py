"""Decompression takes every gzip that is whole and nothing else, in bounded memory and time."""

import gzip
import os
import time
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otlp_receiver.errors import MalformedError, TooLargeError
from otlp_receiver.decompression import MAX_MEMBERS, gunzip

LIMIT = 1024 * 1024


@given(st.lists(st.binary(max_size=200), min_size=1, max_size=5))
def test_members_are_joined_in_order(parts: list[bytes]) -> None:
    """A gzip of several members, empty ones among them, holds what its members hold, one after the other."""
    assert gunzip(b"".join(map(gzip.compress, parts)), LIMIT) == b"".join(parts)


def test_members_larger_than_the_reading_step_are_joined() -> None:
    """Members that end anywhere within the steps of 64 KiB are found."""
    parts = [os.urandom(70_000 * count) for count in range(1, 5)]
    assert gunzip(b"".join(map(gzip.compress, parts)), LIMIT) == b"".join(parts)


def test_a_gzip_cut_short_is_refused_wherever_it_is_cut() -> None:
    """Every proper prefix of a two-member gzip is malformed, except the whole first member."""
    first, second = gzip.compress(b"first" * 20), gzip.compress(b"second" * 20)
    whole = first + second
    for length in range(len(whole)):
        if length == len(first):
            assert gunzip(whole[:length], LIMIT) == b"first" * 20
        else:
            with pytest.raises(MalformedError):
                gunzip(whole[:length], LIMIT)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"plain text", id="no gzip at all"),
        pytest.param(gzip.compress(b"x") + b"\0\0", id="trailing zeros"),
        pytest.param(gzip.compress(b"x") + b"junk", id="trailing junk"),
        pytest.param(gzip.compress(b"x" * 100)[:-8] + b"\0" * 8, id="wrong checksum"),
    ],
)
def test_what_is_no_gzip_is_malformed(body: bytes) -> None:
    """Anything but gzip members from the first byte to the last is malformed."""
    with pytest.raises(MalformedError):
        gunzip(body, LIMIT)


def test_the_limit_is_exact() -> None:
    """As many bytes as the limit are let through, one more is not, in one member or in several."""
    assert len(gunzip(gzip.compress(b"x" * LIMIT), LIMIT)) == LIMIT
    for body in (gzip.compress(b"x" * (LIMIT + 1)), gzip.compress(b"x" * LIMIT) + gzip.compress(b"x")):
        with pytest.raises(TooLargeError):
            gunzip(body, LIMIT)


def test_a_bomb_costs_no_more_than_the_limit() -> None:
    """200 KB that stand for 200 MB are refused without ever holding more than a few times the limit."""
    bomb = gzip.compress(bytes(200_000_000), compresslevel=9)
    tracemalloc.start()
    with pytest.raises(TooLargeError):
        gunzip(bomb, LIMIT)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * LIMIT


def test_a_flood_of_empty_members_is_refused_soon() -> None:
    """A megabyte of empty members is given up on after `MAX_MEMBERS`, within a second."""
    empty = gzip.compress(b"")
    started = time.perf_counter()
    with pytest.raises(MalformedError, match="members"):
        gunzip(empty * 60_000, LIMIT)
    assert time.perf_counter() - started < 1
    assert gunzip(empty * MAX_MEMBERS, LIMIT) == b""
