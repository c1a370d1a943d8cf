"""What the guard answers itself: problems as JSON (RFC 9457), like those of the API, and the way to the login page."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final
from urllib.parse import quote

from starlette.responses import Response
from starlette.types import Scope

NO_STORE: Final = {"Cache-Control": "no-store"}
_LONGEST_PLACE: Final = 4_000


def problem(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    """Return a problem response; `detail` is for the reader of it."""
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail, "errors": []}
    return Response(json.dumps(body), status, {**NO_STORE, **(headers or {})}, "application/problem+json")


def see_other(place: str, headers: Mapping[str, str] | None = None) -> Response:
    """Return the way to another page, which is asked for by GET."""
    return Response(status_code=303, headers={**NO_STORE, "Location": place, **(headers or {})})


def way_to_login(scope: Scope) -> Response:
    """Return the way to the login page, and from there back."""
    raw = scope.get("raw_path") or quote(scope["path"]).encode("ascii")
    query = scope.get("query_string", b"")
    place = own_place((raw + (b"?" + query if query else b"")).decode("latin-1"))
    return see_other("/login" if place == "/" else f"/login?next={quote(place, safe='/')}")


def own_place(place: str) -> str:
    """Return a path of ours with its query, or "/" for whatever could lead elsewhere.

    Browsers take "//host", "/\\host" and "/<tab>/host" for another host.
    """
    is_own = place.startswith("/") and not place.startswith("//") and len(place) <= _LONGEST_PLACE
    is_plain = place.isascii() and place.isprintable() and "\\" not in place and " " not in place
    is_login = place.partition("?")[0].rstrip("/") in ("/login", "/logout")
    return place if is_own and is_plain and not is_login else "/"
