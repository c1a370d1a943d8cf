"""Flush and shutdown keep their time, with an exporter that does not."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from modelwatch_instrumentation import export
from modelwatch_instrumentation.export import BoundedSpanProcessor, finishes_within

IN_TIME_S = 1.0


class BlockingExporter(SpanExporter):
    """Counts spans, once it is let through."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.exported = 0
        self.is_shut_down = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.gate.wait(20)
        self.exported += len(spans)
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        self.is_shut_down = True


@pytest.fixture
def exporter() -> Iterator[BlockingExporter]:
    exporter = BlockingExporter()
    yield exporter
    exporter.gate.set()


@pytest.fixture
def provider(exporter: BlockingExporter, monkeypatch: pytest.MonkeyPatch) -> Iterator[TracerProvider]:
    monkeypatch.setattr(export, "FLUSH_TIMEOUT_S", 0.2)
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(BoundedSpanProcessor(exporter, schedule_delay_millis=600_000))
    yield provider
    exporter.gate.set()
    provider.shutdown()


def end_a_span(provider: TracerProvider) -> None:
    provider.get_tracer("tests").start_span("work").end()


def test_work_in_time_is_told_from_work_that_is_late() -> None:
    """The answer comes when the work is done, or when the time is up."""
    is_over = threading.Event()
    assert finishes_within(5, lambda: None)
    assert not finishes_within(0.05, lambda: is_over.wait(20))
    is_over.set()


def test_a_flush_exports_everything(provider: TracerProvider, exporter: BlockingExporter) -> None:
    """A flush that succeeds has exported what ended before it."""
    exporter.gate.set()
    end_a_span(provider)
    assert provider.force_flush()
    assert exporter.exported == 1


@pytest.mark.parametrize("timeout_ms", [50, 60_000])
def test_a_flush_gives_up_in_time(provider: TracerProvider, timeout_ms: int) -> None:
    """The time asked for is kept, and is never longer than the bound."""
    end_a_span(provider)
    asked = time.monotonic()
    assert not provider.force_flush(timeout_ms)
    assert time.monotonic() - asked < IN_TIME_S


def test_a_shutdown_gives_up_in_time(provider: TracerProvider, exporter: BlockingExporter) -> None:
    """The exporter is told to stop even when it has not finished."""
    end_a_span(provider)
    asked = time.monotonic()
    provider.shutdown()
    assert time.monotonic() - asked < IN_TIME_S
    assert exporter.is_shut_down


def test_a_shutdown_after_a_flush_in_vain_does_not_wait_again(
    provider: TracerProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The two bounds do not add up at the end of a process."""
    end_a_span(provider)
    assert not provider.force_flush()
    monkeypatch.setattr(export, "FLUSH_TIMEOUT_S", 10.0)
    asked = time.monotonic()
    provider.shutdown()
    assert time.monotonic() - asked < IN_TIME_S


async def test_a_process_without_an_sdk_has_nothing_to_flush() -> None:
    """The flush is true at once when no tracer provider is set up."""
    assert await export.flush(0.1)
