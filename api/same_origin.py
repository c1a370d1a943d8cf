"""Keeps foreign web pages from changing anything: a browser says where a request comes from, and others say nothing.

There is no login on loopback, so any page that a user visits could otherwise write rules in their name. What has a body
takes JSON only, which browsers do not send elsewhere without asking first.
"""

from __future__ import annotations

from fastapi import HTTPException, Request

from access.client import is_foreign


def require_same_origin(request: Request) -> None:
    """Raise 403 if a browser sends the request for a page of another origin."""
    if is_foreign(request.headers, request.headers.get("host", "")):
        raise HTTPException(403, "a page of another origin may not change anything here")
