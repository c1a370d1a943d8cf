"""Addresses to listen on: which are loopback, and why one cannot be had.

Used by both servers before they bind, so that a taken port is one line that names the setting to change.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import socket

from telemetry import StartError

HOST_SETTING = "MODELWATCH_RECEIVER__HOST"


def is_loopback(host: str) -> bool:
    """Tell whether only this machine can reach `host`; a name other than `localhost` is not trusted to stay so."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def format_address(host: str, port: int) -> str:
    """Return `host:port`, with brackets around an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


async def bound_socket(host: str, port: int, port_setting: str, *, share_port: bool = False) -> socket.socket:
    """Return a TCP socket bound to the address, not listening yet. Raises `StartError` with the reason in one line.

    With `share_port` other processes that say so too may listen on the same port, and the system deals connections out
    among them; without, a port that anybody has, shared or not, is taken.
    """
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise StartError(f"cannot find the address {host!r}: set {HOST_SETTING} ({error})") from error
    family, kind, protocol, _, address = found[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if share_port:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise StartError(_reason(error, host, port, port_setting)) from error
    listener.setblocking(False)
    return listener


async def require_bindable(host: str, port: int, port_setting: str, *, share_port: bool = False) -> None:
    """Raise `StartError` if the address cannot be bound now, for servers that bind by themselves and hide why not."""
    (await bound_socket(host, port, port_setting, share_port=share_port)).close()


def _reason(error: OSError, host: str, port: int, port_setting: str) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} on {host} is taken: set {port_setting}"
    if error.errno == errno.EACCES:
        return f"port {port} on {host} is reserved for the system: set {port_setting} to 1024 or above"
    return f"cannot listen on {host}: set {HOST_SETTING} ({error.strerror})"
