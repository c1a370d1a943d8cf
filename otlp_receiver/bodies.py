"""From a request's body to a checked `Batch`: decompress, decode JSON, inspect, hash.

Pure calculation, called by the intake: on the event loop for what is small and valid, in a worker thread otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

from otlp_receiver.decompression import DECOMPRESSORS, FEW_MEMBERS, MAX_MEMBERS, ManyMembersError
from otlp_receiver.errors import TooLargeError
from otlp_receiver.inspection import PIECE_BYTES, Inspection
from otlp_receiver.json_requests import protobuf_of
from otlp_receiver.partial_success import Rejection, rejection
from otlp_receiver.signals import SignalRoute
from otlp_receiver.splitting import split
from telemetry import Batch

_SMALL_BYTES: Final = PIECE_BYTES
_SMALL_JSON_BYTES: Final = 16 * 1024
"""Decoding this much JSON takes about as long as inspecting `_SMALL_BYTES` of protobuf."""


class Form(NamedTuple):
    """What a body is, as its sender declares it: its content coding, or none, and whether it is JSON."""

    coding: str = ""
    is_json: bool = False


@dataclass(frozen=True, slots=True)
class Opened:
    """What a body holds: its valid items, and what there is to be said of the others."""

    batch: Batch
    rejected: Rejection | None = None


class Opener:
    """Opens the bodies of one signal's requests. Safe to be used by several threads."""

    def __init__(self, route: SignalRoute, max_bytes: int) -> None:
        self._route = route
        self._max_bytes = max_bytes
        self._inspection = Inspection(route)

    def open_quickly(self, body: bytes, form: Form, received_unix_nano: int) -> Opened | None:
        """Return what `body` holds, or `None` if that is more than a millisecond's work. Raises like `open`."""
        small_bytes = min(_SMALL_JSON_BYTES if form.is_json else _SMALL_BYTES, self._max_bytes)
        if len(body) > small_bytes:
            return None
        try:
            request = self._request(body, form, small_bytes, FEW_MEMBERS)
        except (TooLargeError, ManyMembersError):
            return None  # small as sent but large inside
        item_count = self._inspection.count_valid(request)
        return None if item_count is None else self._opened(request, item_count, received_unix_nano)

    def open(self, body: bytes, form: Form, received_unix_nano: int) -> Opened:
        """Return what `body` holds. The batch has the very bytes of an uncompressed protobuf body without bad items.

        Raises `MalformedError`, or `TooLargeError` if the request exceeds the limit at any stage.
        """
        request = self._request(body, form, self._max_bytes, MAX_MEMBERS)
        sifted, kept = self._inspection.sift(request)
        opened = self._opened(kept, sifted.good, received_unix_nano)
        return Opened(opened.batch, rejection(self._route, sifted.good, sifted.bad)) if sifted.bad else opened

    def split(self, batch: Batch, max_bytes: int) -> list[Batch]:
        """Return batches of at most `max_bytes` that together hold the valid items of `batch`. Raises `TooLargeError`.

        The other fields of a resource or a scope are in every part that holds some of its items.
        """
        return [
            Batch.of(
                batch.signal,
                part,
                item_count=self._inspection.sift(part)[0].good,
                received_unix_nano=batch.received_unix_nano,
                forwarded_by=batch.forwarded_by,
            )
            for part in split(batch.body, max_bytes)
        ]

    def _request(self, body: bytes, form: Form, max_bytes: int, max_members: int) -> bytes:
        request = DECOMPRESSORS[form.coding](body, max_bytes, max_members) if form.coding else body
        return protobuf_of(self._route.request_class, request, max_bytes) if form.is_json else request

    def _opened(self, request: bytes, item_count: int, received_unix_nano: int) -> Opened:
        signal = self._route.signal
        return Opened(Batch.of(signal, request, item_count=item_count, received_unix_nano=received_unix_nano))
