"""Asks a server on this machine, with TLS or without, whether it is there and what it says.

For `demo`, which waits for what it starts, and `doctor`, which looks for what runs already.
"""

from __future__ import annotations

import http.client
import ssl


def body_at(host: str, port: int, path: str, timeout_s: float) -> bytes | None:
    """Return the body of a successful answer, `None` for anything else."""
    # It is asked nothing but how it is; who it is would be for its certificate to say, which names no loopback address.
    unchecked = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    unchecked.check_hostname = False
    unchecked.verify_mode = ssl.CERT_NONE
    try:
        return _ask(http.client.HTTPConnection(host, port, timeout=timeout_s), path)
    except (OSError, http.client.HTTPException):
        pass  # nobody is there, or it is no HTTP that is spoken
    try:
        return _ask(http.client.HTTPSConnection(host, port, timeout=timeout_s, context=unchecked), path)
    except (OSError, http.client.HTTPException):
        return None


def _ask(connection: http.client.HTTPConnection, path: str) -> bytes | None:
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        body = response.read()
        return body if response.status == http.HTTPStatus.OK else None
    finally:
        connection.close()
