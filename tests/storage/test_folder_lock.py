"""One process with figures of its own on one SQLite file."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from storage.component import build_folder_lock, build_sqlite_history
from storage.folder_lock import FolderLock
from storage.settings import StorageSettings
from telemetry import StartError

HOLD = """
import asyncio, sys, time
from storage.component import build_folder_lock
asyncio.run(build_folder_lock(sys.argv[1]).start())
print("held", flush=True)
time.sleep(60)
"""


def lock_on(url: str) -> FolderLock:
    lock = build_folder_lock(url)
    assert lock is not None
    return lock


async def test_a_second_process_is_told_who_has_the_folder_and_gets_it_when_that_one_dies(tmp_path: Path) -> None:
    """One line that names the process and the setting; a killed holder leaves nothing behind that keeps others out."""
    url = f"sqlite:///{tmp_path}/data/modelwatch.db"
    holder = await asyncio.create_subprocess_exec(sys.executable, "-c", HOLD, url, stdout=asyncio.subprocess.PIPE)
    try:
        assert holder.stdout is not None
        assert await holder.stdout.readline() == b"held\n"
        lock = lock_on(url)
        with pytest.raises(StartError, match=rf"process {holder.pid}.*MODELWATCH_DATA_DIR") as refusal:
            await lock.start()
        assert "\n" not in str(refusal.value)
        reader = build_sqlite_history(StorageSettings(), url)
        await reader.start()
        await reader.check()
        await reader.stop()
    finally:
        holder.kill()
        await holder.communicate()
    for _ in range(2):
        await lock.start()
        await lock.start()
        await lock.stop()
        await lock.stop()


def test_what_is_no_file_has_no_lock() -> None:
    """A database in memory, and SQLite's own URIs, whose meaning is left to whoever writes one."""
    assert build_folder_lock("sqlite://") is None
    assert build_folder_lock("sqlite:///file:x.db?uri=true") is None


async def test_a_folder_that_cannot_be_written_stops_the_start(tmp_path: Path) -> None:
    """A folder that cannot be made, or a lock that cannot be opened, is told with the setting."""
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StartError, match="MODELWATCH_DATA_DIR"):
        await lock_on(f"sqlite:///{tmp_path}/file/modelwatch.db").start()
    (tmp_path / "modelwatch.db.lock").mkdir()
    with pytest.raises(StartError, match="MODELWATCH_DATA_DIR"):
        await lock_on(f"sqlite:///{tmp_path}/modelwatch.db").start()
