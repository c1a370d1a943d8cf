"""OpenTelemetry's own exporters, unchanged, in Python and JavaScript: success, refusal, outage, recovery.

Each test sends all three signals over all three transports at once. JavaScript's gRPC exporter never repeats a request,
whatever the answer is: what it is refused is lost to it, and the tests say so.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import pytest
from pydantic import SecretStr

from otlp_receiver.component import OtlpReceiver
from telemetry import Batch, Counters, PermanentError, RetryableError, Signal
from tests.clients.exports import Client, Export, Report
from tests.clients.javascript import running_client
from tests.clients.python import PythonClient
from tests.otlp_conformance.samples import names_in
from tests.otlp_receiver.conftest import GatedConsumer, StartReceiver
from tests.support.ports import free_port
from tests.support.waiting import eventually

TRANSPORTS = ("grpc", "http/protobuf", "http/json")


@dataclass(frozen=True)
class Ports:
    """Where the exports go, on this machine."""

    grpc: int
    http: int

    @classmethod
    def of(cls, receiver: OtlpReceiver) -> Ports:
        return cls(receiver.grpc_port, receiver.http_port)


def exports_to(ports: Ports, transports: tuple[str, ...] = TRANSPORTS, **fields: object) -> list[Export]:
    """Return an export of each signal over each transport, its items named for both."""
    return [
        Export(
            signal.value,
            transport,
            f"http://127.0.0.1:{ports.grpc if transport == 'grpc' else ports.http}",
            **{"prefix": f"{transport} {signal}"} | fields,  # type: ignore[arg-type]
        )
        for transport in transports
        for signal in Signal
    ]


async def run(client: Client, exports: list[Export]) -> list[Report]:
    return await asyncio.to_thread(client.export, *exports) if exports else []


def repeats(client: Client, export: Export) -> bool:
    """Tell whether the exporter sends a request again that was refused for now."""
    return (client.language, export.transport) != ("javascript", "grpc")


def names(exports: list[Export]) -> list[str]:
    return sorted(name for export in exports for name in export.names)


class CountingConsumer(GatedConsumer):
    """Counts the requests of each export, by its prefix, and refuses the first ones as told."""

    def __init__(self) -> None:
        super().__init__()
        self.requests: Counter[str] = Counter()
        self.refusal: Exception | None = None
        self.refusals = 1_000
        """How many requests of each export are refused."""

    async def consume(self, batch: Batch) -> None:
        prefix = names_in([batch])[0].rpartition(" ")[0]
        self.requests[prefix] += 1
        if self.refusal is not None and self.requests[prefix] <= self.refusals:
            raise self.refusal
        await super().consume(batch)


@pytest.fixture
async def consumer() -> CountingConsumer:
    return CountingConsumer()


@pytest.fixture(scope="module", params=["python", "javascript"])
def client(request: pytest.FixtureRequest) -> Iterator[Client]:
    """Each language in turn; one Node.js process for all tests of this module."""
    if request.param == "python":
        yield PythonClient()
    else:
        with running_client() as javascript:
            yield javascript


class DeadEnd:
    """A port where every connection is closed as soon as it is made."""

    def __init__(self) -> None:
        self.port = free_port()
        self.connections = 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[DeadEnd]:
        async with await asyncio.start_server(self._hang_up, "127.0.0.1", self.port):
            yield self

    async def _hang_up(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        writer.transport.abort()


async def test_an_export_succeeds_and_arrives_once(
    client: Client, receiver: OtlpReceiver, consumer: CountingConsumer
) -> None:
    """With every compression that the exporter has, success is reported without a warning; each item arrives once."""
    exports = []
    for compression, transports in [("none", TRANSPORTS), ("gzip", TRANSPORTS), ("deflate", TRANSPORTS[1:])]:
        if compression != "deflate" or client.language == "python":
            exports += exports_to(Ports.of(receiver), transports, compression=compression)
    reports = await run(client, exports)
    assert reports == [Report(is_success=True)] * len(exports)
    assert sorted(names_in(consumer.batches)) == names(exports)


async def test_a_permanent_refusal_ends_the_export(
    client: Client, receiver: OtlpReceiver, consumer: CountingConsumer
) -> None:
    """INVALID_ARGUMENT or 400 is reported as a failure after exactly one request."""
    consumer.refusal = PermanentError("never")
    exports = exports_to(Ports.of(receiver))
    reports = await run(client, exports)
    assert not any(report.is_success for report in reports)
    assert consumer.requests == {export.prefix: 1 for export in exports}


async def test_a_missing_key_ends_the_export(
    client: Client, start_receiver: StartReceiver, consumer: CountingConsumer
) -> None:
    """Without the key an export fails at once and nothing is taken; with it as a header it succeeds."""
    ports = Ports.of(await start_receiver(ingest_keys=(SecretStr("the-key"),)))
    without, given = exports_to(ports), exports_to(ports, headers={"x-modelwatch-key": "the-key"})
    reports = await run(client, [*without, *given])
    assert [report.is_success for report in reports] == [False] * len(without) + [True] * len(given)
    assert sorted(names_in(consumer.batches)) == names(given)


async def test_an_oversized_export_is_dropped(
    client: Client, start_receiver: StartReceiver, consumer: CountingConsumer, counters: Counters
) -> None:
    """RESOURCE_EXHAUSTED or 413 ends the export after one request; Python's gRPC exporter repeats it all the same."""
    receiver = await start_receiver(max_request_bytes=1_000, max_in_flight_bytes=100_000)
    exports = exports_to(Ports.of(receiver), count=60, timeout_s=1.9)
    assert not any(report.is_success for report in await run(client, exports))
    attempts = 2 if client.language == "python" else 1
    # gRPC's core answers such a call before we hear of it.
    await eventually(lambda: counted(counters, "receiver_rejected_requests", "grpc") == attempts * len(Signal))
    assert counted(counters, "receiver_rejected_requests", "http") == 2 * len(Signal)
    assert consumer.batches == []


