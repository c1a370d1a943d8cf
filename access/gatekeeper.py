"""Knows people by what they bring: a token, the cookie of a session, or nothing, where nobody needs anything.

Asked by the guard for every request; answers from the directory's copy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hmac import compare_digest

from starlette.datastructures import Headers

from access.client import Client, is_loopback_host
from access.cookies import SessionCookie
from access.directory import Directory
from access.identity import LOCAL_NAME, Identity, Role
from access.secret import digest_of_session, digest_of_token
from access.settings import AccessSettings, Network
from telemetry import ModelWatchError, PermanentError


class MisdirectedError(PermanentError):
    """The machine is asked for under a name that may be anybody's."""


class Gatekeeper:
    """`is_open_without_users`: whether everybody is let in for as long as there is neither user nor token.

    `any_host`: whether then also those who ask for a name that is not loopback's, as a foreign page may by giving its
    own name our address ("DNS rebinding").
    """

    def __init__(
        self,
        settings: AccessSettings,
        directory: Directory,
        *,
        is_open_without_users: bool,
        any_host: bool,
        cookie: SessionCookie,
    ) -> None:
        self._directory = directory
        self._is_open_without_users = is_open_without_users
        self._any_host = any_host
        self.cookie = cookie
        self.trusted_proxies: Sequence[Network] = settings.trusted_proxies
        self._is_metrics_open = settings.is_metrics_open
        self._metrics_token = settings.metrics_token

    def is_open(self) -> bool:
        """Tell whether everybody is let in."""
        return self._is_open_without_users and not self._directory.has_credentials()

    def opens_metrics(self, headers: Headers) -> bool:
        """Tell whether `/metrics` is open to whoever sends this, without being known."""
        if self._is_metrics_open or self._metrics_token is None:
            return self._is_metrics_open
        kind, _, token = headers.get("authorization", "").partition(" ")
        expected = self._metrics_token.get_secret_value()
        return kind.lower() == "bearer" and compare_digest(token.strip().encode(), expected.encode())

    async def identify(self, headers: Headers, client: Client) -> Identity | None:
        """Return who sends this. Raises `MisdirectedError`, `UnknownAccessError`."""
        kind, _, token = headers.get("authorization", "").partition(" ")
        if self.is_open():
            if not self._any_host and not is_loopback_host(client.host):
                raise MisdirectedError(
                    "without users, only 127.0.0.1 and localhost are answered: see docs/access.md, or ask for those"
                )
            return Identity(LOCAL_NAME, Role.EDITOR, "local", is_current=self.is_open)
        if kind.lower() == "bearer":
            digest = digest_of_token(token.strip())
            return None if digest is None else await self._known(self._of_token, digest)
        digest = digest_of_session(self.cookie.secret_in(headers, is_secure=client.is_secure))
        return None if digest is None else await self._known(self._of_session, digest)

    async def _known(self, find: Callable[[str], Identity | None], digest: str) -> Identity | None:
        found = find(digest)
        if found is None:
            # It may have been made elsewhere a moment ago.
            await self._directory.refresh_for_unknown()
            found = find(digest)
        return found

    def _of_session(self, digest: str) -> Identity | None:
        found = self._directory.session(digest)
        if found is None:
            return None
        self._directory.see_session(digest)
        user = found[1]
        role = Role(user.role)
        return Identity(user.name, role, "session", digest, lambda: self._has_session(digest, role))

    def _of_token(self, digest: str) -> Identity | None:
        token = self._directory.token(digest)
        if token is None:
            return None
        self._directory.see_token(digest)
        role = Role(token.role)
        return Identity(f"token {token.name}", role, "token", digest, lambda: self._has_token(digest, role))

    def _has_session(self, digest: str, role: Role) -> bool:
        """Tell whether a session goes on in the same role; whoever asks uses it."""
        try:
            found = self._directory.session(digest)
        except ModelWatchError:
            return False
        if found is None or found[1].role != role:
            return False
        self._directory.see_session(digest)
        return True

    def _has_token(self, digest: str, role: Role) -> bool:
        try:
            token = self._directory.token(digest)
        except ModelWatchError:
            return False
        return token is not None and token.role == role
