"""Free TCP ports on loopback."""

from __future__ import annotations

import random
import socket


def is_free(port: int) -> bool:
    """Tell whether the port can be bound on loopback now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def free_port(*offsets: int) -> int:
    """Return a port below the ephemeral range that is free, and free at each offset from it as well."""
    for _ in range(200):
        port = random.randrange(20_000, 25_000)
        if all(is_free(port + offset) for offset in (0, *offsets)):
            return port
    raise RuntimeError("no free port between 20000 and 25000")
