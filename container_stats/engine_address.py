"""Where the container engine listens: from the setting, `DOCKER_HOST`, or the usual places of its socket."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from telemetry import StartError

NONE: Final = "none"
_DEFAULT_PORTS: Final = {"tcp": 2375, "http": 2375, "https": 2376}


class EngineAddress(NamedTuple):
    """`url` is what requests begin with; `socket` the path of the Unix socket, if it is one."""

    url: str
    socket: str | None

    def __str__(self) -> str:
        return f"unix://{self.socket}" if self.socket else self.url


def usual_sockets(uid: int) -> Sequence[Path]:
    """Return where Docker and Podman put their sockets, with and without root."""
    return (
        Path("/var/run/docker.sock"),
        Path(f"/run/user/{uid}/docker.sock"),
        Path("/run/podman/podman.sock"),
        Path(f"/run/user/{uid}/podman/podman.sock"),
    )


def find_engine(
    setting: str, docker_host: str, *, is_tls: bool = False, sockets: Callable[[], Sequence[Path]] | None = None
) -> EngineAddress | None:
    """Return the engine to ask; `None` if there is to be none, or if nothing is set and no socket is there.

    Raises `StartError` for an address of no use.
    """
    if setting == NONE:
        return None
    if setting:
        return parse_address(setting, "MODELWATCH_CONTAINERS__ENGINE", is_tls=is_tls)
    if docker_host:
        return parse_address(docker_host, "DOCKER_HOST", is_tls=is_tls)
    found = (path for path in (sockets or (lambda: usual_sockets(os.getuid())))() if _is_socket(path))
    path = next(found, None)
    return EngineAddress("http://engine", str(path)) if path else None


def parse_address(text: str, variable: str, *, is_tls: bool = False) -> EngineAddress:
    """Return the address that a `DOCKER_HOST` or a setting names. Raises `StartError` if it is none of ours."""
    scheme, separator, rest = text.partition("://")
    if scheme == "unix" and rest.startswith("/"):
        return EngineAddress("http://engine", rest)
    try:
        parts = urlsplit(text)
        port = parts.port or _DEFAULT_PORTS.get(scheme, 0)
    except ValueError:
        port = 0
    if not separator or not port or not parts.hostname or parts.path.rstrip("/"):
        raise StartError(
            f"{text!r} is no address of a container engine: set {variable} to unix:///path/of/socket, "
            "tcp://host:2375, https://host:2376, or none"
        )
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return EngineAddress(f"{'https' if scheme == 'https' or is_tls else 'http'}://{host}:{port}", None)


def _is_socket(path: Path) -> bool:
    try:
        return stat.S_ISSOCK(path.stat().st_mode)
    except OSError:
        return False
