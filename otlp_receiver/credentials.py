"""The ingest keys: who may send.

Asked by the intake before it reads the body of a request, so that no transport and no signal can forget to.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Sequence

from pydantic import SecretStr

from otlp_receiver.errors import UnauthenticatedError
from telemetry import StartError

AUTHORIZATION_HEADER = "authorization"
KEY_HEADER = "x-modelwatch-key"

HeaderLookup = Callable[[str], str | None]
"""Returns the value of the header or metadata entry with this lower-case name."""


class Credentials:
    """Checks a request's headers against the configured keys; without any key everybody may send."""

    def __init__(self, keys: Sequence[SecretStr]) -> None:
        """Keep the keys' hashes. Raises `StartError` if one of them is empty."""
        secrets = [key.get_secret_value().strip() for key in keys]
        if not all(secrets):
            raise StartError("an ingest key is empty: set every key of MODELWATCH_INGEST_KEYS, or none at all")
        self._digests = [_digest(secret) for secret in secrets]

    @property
    def has_keys(self) -> bool:
        return bool(self._digests)

    def check(self, header: HeaderLookup) -> None:
        """Raise `UnauthenticatedError` unless one of the two headers holds one of the keys."""
        if not self.has_keys:
            return
        presented = [key for key in (_bearer(header(AUTHORIZATION_HEADER)), header(KEY_HEADER)) if key]
        # Every pair is compared, hash against hash, so that the time taken tells nothing about the keys.
        matches = [
            hmac.compare_digest(_digest(candidate), digest) for candidate in presented for digest in self._digests
        ]
        if not any(matches):
            raise UnauthenticatedError(
                f"no valid ingest key: send one as `Authorization: Bearer <key>` or as `{KEY_HEADER}: <key>`"
            )


def _bearer(authorization: str | None) -> str | None:
    scheme, _, key = (authorization or "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else None


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()
