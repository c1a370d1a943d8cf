"""The live feed of processes that share none: nothing is kept, and every question goes to the history.

Used where several processes write and no Redis connects them; a window of one's own would then miss what others commit.
"""

from __future__ import annotations

from collections.abc import Sequence

from storage.live_window import LiveWindow
from storage.settings import StorageSettings
from telemetry import RedPoint


class AbsentLiveFeed:
    """Implements `storage.ports.LiveFeed` by never knowing anything."""

    def __init__(self) -> None:
        self._window = LiveWindow(0)

    @property
    def window(self) -> LiveWindow:
        """An empty window that is never complete."""
        return self._window

    def use(self, settings: StorageSettings) -> None:
        """Nothing is held, however long it might be."""

    async def start(self) -> None:
        """Nothing to do."""

    async def stop(self) -> None:
        """Nothing to do."""

    async def publish(self, points: Sequence[RedPoint]) -> None:
        """Keep nothing."""

    async def reset(self) -> None:
        """Nothing was promised that could be taken back."""
