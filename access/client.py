"""What is known of whoever sends a request: address, whether it came by TLS, which host they asked for, and for whom.

Pure, over the ASGI scope. What a proxy says is believed only from addresses that are trusted.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import Scope

from access.settings import Network

_OWN: Final = frozenset({"same-origin", "none"})
_LOOPBACK_NAMES: Final = frozenset({"localhost", ""})


class Client(NamedTuple):
    """`host` is the name and port of the address that the client sees us under."""

    address: str
    is_secure: bool
    host: str


def client_of(scope: Scope, trusted: Sequence[Network]) -> Client:
    """Return whom a request comes from."""
    headers = Headers(scope=scope)
    peer = (scope.get("client") or ("", 0))[0]
    is_secure = scope.get("scheme") in ("https", "wss")
    if not _is_trusted(peer, trusted):
        return Client(peer, is_secure, headers.get("host", ""))
    # Each proxy appends whom it saw: the last that is not one of ours is the client, what is before is its own word.
    chain = [part.strip() for part in ",".join(headers.getlist("x-forwarded-for")).split(",") if part.strip()]
    address = next((part for part in reversed(chain) if not _is_trusted(part, trusted)), peer)
    protocol = headers.get("x-forwarded-proto", "").rpartition(",")[2].strip().lower()
    host = headers.get("x-forwarded-host", "").rpartition(",")[2].strip()
    return Client(address, is_secure or protocol in ("https", "wss"), host or headers.get("host", ""))


def is_foreign(headers: Headers, host: str) -> bool:
    """Tell whether a browser says that another origin's page sends this; others than browsers say nothing."""
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None and site not in _OWN:
        return True
    return origin is not None and _netloc(origin) != host


def is_from_page(headers: Headers, host: str) -> bool:
    """Tell whether a browser says that a page of ours sends this: what a session changes must come from one."""
    if is_foreign(headers, host):
        return False
    return "origin" in headers or headers.get("sec-fetch-site") == "same-origin"


def is_loopback_host(host: str) -> bool:
    """Tell whether a host, with or without port, can only be this machine: no name that somebody else may own."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    return name in _LOOPBACK_NAMES or name.endswith(".localhost") or is_loopback(name)


def is_loopback(address: str) -> bool:
    """Tell whether an address, or the name "localhost", is this machine's own."""
    try:
        return ipaddress.ip_address(address.strip("[]")).is_loopback
    except ValueError:
        return address == "localhost"


def _netloc(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return None  # such as "http://[", which no browser sends


def _is_trusted(address: str, trusted: Sequence[Network]) -> bool:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(found in network for network in trusted)
