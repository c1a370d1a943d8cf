"""Users in the database of a ModelWatch that is to be started, and the way in for a browser."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from access.passwords import hashed
from storage.access_store import UserRow
from storage.component import build_access_store, build_sqlite_history
from storage.settings import StorageSettings

PASSWORD: Final = "correct horse battery"


async def add_users(folder: Path, **roles: str) -> None:
    """Add users by name and role, all with `PASSWORD`."""
    history = build_sqlite_history(StorageSettings(), f"sqlite:///{folder / 'modelwatch.db'}")
    await history.start()
    kept = hashed(PASSWORD)
    for name, role in roles.items():
        assert await build_access_store(history).add_user(UserRow(name, role, kept, 0))
    await history.stop()


async def sign_in(tab: Any, name: str) -> None:
    """Fill in the form that the tab shows."""
    await tab.page.fill("#name", name)
    await tab.page.fill("#password", PASSWORD)
    await tab.page.click("button[type=submit]")
