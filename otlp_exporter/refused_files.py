"""Keeps what a target refused for good: each request a file of its own, as it was sent, with the reason in another.

So it can be looked at, and sent again with any HTTP client. Bounded; the oldest files go first. Beside the way of data:
whatever goes wrong here is logged, and forwarding goes on.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

import structlog

from telemetry import Batch

_log = structlog.get_logger(__name__)

FOLDER: Final = "export-refused"
_BODY, _REASON = ".pb", ".txt"


class RefusedFiles:
    """The folder of one target."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._lock = asyncio.Lock()

    async def keep(self, batch: Batch, reason: str) -> None:
        """Write a request and why it was refused."""
        if len(batch.body) > self._max_bytes:
            return
        async with self._lock:
            try:
                await asyncio.to_thread(self._write, batch, reason)
            except OSError as error:
                _log.error("cannot keep what a target refused", folder=str(self._folder), reason=error.strerror)

    def _write(self, batch: Batch, reason: str) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # The name is unique by content and sorts by age.
        name = f"{batch.received_unix_nano:020}-{batch.signal.value}-{batch.batch_id.hex()}"
        (self._folder / f"{name}{_REASON}").write_text(reason + "\n", encoding="utf-8")
        (self._folder / f"{name}{_BODY}").write_bytes(batch.body)
        kept = sorted(self._folder.glob(f"*{_BODY}"), reverse=True)
        left = self._max_bytes
        for path in kept:
            left -= path.stat().st_size
            if left < 0:
                path.unlink(missing_ok=True)
                path.with_suffix(_REASON).unlink(missing_ok=True)
