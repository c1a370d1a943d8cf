"""`/login` and `/logout`: what comes in from the form, and what goes back.

Called by the guard, which lets everybody come here.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import Response

from access.answers import own_place, problem, see_other
from access.client import Client, is_foreign
from access.gatekeeper import Gatekeeper
from access.login_page import LoginPage
from access.logins import Logins
from access.passwords import TooManyLoginsError
from access.settings import AccessSettings

_LOGIN: Final = "/login"
_LOGOUT: Final = "/logout"
_MOST_BODY_BYTES: Final = 16_384
_BUSY: Final = "Too many people sign in just now. Try again."
_SIGNED_OUT: Final = "You are signed out."


class Door:
    """Answers the two paths."""

    def __init__(self, settings: AccessSettings, gatekeeper: Gatekeeper, logins: Logins, base_path: str) -> None:
        self._settings = settings
        self._gatekeeper = gatekeeper
        self._logins = logins
        self._cookie = gatekeeper.cookie
        self._login_page = LoginPage(base_path)

    def is_at(self, path: str) -> bool:
        """Tell whether a path is one of the two."""
        return path in (_LOGIN, _LOGOUT)

    async def answer(self, request: Request, client: Client) -> Response:
        """Return the answer to a request for one of the two."""
        if request.url.path == _LOGIN and request.method in ("GET", "HEAD"):
            return await self._show(request, client)
        if request.method != "POST":
            return problem(405, f"{request.method} is not allowed here", {"Allow": "POST"})
        if is_foreign(request.headers, client.host):
            return problem(403, "a page of another origin may not log anybody in or out")
        before = self._cookie.secret_in(request.headers, is_secure=client.is_secure)
        if request.url.path == _LOGOUT:
            await self._logins.log_out(before)
            return see_other("/login?out=1", {"Set-Cookie": self._cookie.taken(is_secure=client.is_secure)})
        form = await _form_of(request)
        return problem(413, "this is no login") if form is None else await self._log_in(form, client, before)

    async def _show(self, request: Request, client: Client) -> Response:
        place = own_place(request.query_params.get("next", "/"))
        if await self._gatekeeper.identify(request.headers, client) is not None:
            return see_other(place)
        return self._login_page.answer(
            place, note=_SIGNED_OUT if "out" in request.query_params else "Sign in to go on."
        )

    async def _log_in(self, form: dict[str, str], client: Client, before: str) -> Response:
        place, name = own_place(form.get("next", "/")), form.get("name", "")[:64]
        if self._gatekeeper.is_open():
            return see_other(place)
        try:
            attempt = await self._logins.log_in(name, form.get("password", ""), client.address, before)
        except TooManyLoginsError as error:
            return self._login_page.answer(place, name=name, error=_BUSY, status=503, retry_s=int(error.retry_after_s))
        if not attempt.secret:
            status = 429 if attempt.retry_after_s else 401
            return self._login_page.answer(
                place, name=name, error=attempt.message, status=status, retry_s=attempt.retry_after_s
            )
        cookie = self._cookie.given(attempt.secret, self._settings.session_lifetime_s, is_secure=client.is_secure)
        return see_other(place, {"Set-Cookie": cookie})


async def _form_of(request: Request) -> dict[str, str] | None:
    """Return the fields of the form, the first of each; `None` for what is too long."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _MOST_BODY_BYTES:
            return None
    try:
        fields = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=10)
    except ValueError:
        return None
    return {name: values[0] for name, values in fields.items()}
