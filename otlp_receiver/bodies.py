"""From a request's body to a checked `Batch`: decompress, parse once for validity and item count, hash.

Pure calculation, called by the intake: on the event loop for small bodies, in a worker thread for large ones.
"""

from __future__ import annotations

from typing import Final

from otlp_receiver.gzip_members import gunzip
from otlp_receiver.pieces import pieces
from otlp_receiver.signals import SignalRoute
from telemetry import Batch

SMALL_BYTES: Final = 256 * 1024
"""Decompressing, parsing and hashing this much takes about 1 ms. Larger requests are parsed in pieces of this size."""


def open_body(route: SignalRoute, body: bytes, *, is_gzip: bool, max_bytes: int, received_unix_nano: int) -> Batch:
    """Return the batch that `body` holds, its bytes unchanged except for decompression.

    Raises `MalformedError`, or `TooLargeError` if it exceeds `max_bytes` after decompression.
    """
    request = gunzip(body, max_bytes) if is_gzip else body
    if len(request) <= SMALL_BYTES:
        item_count = route.count_items(request)
    else:
        item_count = sum(map(route.count_items, pieces(request, SMALL_BYTES)))
    return Batch.of(route.signal, request, item_count=item_count, received_unix_nano=received_unix_nano)
