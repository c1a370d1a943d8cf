"""The guard of one process with all that it needs; started before the web server, after the database."""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog
from fastapi import FastAPI

from access.client import is_loopback
from access.cookies import SessionCookie
from access.directory import Directory
from access.door import Door
from access.gatekeeper import Gatekeeper
from access.guard import Guard
from access.headers import SecurityHeaders
from access.identity import Role
from access.logins import Logins
from access.passwords import PasswordChecker, hashed, mistake_in
from access.settings import AccessSettings
from access.throttle import Throttle
from storage.access_store import AccessStore, UserRow
from telemetry import Counters, NowNs, StartError

log = structlog.get_logger(__name__)


class Access:
    """Lets people in to what `protect` was told, from `start` to `stop`."""

    def __init__(
        self,
        settings: AccessSettings,
        directory: Directory,
        store: AccessStore,
        logins: Callable[[PasswordChecker], Logins],
        gatekeeper: Gatekeeper,
        host: str,
        base_path: str,
    ) -> None:
        self._settings = settings
        self._store = store
        self._host = host
        self.directory = directory
        self.gatekeeper = gatekeeper
        self._checker = PasswordChecker(settings.login_threads, settings.waiting_logins)
        self._door = Door(settings, gatekeeper, logins(self._checker), base_path)

    def protect(self, app: FastAPI) -> None:
        """Put the guard around an app that has all its routes and middleware already."""
        app.add_middleware(Guard, gatekeeper=self.gatekeeper, door=self._door)
        settings = self._settings
        app.add_middleware(
            SecurityHeaders, trusted_proxies=settings.trusted_proxies, hsts_max_age_s=settings.hsts_max_age_s
        )

    async def start(self) -> None:
        """Return when it is known who there is. Raises `StartError` where nobody could be told from anybody."""
        await self._add_first_user()
        await self.directory.start()
        if not self.directory.has_credentials() and not self.gatekeeper.is_open():
            await self.stop()
            raise StartError(
                f"{self._host} is not loopback and there is no user: `modelwatch users add NAME`, or set "
                "MODELWATCH_ACCESS__ADMIN_PASSWORD_FILE, or MODELWATCH_API__HOST=127.0.0.1, or "
                "MODELWATCH_API__ALLOW_UNAUTHENTICATED=true if something in front checks who comes in"
            )

    async def stop(self) -> None:
        """Note what was used lately and end. Idempotent."""
        await self.directory.stop()
        self._checker.close()

    async def _add_first_user(self) -> None:
        secret = self._settings.admin_password
        if secret is None or (await self._store.rows()).users:
            return
        password = secret.get_secret_value()
        if mistake := mistake_in(password):
            raise StartError(f"MODELWATCH_ACCESS__ADMIN_PASSWORD: {mistake}")
        row = UserRow(self._settings.admin_name, Role.EDITOR, hashed(password), self.directory.now_s)
        if await self._store.add_user(row, only_first=True):
            log.info("first user made", user=row.name, role=row.role)


def build(
    settings: AccessSettings,
    store: AccessStore,
    counters: Counters,
    host: str,
    *,
    allow_unauthenticated: bool = False,
    base_path: str = "",
    now_ns: NowNs = time.time_ns,
    monotonic_s: Callable[[], float] = time.monotonic,
) -> Access:
    """Return the guard for what listens on `host`.

    `base_path` is what browsers see before every path of ours, such as "/modelwatch".
    Without any user or token everybody is let in on loopback, and elsewhere with `allow_unauthenticated`.
    """
    directory = Directory(settings, store, counters, now_ns, monotonic_s)
    is_open = allow_unauthenticated or is_loopback(host)
    gatekeeper = Gatekeeper(
        settings,
        directory,
        is_open_without_users=is_open,
        any_host=allow_unauthenticated,
        cookie=SessionCookie(base_path),
    )
    throttle = Throttle(monotonic_s)

    def logins(checker: PasswordChecker) -> Logins:
        return Logins(settings, directory, checker, throttle, counters)

    return Access(settings, directory, store, logins, gatekeeper, host, base_path)
