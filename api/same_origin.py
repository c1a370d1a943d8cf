"""Keeps foreign web pages from changing anything: a browser says where a request comes from, and others say nothing.

There is no login on loopback, so any page that a user visits could otherwise write rules in their name. What has a body
takes JSON only, which browsers do not send elsewhere without asking first.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from fastapi import HTTPException, Request

_OWN: Final = frozenset({"same-origin", "none"})


def require_same_origin(request: Request) -> None:
    """Raise 403 if a browser sends the request for a page of another origin."""
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    is_foreign = site is not None and site not in _OWN
    if origin is not None and urlsplit(origin).netloc != request.headers.get("host", ""):
        is_foreign = True
    if is_foreign:
        raise HTTPException(403, "a page of another origin may not change anything here")
