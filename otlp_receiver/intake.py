"""One request's way from its headers to the next stage, the same for both transports.

The servers hand their requests to `Intake.take` unread: credentials first, then room, then the body, then its
validity, then the consumer. Success means that the batch is durable there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final, Literal, Protocol

from otlp_receiver.admission import Admission, Place
from otlp_receiver.bodies import SMALL_BYTES, open_body
from otlp_receiver.credentials import Credentials
from otlp_receiver.errors import OverloadedError, TooLargeError
from otlp_receiver.settings import ReceiverSettings
from otlp_receiver.signals import SignalRoute
from otlp_receiver.statuses import foreseen
from telemetry import Batch, Consumer, Counters, NowNs, PermanentError, RetryableError
from telemetry.counters import CounterName

Transport = Literal["grpc", "http"]
Failure = PermanentError | RetryableError

_WORKERS: Final = 2
_CANCEL_TIMEOUT_S: Final = 1.0


class Incoming(Protocol):
    """A request whose headers are known and whose body is still to be read."""

    @property
    def transport(self) -> Transport: ...

    @property
    def is_gzip(self) -> bool:
        """Whether the bytes that `read` returns are still compressed."""
        ...

    def header(self, name: str) -> str | None:
        """Return the value of the header or metadata entry with this lower-case name."""
        ...

    async def read(self, claim_bytes: Callable[[int], None]) -> bytes:
        """Return the body, claiming room for its bytes as they arrive. Raises the two classes of error."""
        ...


class Intake:
    """Takes requests, one `take` per request, and counts what became of each."""

    def __init__(
        self,
        settings: ReceiverSettings,
        consumer: Consumer,
        counters: Counters,
        credentials: Credentials,
        now_ns: NowNs,
    ) -> None:
        self._settings = settings
        self._consumer = consumer
        self._counters = counters
        self._credentials = credentials
        self._now_ns = now_ns
        self._admission = Admission(settings.max_in_flight_requests, settings.max_in_flight_bytes)
        self._deliveries: set[asyncio.Task[Failure | None]] = set()
        self._workers = ThreadPoolExecutor(_WORKERS, thread_name_prefix="otlp-receiver")

    async def take(self, route: SignalRoute, incoming: Incoming) -> Failure | None:
        """Read a request and hand it on; return `None` once that is done, or the reason to answer with."""
        try:
            self._credentials.check(incoming.header)
            place = self._admission.enter()
            try:
                body = await self._read(incoming, place)
            except BaseException:
                place.leave()
                raise
        except Exception as error:
            return self._count_failure(route, incoming, None, foreseen(error))
        # A task of its own, because a sender that hangs up must not cancel what the next stage may already have begun.
        delivery = asyncio.create_task(self._deliver(route, incoming, body, place))
        self._deliveries.add(delivery)
        delivery.add_done_callback(self._deliveries.discard)
        return await asyncio.shield(delivery)

    async def drain(self, grace_s: float) -> None:
        """Refuse what is new, wait for what is in flight, and give up on what is not done after `grace_s`."""
        self._admission.close()
        try:
            await asyncio.wait_for(self._admission.empty(), grace_s)
        except TimeoutError:
            for delivery in self._deliveries:
                delivery.cancel()
            if self._deliveries:
                await asyncio.wait(self._deliveries, timeout=_CANCEL_TIMEOUT_S)

    def close(self) -> None:
        """End the worker threads. To be called when the servers are stopped."""
        self._workers.shutdown(wait=True, cancel_futures=True)

    async def _read(self, incoming: Incoming, place: Place) -> bytes:
        timeout_s = self._settings.read_timeout_s
        try:
            async with asyncio.timeout(timeout_s):
                return await incoming.read(place.grow)
        except TimeoutError as error:
            raise RetryableError(f"the body was not complete after {timeout_s:g} s: send it again, faster") from error

    async def _deliver(self, route: SignalRoute, incoming: Incoming, body: bytes, place: Place) -> Failure | None:
        item_count: int | None = None
        try:
            batch = await self._open(route, incoming, body, place)
            item_count = batch.item_count
            if item_count:
                await self._consumer.consume(batch)
        except asyncio.CancelledError:
            stopped = OverloadedError("the receiver stopped before the next stage was done: send the request again")
            return self._count_failure(route, incoming, item_count, stopped)
        except Exception as error:
            return self._count_failure(route, incoming, item_count, foreseen(error))
        finally:
            place.leave()
        self._counters.add(
            "receiver_accepted_items", item_count, signal=route.signal.value, transport=incoming.transport
        )
        return None

    async def _open(self, route: SignalRoute, incoming: Incoming, body: bytes, place: Place) -> Batch:
        opened = partial(open_body, route, body, is_gzip=incoming.is_gzip, received_unix_nano=self._now_ns())
        batch = None
        if len(body) <= SMALL_BYTES:
            try:
                batch = opened(max_bytes=min(SMALL_BYTES, self._settings.max_request_bytes))
            except TooLargeError:
                pass  # small as sent but large inside: once more, where it cannot hold up the loop
        if batch is None:
            loop = asyncio.get_running_loop()
            max_bytes = self._settings.max_request_bytes
            batch = await loop.run_in_executor(self._workers, partial(opened, max_bytes=max_bytes))
        if incoming.is_gzip:
            place.grow(len(batch.body))
        return batch

    def _count_failure(
        self, route: SignalRoute, incoming: Incoming, item_count: int | None, failure: Failure
    ) -> Failure:
        """Count the items that failed, or the request if its items are not known."""
        name: CounterName
        if isinstance(failure, RetryableError):
            name = "receiver_refused_requests" if item_count is None else "receiver_refused_items"
        else:
            name = "receiver_rejected_requests" if item_count is None else "receiver_rejected_items"
        amount = 1 if item_count is None else item_count
        self._counters.add(name, amount, signal=route.signal.value, transport=incoming.transport)
        return failure
