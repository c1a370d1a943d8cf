"""A processor says how far behind it is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from processor.progress import ProgressReport
from processor.settings import ProcessorSettings
from storage.component import build_ingest_progress, build_sqlite_history
from storage.ingest_progress import IngestProgress
from storage.settings import StorageSettings
from telemetry import Batch, RetryableError, Signal
from tests.support.doubles import ManualClock
from tests.support.waiting import eventually


class GatedConsumer:
    """Keeps batches waiting until its gate opens; then it raises what it was given."""

    def __init__(self, error: Exception | None = None) -> None:
        self.gate = asyncio.Event()
        self.error = error

    async def consume(self, batch: Batch) -> None:
        await self.gate.wait()
        if self.error:
            raise self.error


@pytest.fixture
async def progress(tmp_path: Path) -> AsyncIterator[IngestProgress]:
    history = build_sqlite_history(StorageSettings(), f"sqlite:///{tmp_path / 'modelwatch.db'}")
    await history.start()
    yield build_ingest_progress(history)
    await history.stop()


def batch(received_s: float) -> Batch:
    return Batch.of(Signal.TRACES, str(received_s).encode(), item_count=1, received_unix_nano=int(received_s * 1e9))


async def test_the_lag_is_the_age_of_the_oldest_batch_in_hand(progress: IngestProgress) -> None:
    """Whatever becomes of it; with nothing in hand there is none."""
    clock, consumer = ManualClock(1_000), GatedConsumer(RetryableError("no"))
    report = ProgressReport(ProcessorSettings(), consumer, progress, clock)
    assert report.lag_ms == 0
    tasks = [asyncio.create_task(report.consume(batch(second))) for second in (990, 940, 999)]
    await eventually(lambda: report.lag_ms == 60_000)
    consumer.gate.set()
    ended = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(error) for error in ended] == [RetryableError] * 3
    assert report.lag_ms == 0


async def test_it_is_noted_again_and_again_and_forgotten_at_the_end(progress: IngestProgress) -> None:
    """The beat moves while the processor lives; a trouble is told; after a stop there is no row. Twice."""
    report = ProgressReport(ProcessorSettings(progress_interval_s=0.01), GatedConsumer(), progress)
    for trouble in ("", "no connection"):
        report.trouble = lambda trouble=trouble: trouble  # type: ignore[misc]
        await report.start()

        (first,) = await progress.read()
        assert first.trouble == trouble
        await eventually(lambda beat=first.beat: _has_moved(progress, beat))
        await report.stop()
        assert await progress.read() == []


async def _has_moved(progress: IngestProgress, beat: int) -> bool:
    return any(row.beat > beat for row in await progress.read())
