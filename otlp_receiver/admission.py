"""The bound on what is in flight: how many requests, and how many bytes of them.

Every request of either transport enters here before its body is read, and leaves when its fate is decided.
"""

from __future__ import annotations

import asyncio

from otlp_receiver.errors import OverloadedError


class Share:
    """What the requests of one signal over one transport take of the room."""

    def __init__(self) -> None:
        self.requests = 0
        self.bytes = 0


class Place:
    """One request's part of what is in flight."""

    def __init__(self, admission: Admission, share: Share) -> None:
        self._admission = admission
        self._share = share
        self._bytes = 0

    def grow(self, amount_bytes: int) -> None:
        """Claim bytes for this request. Raises `OverloadedError` if there is no room for them."""
        self._admission._claim_bytes(amount_bytes)
        self._share.bytes += amount_bytes
        self._bytes += amount_bytes

    def leave(self) -> None:
        """Give everything back. To be called once."""
        self._share.requests -= 1
        self._share.bytes -= self._bytes
        self._admission._release(self._bytes)


class Admission:
    """Lets requests in while there is room; over the bound, a refusal costs next to nothing."""

    def __init__(self, max_requests: int, max_bytes: int) -> None:
        self._max_requests = max_requests
        self._max_bytes = max_bytes
        self._requests = 0
        self._bytes = 0
        self._is_closed = False
        self._is_empty = asyncio.Event()
        self._is_empty.set()

    def enter(self, share: Share) -> Place:
        """Return a place for one request, which counts in `share`.

        Raises `OverloadedError` if all are taken, or none is given any more.
        """
        if self._is_closed:
            raise OverloadedError("the receiver is stopping: send the request again")
        if self._requests >= self._max_requests:
            raise OverloadedError(f"{self._requests} requests are in flight, which is the limit: send it again")
        if self._bytes >= self._max_bytes:
            raise self._is_full()
        self._requests += 1
        share.requests += 1
        self._is_empty.clear()
        return Place(self, share)

    def close(self) -> None:
        """Let no further request in."""
        self._is_closed = True

    async def empty(self) -> None:
        """Return once no request is in flight."""
        await self._is_empty.wait()

    def _claim_bytes(self, amount: int) -> None:
        if self._bytes + amount > self._max_bytes:
            raise self._is_full()
        self._bytes += amount

    def _is_full(self) -> OverloadedError:
        return OverloadedError(f"more than {self._max_bytes} bytes would be in flight: send the request again")

    def _release(self, amount: int) -> None:
        self._bytes -= amount
        self._requests -= 1
        if not self._requests:
            self._is_empty.set()
