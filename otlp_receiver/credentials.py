"""The ingest keys: who may send, and where nobody may be let in without.

Asked by the intake before it reads the body of a request, so that no transport and no signal can forget to.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Sequence

from pydantic import SecretStr

from otlp_receiver.errors import UnauthenticatedError
from otlp_receiver.listening import HOST_SETTING, is_loopback
from otlp_receiver.settings import ReceiverSettings
from telemetry import StartError

AUTHORIZATION_HEADER = "authorization"
KEY_HEADER = "x-modelwatch-key"

_BLANKS = " \t"
"""No part of a header's value (RFC 9110, section 5.5), but not always taken off by the parser; a key may end in others,
such as in one byte of a letter."""

HeaderLookup = Callable[[str], str | None]
"""Returns the value of the header or metadata entry with this lower-case name."""


class Credentials:
    """Checks a request's headers against the keys in force; with none asked for, everybody may send."""

    def __init__(self, keys: Sequence[SecretStr], *, expects_more: bool = False) -> None:
        """Keep the keys' hashes; with `expects_more` further ones come from a file, and nobody is let in without.

        Raises `StartError` if a key is empty.
        """
        secrets = [key.get_secret_value().strip() for key in keys]
        if not all(secrets):
            raise StartError("an ingest key is empty: set every key of MODELWATCH_INGEST_KEYS, or none at all")
        self._fixed = tuple(map(_digest, secrets))
        self._digests = self._fixed
        self._asks_for_key = bool(secrets) or expects_more

    @property
    def asks_for_key(self) -> bool:
        return self._asks_for_key

    def renew(self, keys: Sequence[SecretStr]) -> None:
        """Let these be the keys beside those that it was built with, in place of the ones before them."""
        self._digests = (*self._fixed, *(_digest(key.get_secret_value()) for key in keys))

    def check(self, header: HeaderLookup) -> None:
        """Raise `UnauthenticatedError` unless one of the two headers holds one of the keys."""
        if not self._asks_for_key:
            return
        plain = (header(KEY_HEADER) or "").strip(_BLANKS)
        presented = [key for key in (_bearer(header(AUTHORIZATION_HEADER)), plain) if key]
        digests = self._digests
        # Every pair is compared, hash against hash, so that the time taken tells nothing about the keys.
        matches = [
            hmac.compare_digest(candidate, digest)
            for key in presented
            for candidate in _digests_as_sent(key)
            for digest in digests
        ]
        if not any(matches):
            raise UnauthenticatedError(
                f"no valid ingest key: send one as `Authorization: Bearer <key>` or as `{KEY_HEADER}: <key>`"
            )


def require_closed(settings: ReceiverSettings, *, has_keys: bool) -> None:
    """Raise `StartError` if anybody on the network could send, unless the settings say that this is meant.

    Client certificates are credentials as good as keys; TLS without them hides what is sent, but lets everybody in.
    """
    is_closed = has_keys or settings.tls_client_ca_file is not None or is_loopback(settings.host)
    if not is_closed and not settings.allow_unauthenticated:
        raise StartError(
            f"the receiver would listen on {settings.host} to anybody: set MODELWATCH_INGEST_KEYS, or {HOST_SETTING} "
            "to 127.0.0.1, or MODELWATCH_RECEIVER__ALLOW_UNAUTHENTICATED to true if something in front checks who sends"
        )


def _bearer(authorization: str | None) -> str | None:
    scheme, _, key = (authorization or "").partition(" ")
    return key.strip(_BLANKS) if scheme.lower() == "bearer" else None


def _digests_as_sent(value: str) -> set[bytes]:
    """Return the hashes of what the sender may mean: header bytes are read as Latin-1, and may have been UTF-8."""
    try:
        return {_digest(value), hashlib.sha256(value.encode("latin-1")).digest()}
    except UnicodeEncodeError:
        return {_digest(value)}


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()
