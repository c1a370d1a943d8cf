"""Stand-ins for the neighbours of what is tested, named for what they do."""

from __future__ import annotations

from collections import Counter

from telemetry import Batch


class ManualClock:
    """A clock that moves only when told to. Call it for Unix nanoseconds."""

    def __init__(self, unix_s: float = 1_700_000_000.0) -> None:
        self._now_ns = int(unix_s * 1e9)

    def __call__(self) -> int:
        return self._now_ns

    @property
    def now_s(self) -> int:
        return self._now_ns // 1_000_000_000

    def advance(self, seconds: float) -> None:
        self._now_ns += int(seconds * 1e9)


class RecordingConsumer:
    """A consumer that keeps every batch, or raises the errors it was given, one per call, first."""

    def __init__(self, *errors: Exception) -> None:
        self.batches: list[Batch] = []
        self.errors: list[Exception] = list(errors)

    async def consume(self, batch: Batch) -> None:
        if self.errors:
            raise self.errors.pop(0)
        self.batches.append(batch)


class RememberingAttempts:
    """Attempts in memory, which outlive the trials that are made with them; raises the errors it was given, first."""

    def __init__(self, *errors: Exception) -> None:
        self.unended: Counter[bytes] = Counter()
        self.errors: list[Exception] = list(errors)

    async def begin(self, batch_id: bytes) -> int:
        self._fail()
        self.unended[batch_id] += 1
        return self.unended[batch_id] - 1

    async def end(self, batch_id: bytes) -> None:
        self._fail()
        self.unended[batch_id] -= 1

    async def forget(self, batch_id: bytes) -> None:
        self._fail()
        del self.unended[batch_id]

    def _fail(self) -> None:
        if self.errors:
            raise self.errors.pop(0)
