"""One POST to an address that was looked at: the name is resolved once, and the connection goes to what was allowed.

Nothing else is asked for: no redirect is followed, no proxy or password file of the environment is used, and of the
answer only the head is read.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import httpx

from alerting.channels.addresses import Network, is_allowed
from alerting.channels.outcome import Outcome, retry_after_s

_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Reach:
    """What may be reached, and whose certificates are trusted."""

    allowed: Sequence[Network]
    trust: ssl.SSLContext
    timeout_s: float


async def post(reach: Reach, url: httpx.URL, headers: Mapping[str, str], body: bytes) -> Outcome:
    """Send it, and say how that ended; bounded in time by whoever calls, and between two signs of life by itself."""
    try:
        addresses = await _resolve(url)
    except (OSError, UnicodeError, OverflowError):
        return Outcome(False, "connection")
    # One address that is not allowed among others is refused with them, as nobody could say which would be taken.
    if not addresses or not all(is_allowed(address, reach.allowed) for address in addresses):
        return Outcome(False, "address")
    outcome = Outcome(False, "connection")
    for address in addresses:
        outcome = await _post_to(reach, url, address, headers, body)
        if outcome.trouble != "connection":
            break
    return outcome


async def _resolve(url: httpx.URL) -> list[str]:
    port = url.port or _PORTS[url.scheme]
    found = await asyncio.get_running_loop().getaddrinfo(url.host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys([str(address[0]) for *_, address in found]))


async def _post_to(reach: Reach, url: httpx.URL, address: str, headers: Mapping[str, str], body: bytes) -> Outcome:
    named = {"Host": url.netloc.decode("ascii"), "Connection": "close", **headers}
    extensions: dict[str, object] = {"timeout": httpx.Timeout(reach.timeout_s).as_dict()}
    if not _is_number(url.host):
        extensions["sni_hostname"] = url.raw_host.decode("ascii")
    target = url.copy_with(host=address, userinfo=b"")
    request = httpx.Request("POST", target, headers=named, content=body, extensions=extensions)
    # A transport and no client: a client would write the address, secrets and all, into the log.
    async with httpx.AsyncHTTPTransport(verify=reach.trust, trust_env=False, retries=0) as transport:
        try:
            response = await transport.handle_async_request(request)
        except httpx.TimeoutException:
            return Outcome(False, "timeout")
        except httpx.ConnectError as error:
            return Outcome(False, "tls" if _is_of_tls(error) else "connection")
        except (httpx.HTTPError, OSError):
            # The request may have arrived: another address must not be tried, another attempt may be made.
            return Outcome(False, "cut")
        status = response.status_code
        wait_s = retry_after_s(response.headers.get("retry-after"))
        await response.aclose()
    return Outcome(200 <= status < 300, status=status, retry_after_s=wait_s)


def _is_number(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _is_of_tls(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return True
        error = error.__cause__ or error.__context__
    return False