def counted(counters: Counters, name: str, transport: str) -> int:
    counted = counters.snapshot().items()
    return sum(amount for (known, labels), amount in counted if known == name and ("transport", transport) in labels)


async def test_an_outage_is_reported_as_a_failure(client: Client) -> None:
    """While nothing listens an export ends as a failure when its time is over."""
    port = free_port()
    reports = await run(client, exports_to(Ports(port, port), timeout_s=0.7))
    assert not any(report.is_success for report in reports)


async def test_a_lasting_refusal_for_now_is_repeated_and_then_reported(
    client: Client, receiver: OtlpReceiver, consumer: CountingConsumer
) -> None:
    """UNAVAILABLE or 503 is sent again until the exporter's time is over; JavaScript's gRPC exporter sends it once."""
    consumer.refusal = RetryableError("not now", retry_after_s=1)
    exports = exports_to(Ports.of(receiver), timeout_s=1.9)
    reports = await run(client, exports)
    assert not any(report.is_success for report in reports)
    assert consumer.requests == {export.prefix: 2 if repeats(client, export) else 1 for export in exports}


async def test_an_export_refused_for_now_arrives_once(
    client: Client, receiver: OtlpReceiver, consumer: CountingConsumer
) -> None:
    """What is refused once is sent again, not before the delay that was asked for, and arrives once."""
    consumer.refusal, consumer.refusals = RetryableError("not now", retry_after_s=2), 1
    exports = exports_to(Ports.of(receiver))
    exporting = asyncio.create_task(run(client, exports))
    await eventually(lambda: len(consumer.requests) == len(exports))
    await asyncio.wait([exporting], timeout=1.5)
    assert consumer.requests == {export.prefix: 1 for export in exports}, "sooner than asked for"
    reports = await exporting
    assert [report.is_success for report in reports] == [repeats(client, export) for export in exports]
    dropped = [export for export in exports if not repeats(client, export)]
    assert all(report.is_success for report in await run(client, dropped))
    assert consumer.requests == {export.prefix: 2 for export in exports}
    assert sorted(names_in(consumer.batches)) == names(exports)


async def test_an_export_that_met_an_outage_arrives_once_when_it_is_over(
    client: Client, start_receiver: StartReceiver, consumer: CountingConsumer
) -> None:
    """An export that found nobody to answer reaches the receiver that starts on the same port, once."""
    async with AsyncExitStack() as outage:
        grpc, http = [await outage.enter_async_context(DeadEnd().running()) for _ in range(2)]
        ports = Ports(grpc.port, http.port)
        exports = exports_to(ports)
        lost = [export for export in exports if not repeats(client, export)]
        assert not any(report.is_success for report in await run(client, lost))
        kept = [export for export in exports if export not in lost]
        exporting = asyncio.create_task(run(client, kept))
        # gRPC exporters to one port may share a connection.
        await eventually(lambda: grpc.connections and http.connections >= 2 * len(Signal))
    await start_receiver(grpc_port=ports.grpc, http_port=ports.http)
    assert all(report.is_success for report in await exporting)
    for export in lost:
        # The gRPC library itself waits a while between connections to one address.
        await eventually(lambda of=export: _arrives(client, of))
    assert sorted(names_in(consumer.batches)) == names(exports)


async def _arrives(client: Client, export: Export) -> bool:
    (report,) = await run(client, [export])
    return report.is_success


async def test_a_partial_success_is_final(client: Client, receiver: OtlpReceiver, consumer: CountingConsumer) -> None:
    """The exporter takes a partial success for a success and does not repeat it; the valid spans arrive."""
    exports = [
        export for export in exports_to(Ports.of(receiver), count=5, invalid=2) if export.signal == Signal.TRACES
    ]
    reports = await run(client, exports)
    for report in reports:
        assert report.is_success
        if client.language == "javascript":
            (warning,) = report.warnings
            assert "Received Partial Success" in warning
            assert "rejectedSpans" in warning
    assert consumer.requests == {export.prefix: 1 for export in exports}
    assert sorted(names_in(consumer.batches)) == sorted(name for export in exports for name in export.names[2:])
