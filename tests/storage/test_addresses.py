"""What an address shows of itself."""

from __future__ import annotations

import pytest

from storage.component import build_postgres_history, build_redis_live_feed
from storage.ports import SeriesFilter, StorageUnavailableError
from storage.settings import StorageSettings
from telemetry import Counters, StartError


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg://u:hunter2@127.0.0.1:1/db",
        "postgresql+psycopg://127.0.0.1:1/db?user=u&password=hunter2",
    ],
)
async def test_errors_name_the_database_without_its_password(url: str) -> None:
    """Wherever the password stands in the URL, neither the start nor a question repeats it."""
    history = build_postgres_history(StorageSettings(start_timeout_s=0), url)
    with pytest.raises(StartError) as start:
        await history.start()
    with pytest.raises(StorageUnavailableError) as question:
        await history.read(0, 10, SeriesFilter())
    await history.stop()
    assert "hunter2" not in str(start.value) + str(question.value)


async def test_an_unescaped_password_for_redis_is_not_repeated() -> None:
    """A URL that cannot be taken apart stops the start without showing any part of it."""
    feed = build_redis_live_feed(StorageSettings(), "redis://:hunt/er2@127.0.0.1:1/0", Counters())
    with pytest.raises(StartError, match="MODELWATCH_LIVE_URL") as caught:
        await feed.start()
    assert "hunt" not in str(caught.value)
