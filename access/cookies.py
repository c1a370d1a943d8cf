"""The cookie of a session: no script reads it, no foreign page makes the browser send it with a change.

`SameSite=Lax` and not `Strict`, as links in notifications lead from a chat to the pages. By TLS its name has the
`__Host-` prefix, with which browsers take it from this very host alone.
"""

from __future__ import annotations

from typing import Final

from starlette.datastructures import Headers
from starlette.requests import cookie_parser

_NAME: Final = "modelwatch_session"
_SECURE_NAME: Final = f"__Host-{_NAME}"


def session_in(headers: Headers, *, is_secure: bool) -> str:
    """Return the secret that a browser sends, empty if it sends none."""
    return cookie_parser(headers.get("cookie", "")).get(_SECURE_NAME if is_secure else _NAME, "")


def session_cookie(secret: str, lifetime_s: int, *, is_secure: bool) -> str:
    """Return the header's value that gives a browser the secret."""
    name, end = (_SECURE_NAME, "; Secure") if is_secure else (_NAME, "")
    return f"{name}={secret}; Path=/; Max-Age={lifetime_s}; HttpOnly; SameSite=Lax{end}"


def no_cookie(*, is_secure: bool) -> str:
    """Return the header's value that takes it away again."""
    return session_cookie("", 0, is_secure=is_secure)
