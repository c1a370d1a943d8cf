"""What the OpenAPI document says of who may ask: a token or a session, and how strangers are refused.

The guard of `access/` in front of the app is what does it; the routes know nothing of it.
"""

from __future__ import annotations

from typing import Any, Final

from api.problems import MEDIA_TYPE

_SCHEMES: Final = {
    "token": {
        "type": "http",
        "scheme": "bearer",
        "description": "A token made by `modelwatch tokens add NAME`. On loopback, as long as there is neither user "
        "nor token, none is needed.",
    },
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": "modelwatch_session",
        "description": "What a browser has after the login; over TLS its name begins with `__Host-`. Below a base path "
        "it ends in that path, and over TLS begins with `__Secure-`.",
    },
}
_OPEN: Final = frozenset({"/healthz", "/readyz"})
_UNKNOWN: Final = {
    "description": "Whoever asks is not known, or not any more: log in, or send a token.",
    "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}},
}


def describe_security(document: dict[str, Any]) -> None:
    """Add to an OpenAPI document what each of its operations asks of who comes."""
    document["components"]["securitySchemes"] = _SCHEMES
    document["security"] = [{name: []} for name in _SCHEMES]
    for path, operations in document["paths"].items():
        for operation in operations.values():
            if path in _OPEN:
                operation["security"] = []
            else:
                operation["responses"]["401"] = _UNKNOWN
