"""RED points as compact bytes, for the entries of the Redis stream.

The writer's end of the live feed encodes, every reader's end decodes. A format of our own, because what comes from a
server on the network must never be able to run code, as a pickle can.

    u8 version, u32 number of series, u32 number of points
    each series: for every field of `SeriesKey` u32 length and UTF-8 bytes
    each point: u32 series index, i64 start_s, u64 calls, u64 errors, u32 length and bytes of the histogram

All numbers are little-endian.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final

from telemetry import ExponentialHistogram, RedPoint, SeriesKey
from telemetry.exponential_histogram import BUCKET_DTYPE

VERSION: Final = 2

_HEAD: Final = struct.Struct("<BII")
_LENGTH: Final = struct.Struct("<I")
_POINT: Final = struct.Struct("<IqQQI")
_EMPTY_HISTOGRAM_BYTES: Final = len(ExponentialHistogram().to_bytes())


class UnreadableEntryError(ValueError):
    """The bytes are not points in a form that this program knows."""


def encode_points(points: Sequence[RedPoint]) -> bytes:
    """Return the points as bytes; their series must be clean (`sanitising.clean_series`)."""
    indexes: dict[SeriesKey, int] = {}
    parts = [b""]
    for point in points:
        histogram = point.durations.to_bytes()
        index = indexes.setdefault(point.series, len(indexes))
        parts += (_POINT.pack(index, point.start_s, point.calls, point.errors, len(histogram)), histogram)
    series = b"".join(_LENGTH.pack(len(raw)) + raw for key in indexes for raw in (field.encode() for field in key))
    parts[0] = _HEAD.pack(VERSION, len(indexes), len(points)) + series
    return b"".join(parts)


def decode_points(raw: bytes) -> list[RedPoint]:
    """Read what `encode_points` wrote; raises `UnreadableEntryError` for anything else."""
    try:
        version, series_count, point_count = _HEAD.unpack_from(raw)
        if version != VERSION:
            raise UnreadableEntryError(f"version {version} of the live feed's entries, this program knows {VERSION}")
        series, position = _decode_series(raw, series_count)
        points: list[RedPoint] = []
        for _ in range(point_count):
            index, start_s, calls, errors, length = _POINT.unpack_from(raw, position)
            position += _POINT.size
            points.append(RedPoint(series[index], start_s, calls, errors, _histogram(_slice(raw, position, length))))
            position += length
    except (struct.error, UnicodeDecodeError, IndexError) as error:
        raise UnreadableEntryError(f"damaged entry of {len(raw)} bytes: {error}") from error
    if position != len(raw):
        raise UnreadableEntryError(f"{len(raw) - position} bytes too many in an entry of {len(raw)}")
    return points


def _decode_series(raw: bytes, count: int) -> tuple[list[SeriesKey], int]:
    position = _HEAD.size
    series: list[SeriesKey] = []
    for _ in range(count):
        fields: list[str] = []
        for _ in SeriesKey._fields:
            (length,) = _LENGTH.unpack_from(raw, position)
            position += _LENGTH.size
            fields.append(_slice(raw, position, length).decode())
            position += length
        series.append(SeriesKey(*fields))
    return series, position


def _histogram(raw: bytes) -> ExponentialHistogram:
    bucket_bytes = len(raw) - _EMPTY_HISTOGRAM_BYTES
    if bucket_bytes < 0 or bucket_bytes % BUCKET_DTYPE.itemsize:
        raise UnreadableEntryError(f"a histogram of {len(raw)} bytes")
    return ExponentialHistogram.from_bytes(raw)


def _slice(raw: bytes, position: int, length: int) -> bytes:
    part = raw[position : position + length]
    if len(part) != length:
        raise IndexError(f"{length} bytes expected at {position}, {len(part)} found")
    return part
