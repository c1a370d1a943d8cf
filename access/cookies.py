"""The cookie of a session: no script reads it, no foreign page makes the browser send it with a change.

`SameSite=Lax` and not `Strict`, as links in notifications lead from a chat to the pages. By TLS its name has the
`__Host-` prefix, with which browsers take it from this very host alone. Below a base path the browser sends it to no
other program on that host, and its name tells it from the cookie of a ModelWatch beside it.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from starlette.datastructures import Headers
from starlette.requests import cookie_parser

_NAME: Final = "modelwatch_session"


class SessionCookie(NamedTuple):
    """The cookie of what is seen below `base_path`, such as "/modelwatch"; empty for the whole host."""

    base_path: str = ""

    def secret_in(self, headers: Headers, *, is_secure: bool) -> str:
        """Return the secret that a browser sends, empty if it sends none."""
        return cookie_parser(headers.get("cookie", "")).get(self.name(is_secure=is_secure), "")

    def given(self, secret: str, lifetime_s: int, *, is_secure: bool) -> str:
        """Return the header's value that gives a browser the secret."""
        name, end = self.name(is_secure=is_secure), "; Secure" if is_secure else ""
        return f"{name}={secret}; Path={self.base_path or '/'}; Max-Age={lifetime_s}; HttpOnly; SameSite=Lax{end}"

    def taken(self, *, is_secure: bool) -> str:
        """Return the header's value that takes it away again."""
        return self.given("", 0, is_secure=is_secure)

    def name(self, *, is_secure: bool) -> str:
        """Return its name. `__Host-` is allowed for whole hosts only."""
        prefix = ("__Secure-" if self.base_path else "__Host-") if is_secure else ""
        return f"{prefix}{_NAME}{self.base_path.replace('/', '_')}"
