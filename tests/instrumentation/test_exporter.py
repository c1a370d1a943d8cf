"""A collector that is away costs neither spans, while they fit, nor a readable log."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, field

import pytest
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SpanExportResult

from modelwatch_instrumentation import exporter
from modelwatch_instrumentation.encoding import SpanEncoder
from modelwatch_instrumentation.exporter import PatientExporter
from modelwatch_instrumentation.outage import OutageLog
from modelwatch_instrumentation.transport import SendError, transport_of
from tests.instrumentation.test_encoding import a_span
from tests.support import hostile_collectors as hostile


@dataclass
class ScriptedTransport:
    """Fails as its script says, then takes everything."""

    script: list[SendError]
    taken: list[bytes] = field(default_factory=list)
    refused: list[bytes] = field(default_factory=list)
    reconnects: int = 0
    endpoint: str = "collector:4317"

    def send(self, request: bytes) -> None:
        if self.script:
            self.refused.append(request)
            raise self.script.pop(0)
        self.taken.append(request)

    def reconnect(self) -> None:
        self.reconnects += 1

    def close(self) -> None:
        self.script = []


class ManualClock:
    """Stands still until it is told."""

    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporter, "FIRST_PAUSE_S", 0.001)
    monkeypatch.setattr(exporter, "LONGEST_PAUSE_S", 0.002)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def test_the_same_bytes_are_sent_until_they_are_taken(clock: ManualClock) -> None:
    """A receiver knows by its content a request whose answer was lost, and counts it once."""
    transport = ScriptedTransport([SendError("away"), SendError("late", retry_after_s=30), SendError("away")])
    result = PatientExporter(transport, OutageLog("", clock)).export([a_span(a=1)])
    assert result is SpanExportResult.SUCCESS
    assert transport.refused == transport.taken * 3
    assert transport.reconnects == 3


def test_a_final_refusal_is_not_asked_again(clock: ManualClock) -> None:
    """A wrong key stays wrong: the batch is given up at once, and the next one is tried."""
    transport = ScriptedTransport([SendError("HTTP 401", is_final=True)])
    patient = PatientExporter(transport, OutageLog("", clock))
    assert patient.export([a_span()]) is SpanExportResult.FAILURE
    assert patient.export([a_span()]) is SpanExportResult.SUCCESS


def test_a_batch_that_is_never_taken_is_given_up(clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be the batch itself that the collector cannot bear."""
    monkeypatch.setattr(exporter, "MOST_ATTEMPTS", 4)
    transport = ScriptedTransport([SendError("away")] * 5)
    assert PatientExporter(transport, OutageLog("", clock)).export([a_span()]) is SpanExportResult.FAILURE
    assert len(transport.script) == 1


def test_a_shutdown_ends_the_waiting(clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread that waits for the next attempt wakes up and gives up."""
    monkeypatch.setattr(exporter, "FIRST_PAUSE_S", 60.0)
    monkeypatch.setattr(exporter, "LONGEST_PAUSE_S", 60.0)
    patient = PatientExporter(ScriptedTransport([SendError("away")]), OutageLog("", clock))
    results: list[SpanExportResult] = []
    thread = threading.Thread(target=lambda: results.append(patient.export([a_span()])))
    thread.start()
    patient.shutdown()
    thread.join(10)
    assert len(results) == 1


def test_an_outage_is_a_line_at_once_one_a_minute_and_one_at_its_end(
    clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Each tells where, why, and how many spans are lost so far."""
    caplog.set_level(logging.INFO)
    outage = OutageLog("collector:4317", clock)
    outage.succeeded()
    for second in range(130):
        clock.now_s = 100.0 + second
        outage.failed("away", lost=2)
    outage.succeeded()
    outage.succeeded()
    assert caplog.messages == [
        "cannot export spans to collector:4317: away; spans lost so far: 2",
        "cannot export spans to collector:4317: away; spans lost so far: 122",
        "cannot export spans to collector:4317: away; spans lost so far: 242",
        "spans are exported to collector:4317 again; spans lost so far: 260",
    ]


def test_a_collector_that_comes_and_goes_does_not_fill_the_log(
    clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Two lines a minute at most: an end is told only of what was told to begin."""
    outage = OutageLog("collector:4317", clock)
    for second in range(120):
        clock.now_s = 100.0 + second
        outage.failed("away")
        outage.succeeded()
    assert len(caplog.messages) == 4


def test_a_collector_that_is_too_slow_is_told_of_as_well(clock: ManualClock, caplog: pytest.LogCaptureFixture) -> None:
    """Each export succeeds, and yet spans are lost: a line says so, and no success takes it back."""
    outage = OutageLog("collector:4317", clock)
    for second in range(70):
        clock.now_s = 100.0 + second
        outage.overflowed()
        outage.succeeded()
    line = "spans end faster than collector:4317 takes them, and the queue is full; spans lost so far: "
    assert caplog.messages == [f"{line}1", f"{line}61"]


def test_spans_that_cannot_be_encoded_are_counted_as_lost(clock: ManualClock, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever is wrong with them stays out of the application and in one line."""
    patient = PatientExporter(ScriptedTransport([]), OutageLog("collector:4317", clock))
    assert patient.export([None]) is SpanExportResult.FAILURE  # type: ignore[list-item]
    assert caplog.messages[0].startswith("cannot export spans to collector:4317: they cannot be encoded")
    assert caplog.messages[0].endswith("spans lost so far: 1")


def test_a_batch_that_is_too_large_does_not_hold_up_those_behind_it() -> None:
    """gRPC says that its resources are exhausted, and no time at which they are not: it is the batch itself."""
    with hostile.narrow(2000) as url:
        transport = transport_of(OTLPSpanExporter(url, insecure=True))
        assert transport is not None
        transport.send(SpanEncoder().encode([a_span(a=1)]))
        with pytest.raises(SendError, match="RESOURCE_EXHAUSTED") as refused:
            transport.send(SpanEncoder().encode([a_span(a="x" * 3000)]))
        assert refused.value.is_final
        transport.close()


def test_spans_of_another_exporter_go_through_unchanged() -> None:
    """Console, Zipkin and the like are none of our transports."""
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    from modelwatch_instrumentation.export import BoundedSpanProcessor

    memory = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(BoundedSpanProcessor(memory))
    provider.get_tracer("tests").start_span("work").end()
    provider.shutdown()
    assert [span.name for span in memory.get_finished_spans()] == ["work"]
