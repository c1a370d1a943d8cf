"""One request's way from its headers to the next stage, the same for both transports.

The servers hand their requests to `Intake.take` unread: credentials first, then room, then the body, then its
validity, then the consumer. Success means that the batch is durable there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import replace
from functools import partial
from typing import Any, Final, Literal, Protocol, TypeVar, get_args

from otlp_receiver.admission import Admission, Place, Share
from otlp_receiver.bodies import Form, Opened, Opener
from otlp_receiver.credentials import Credentials
from otlp_receiver.errors import OverloadedError
from otlp_receiver.partial_success import Rejection
from otlp_receiver.settings import ReceiverSettings
from otlp_receiver.signals import ROUTES, SignalRoute
from otlp_receiver.statuses import foreseen
from telemetry import Batch, Consumer, Counters, NowNs, PermanentError, RetryableError, Signal
from telemetry.counters import CounterName
from telemetry.forwarding_trail import FORWARDED_BY_HEADER, trail_of

Transport = Literal["grpc", "http"]
Failure = PermanentError | RetryableError
Result = TypeVar("Result")

_WORKERS: Final = 2
_CANCEL_TIMEOUT_S: Final = 1.0


class Incoming(Protocol):
    """A request whose headers are known and whose body is still to be read."""

    @property
    def transport(self) -> Transport: ...

    @property
    def form(self) -> Form:
        """What the bytes that `read` returned are."""
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
        self._openers = {route.signal: Opener(route, settings.max_request_bytes) for route in ROUTES}
        self._shares = self._observed_shares()
        self._deliveries: set[asyncio.Task[Rejection | Failure | None]] = set()
        self._working: set[Future[Any]] = set()
        self._workers = ThreadPoolExecutor(_WORKERS, thread_name_prefix="otlp-receiver")

    async def take(self, route: SignalRoute, incoming: Incoming) -> Rejection | Failure | None:
        """Read a request and hand on what is valid of it; return what is not, or why the request was not taken."""
        try:
            self._credentials.check(incoming.header)
            place = self._admission.enter(self._shares[route.signal, incoming.transport])
            try:
                body = await self._read(route, incoming, place)
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

    async def close(self) -> None:
        """End the worker threads; one that is not done after a second ends by itself, and its work goes nowhere."""
        self._workers.shutdown(wait=False, cancel_futures=True)
        if self._working:
            await asyncio.to_thread(wait, tuple(self._working), _CANCEL_TIMEOUT_S)

    async def _read(self, route: SignalRoute, incoming: Incoming, place: Place) -> bytes:
        timeout_s = self._settings.read_timeout_s
        received_bytes = 0

        def claim_bytes(amount: int) -> None:
            nonlocal received_bytes
            received_bytes += amount
            place.grow(amount)

        try:
            async with asyncio.timeout(timeout_s):
                return await incoming.read(claim_bytes)
        except TimeoutError as error:
            raise RetryableError(f"the body was not complete after {timeout_s:g} s: send it again, faster") from error
        finally:
            self._count("receiver_received_bytes", received_bytes, route, incoming)

    async def _deliver(
        self, route: SignalRoute, incoming: Incoming, body: bytes, place: Place
    ) -> Rejection | Failure | None:
        item_count: int | None = None
        try:
            opened = await self._open(route, incoming, body, place)
            good_count = opened.batch.item_count
            bad_count = opened.rejected.item_count if opened.rejected else 0
            item_count = good_count + bad_count
            if good_count:
                await self._hand_on(route, _with_trail(opened.batch, incoming), place)
        except asyncio.CancelledError:
            stopped = OverloadedError("the receiver stopped before the next stage was done: send the request again")
            return self._count_failure(route, incoming, item_count, stopped)
        except Exception as error:
            return self._count_failure(route, incoming, item_count, foreseen(error))
        finally:
            place.leave()
        self._count("receiver_accepted_items", good_count, route, incoming)
        if bad_count:
            self._count("receiver_rejected_items", bad_count, route, incoming)
        return opened.rejected

    async def _hand_on(self, route: SignalRoute, batch: Batch, place: Place) -> None:
        if len(batch.body) <= self._settings.max_batch_bytes:
            return await self._consumer.consume(batch)
        place.grow(len(batch.body))
        parts = await self._in_worker(self._openers[route.signal].split, batch, self._settings.max_batch_bytes)
        # All are waited for, so that nothing is under way any more when the sender is told to repeat it.
        ends = await asyncio.gather(*map(self._consumer.consume, parts), return_exceptions=True)
        errors = sorted(
            (end for end in ends if isinstance(end, BaseException)), key=lambda end: isinstance(end, PermanentError)
        )
        if errors:
            raise errors[0]
        return None

    async def _open(self, route: SignalRoute, incoming: Incoming, body: bytes, place: Place) -> Opened:
        opener, form, now_ns = self._openers[route.signal], incoming.form, self._now_ns()
        opened = opener.open_quickly(body, form, now_ns)
        if opened is None:
            opened = await self._in_worker(opener.open, body, form, now_ns)
        if opened.batch.body is not body:
            place.grow(len(opened.batch.body))
        return opened

    async def _in_worker(self, work: Callable[..., Result], *arguments: object) -> Result:
        working = self._workers.submit(work, *arguments)
        self._working.add(working)
        working.add_done_callback(self._working.discard)
        return await asyncio.wrap_future(working)

    def _count_failure(
        self, route: SignalRoute, incoming: Incoming, item_count: int | None, failure: Failure
    ) -> Failure:
        """Count the items that failed, or the request if its items are not known."""
        name: CounterName
        if isinstance(failure, RetryableError):
            name = "receiver_refused_requests" if item_count is None else "receiver_refused_items"
        else:
            name = "receiver_rejected_requests" if item_count is None else "receiver_rejected_items"
        self._count(name, 1 if item_count is None else item_count, route, incoming)
        return failure

    def _count(self, name: CounterName, amount: int, route: SignalRoute, incoming: Incoming) -> None:
        self._counters.add(name, amount, signal=route.signal.value, transport=incoming.transport)

    def _observed_shares(self) -> dict[tuple[Signal, Transport], Share]:
        """Return the shares of the room, by signal and transport, and let the gauges read them from now on."""
        shares = {(route.signal, transport): Share() for route in ROUTES for transport in get_args(Transport)}
        for (signal, transport), share in shares.items():
            labels = {"signal": signal.value, "transport": transport}
            self._counters.observe("receiver_in_flight_requests", partial(getattr, share, "requests"), **labels)
            self._counters.observe("receiver_in_flight_bytes", partial(getattr, share, "bytes"), **labels)
        return shares


def _with_trail(batch: Batch, incoming: Incoming) -> Batch:
    """Return the batch with the installations that it came through, if another ModelWatch forwarded it."""
    trail = trail_of(incoming.header(FORWARDED_BY_HEADER))
    return replace(batch, forwarded_by=trail) if trail else batch
