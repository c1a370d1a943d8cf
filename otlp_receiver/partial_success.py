"""What a sender hears of items that were rejected although the request was taken: how many, and why.

Made when a body is opened, written by both servers (OTLP specification, "Partial Success"). Never for what may pass
another time, because a sender does not send a partial success again.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass

from otlp_receiver.signals import SignalRoute


@dataclass(frozen=True, slots=True)
class Rejection:
    """How many items of a request are invalid, and why, in English. The message is short whatever was sent."""

    item_count: int
    message: str


def rejection(route: SignalRoute, good_count: int, bad: Counter[str]) -> Rejection:
    """Return what there is to be said of the bad items, counted by what is wrong with them."""
    count = bad.total()
    reasons = "; ".join(f"{amount} because {reason}" for reason, amount in bad.most_common())
    are = "was" if count == 1 else "were"
    message = f"{count} of {good_count + count} {route.item_noun} {are} rejected as invalid: {reasons}"
    return Rejection(count, message)


def protobuf_response(route: SignalRoute, rejected: Rejection | None) -> bytes:
    """Return a success as protobuf: 0 bytes if nothing was rejected."""
    if rejected is None:
        return b""
    said = {route.rejected_field: rejected.item_count, "error_message": rejected.message}
    response: bytes = route.response_class(partial_success=said).SerializeToString()
    return response


def json_response(route: SignalRoute, rejected: Rejection | None) -> bytes:
    """Return a success as JSON; 64-bit numbers are written as strings."""
    if rejected is None:
        return b"{}"
    first, *others = route.rejected_field.split("_")
    field = first + "".join(word.capitalize() for word in others)
    said = {field: str(rejected.item_count), "errorMessage": rejected.message}
    return json.dumps({"partialSuccess": said}, separators=(",", ":")).encode()
