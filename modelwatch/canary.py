"""The canary of a role: which receiver it sends to, and with which key.

Used by `assembly`; in a process with a receiver it is a client of that one, otherwise of the one that is set.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping

from modelwatch.settings import Settings
from otlp_receiver.key_file import read_keys
from query import Query
from self_watch.canary import Canary
from self_watch.sender import TraceSender, headers_of
from telemetry import Component, Counters


def build_canary(
    settings: Settings, query: Query, counters: Counters, receiver: Callable[[], str] | None
) -> list[Component]:
    """Return the sender and the canary, or nothing where it has nobody to send to; one that is turned off is silent.

    `receiver` returns host and port of OTLP/HTTP in this process once it listens.
    """
    own = settings.self_watch
    # A receiver that asks for client certificates takes nothing without one.
    is_own = receiver is not None and not own.canary_endpoint and not settings.receiver.tls_client_ca_file
    if not (own.canary_endpoint or is_own):
        return []
    headers = headers_of(own.canary_headers.get_secret_value()) or (_own_key(settings) if is_own else {})
    sender = TraceSender(
        (lambda: _address_of(settings, receiver())) if is_own and receiver else lambda: own.canary_endpoint,
        headers,
        own.canary_timeout_s,
        is_own=is_own,
    )
    return [sender, Canary(own, query, sender.send, secrets.token_hex(8), counters)]


def _own_key(settings: Settings) -> Mapping[str, str]:
    file = settings.ingest_keys_file
    keys = settings.ingest_keys or (read_keys(file) if file else ())
    return {"x-modelwatch-key": keys[0].get_secret_value()} if keys else {}


def _address_of(settings: Settings, listening: str) -> str:
    host, _, port = listening.rpartition(":")
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    scheme = "https" if settings.receiver.tls_cert_file else "http"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"
