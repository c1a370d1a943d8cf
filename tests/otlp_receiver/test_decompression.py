"""Decompression takes every body that is whole and nothing else, in bounded memory and time."""

from __future__ import annotations

import gzip
import os
import sys
import time
import tracemalloc
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otlp_receiver.bodies import Form, Opener
from otlp_receiver.decompression import DECOMPRESSORS, FEW_MEMBERS, MAX_MEMBERS, gunzip, inflate
from otlp_receiver.decompression import decompress_zstd as unzstd
from otlp_receiver.errors import MalformedError, TooLargeError
from otlp_receiver.signals import TRACES

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

LIMIT = 1024 * 1024


def deflate_raw(body: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compressor.compress(body) + compressor.flush()


Compress = Callable[[bytes], bytes]

COMPRESSORS: dict[str, tuple[str, Compress]] = {
    "gzip": ("gzip", gzip.compress),
    "x-gzip": ("x-gzip", gzip.compress),
    "deflate": ("deflate", zlib.compress),
    "deflate, raw": ("deflate", deflate_raw),
    "zstd": ("zstd", zstd.compress),
}
JOINABLE: dict[str, Compress] = {"gzip": gzip.compress, "zstd": zstd.compress}
"""Codings of which several one after the other are one body."""


@pytest.fixture(params=COMPRESSORS)
def coding(request: pytest.FixtureRequest) -> tuple[Callable[[bytes, int], bytes], Compress]:
    """Each coding in turn: how it is decompressed, and how compressed."""
    name, compress = COMPRESSORS[request.param]
    return DECOMPRESSORS[name], compress


@given(st.sampled_from(list(COMPRESSORS)), st.binary(max_size=2000))
def test_what_was_compressed_comes_back(name: str, body: bytes) -> None:
    """Any bytes, none among them, pass each coding unchanged."""
    coding, compress = COMPRESSORS[name]
    assert DECOMPRESSORS[coding](compress(body), LIMIT) == body


def test_a_large_body_comes_back(coding: tuple[Callable[[bytes, int], bytes], Compress]) -> None:
    """So does what is read in many steps, compressible or not."""
    decompress, compress = coding
    for body in (os.urandom(900_000), b"compressible " * 80_000):
        assert decompress(compress(body), 2 * LIMIT) == body


@given(st.sampled_from(list(JOINABLE)), st.lists(st.binary(max_size=200), min_size=1, max_size=5))
def test_members_are_joined_in_order(name: str, parts: list[bytes]) -> None:
    """A body of several members or frames, empty ones among them, holds what these hold, one after the other."""
    assert DECOMPRESSORS[name](b"".join(map(JOINABLE[name], parts)), LIMIT) == b"".join(parts)


@pytest.mark.parametrize("name", JOINABLE)
def test_members_larger_than_the_reading_step_are_joined(name: str) -> None:
    """Members that end anywhere within the steps of 64 KiB are found."""
    parts = [os.urandom(70_000 * count) for count in range(1, 5)]
    assert DECOMPRESSORS[name](b"".join(map(JOINABLE[name], parts)), LIMIT) == b"".join(parts)


@pytest.mark.parametrize("name", JOINABLE)
def test_a_body_cut_short_is_refused_wherever_it_is_cut(name: str) -> None:
    """Every proper prefix of two members is malformed, except the whole first one."""
    first, second = JOINABLE[name](b"first" * 20), JOINABLE[name](b"second" * 20)
    whole = first + second
    for length in range(len(whole)):
        if length == len(first):
            assert DECOMPRESSORS[name](whole[:length], LIMIT) == b"first" * 20
        else:
            with pytest.raises(MalformedError):
                DECOMPRESSORS[name](whole[:length], LIMIT)


@pytest.mark.parametrize("compress", [zlib.compress, deflate_raw])
def test_a_deflate_body_cut_short_is_refused_wherever_it_is_cut(compress: Compress) -> None:
    """Every proper prefix is malformed, whichever of the two forms it is taken for."""
    whole = compress(b"some text, and some more text" * 5)
    for length in range(len(whole)):
        with pytest.raises(MalformedError):
            inflate(whole[:length], LIMIT)


@pytest.mark.parametrize(
    ("decompress", "body"),
    [
        pytest.param(gunzip, b"plain text", id="no gzip at all"),
        pytest.param(gunzip, gzip.compress(b"x") + b"\0\0", id="zeros after gzip"),
        pytest.param(gunzip, gzip.compress(b"x") + b"junk", id="junk after gzip"),
        pytest.param(gunzip, gzip.compress(b"x" * 100)[:-8] + b"\0" * 8, id="wrong checksum of gzip"),
        pytest.param(gunzip, zlib.compress(b"x"), id="deflate as gzip"),
        pytest.param(inflate, b"plain text", id="no deflate at all"),
        pytest.param(inflate, gzip.compress(b"x"), id="gzip as deflate"),
        pytest.param(inflate, zlib.compress(b"x") + b"junk", id="junk after deflate"),
        pytest.param(inflate, deflate_raw(b"x") + b"junk", id="junk after raw deflate"),
        pytest.param(inflate, zlib.compress(b"x" * 100)[:-4] + b"\0" * 4, id="wrong checksum of deflate"),
        pytest.param(unzstd, b"plain text", id="no zstd at all"),
        pytest.param(unzstd, zstd.compress(b"x") + b"junk", id="junk after zstd"),
        pytest.param(unzstd, gzip.compress(b"x"), id="gzip as zstd"),
    ],
)
def test_what_is_not_what_it_claims_is_malformed(decompress: Callable[[bytes, int], bytes], body: bytes) -> None:
    """Anything but the coding from the first byte to the last is malformed."""
    with pytest.raises(MalformedError):
        decompress(body, LIMIT)


def test_the_limit_is_exact(coding: tuple[Callable[[bytes, int], bytes], Compress]) -> None:
    """As many bytes as the limit are let through, one more is not."""
    decompress, compress = coding
    assert len(decompress(compress(b"x" * LIMIT), LIMIT)) == LIMIT
    with pytest.raises(TooLargeError):
        decompress(compress(b"x" * (LIMIT + 1)), LIMIT)


@pytest.mark.parametrize("name", JOINABLE)
def test_the_limit_is_that_of_all_members(name: str) -> None:
    """A byte in a second member counts like any other."""
    with pytest.raises(TooLargeError):
        DECOMPRESSORS[name](JOINABLE[name](b"x" * LIMIT) + JOINABLE[name](b"x"), LIMIT)


def test_a_bomb_costs_no_more_than_the_limit(coding: tuple[Callable[[bytes, int], bytes], Compress]) -> None:
    """What stands for 50 MB is refused without ever holding more than a few times the limit."""
    decompress, compress = coding
    bomb = compress(bytes(50_000_000))
    tracemalloc.start()
    with pytest.raises(TooLargeError):
        decompress(bomb, LIMIT)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * LIMIT


@pytest.mark.parametrize("name", JOINABLE)
def test_a_flood_of_empty_members_is_refused_soon(name: str) -> None:
    """A megabyte of empty members is given up on after `MAX_MEMBERS`, within seconds."""
    empty = JOINABLE[name](b"")
    started = time.perf_counter()
    with pytest.raises(MalformedError, match="members"):
        DECOMPRESSORS[name](empty * 60_000, LIMIT)
    assert time.perf_counter() - started < 5
    assert DECOMPRESSORS[name](empty * MAX_MEMBERS, LIMIT) == b""


def test_a_window_larger_than_http_allows_is_refused() -> None:
    """A zstd frame may ask for 8 MiB of window, and gets a clear answer if it asks for more."""
    body = bytes(LIMIT)

    def windowed(window_log: int) -> bytes:
        compressor = zstd.ZstdCompressor(options={zstd.CompressionParameter.window_log: window_log})
        return compressor.compress(body) + compressor.flush()

    assert unzstd(windowed(23), LIMIT) == body
    with pytest.raises(MalformedError, match="memory"):
        unzstd(windowed(24), LIMIT)


def test_skippable_frames_are_skipped() -> None:
    """Frames that hold no content (RFC 8878, section 3.1.2) may stand before, between and after those that do."""
    skippable = b"\x50\x2a\x4d\x18" + (4).to_bytes(4, "little") + b"note"
    frame = zstd.compress(b"content")
    assert unzstd(skippable + frame + skippable + frame + skippable, LIMIT) == b"content" * 2


@pytest.mark.parametrize("name", JOINABLE)
def test_what_has_many_members_is_not_opened_on_the_loop(name: str) -> None:
    """Thousands of empty ones take a tenth of a second, which belongs into a worker thread; there they are welcome."""
    opener, form = Opener(TRACES, LIMIT), Form(name)
    few, many = JOINABLE[name](b"") * FEW_MEMBERS, JOINABLE[name](b"") * (FEW_MEMBERS + 1)
    assert opener.open_quickly(few, form, 0) == opener.open(few, form, 0)
    assert opener.open_quickly(many, form, 0) is None
    assert opener.open(many, form, 0).batch.item_count == 0
