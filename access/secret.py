"""The secrets of sessions and tokens: 256 random bits, of which only the SHA-256 is kept.

Random bits need no slow hash: nobody guesses one, and what is kept lets nobody in.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from typing import Final

TOKEN_PREFIX: Final = "mwt_"
"""By which people, and scanners of repositories, know one that was left lying about."""
_SESSION: Final = re.compile(r"[A-Za-z0-9_-]{43}")
_TOKEN: Final = re.compile(rf"{TOKEN_PREFIX}[A-Za-z0-9_-]{{43}}")


def new_session() -> str:
    """Return the secret of a session."""
    return secrets.token_urlsafe(32)


def new_token() -> str:
    """Return a token."""
    return TOKEN_PREFIX + secrets.token_urlsafe(32)


def digest_of_session(secret: str) -> str | None:
    """Return what is kept of a session, `None` for what is none."""
    return _digest(secret) if _SESSION.fullmatch(secret) else None


def digest_of_token(token: str) -> str | None:
    """Return what is kept of a token, `None` for what is none."""
    return _digest(token) if _TOKEN.fullmatch(token) else None


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("ascii")).hexdigest()
