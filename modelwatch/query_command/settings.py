"""Which ModelWatch `modelwatch query` asks, and as whom.

Part of the settings tree in `modelwatch/`; read by `modelwatch/query_command/command.py`.
"""

from __future__ import annotations

import re
from typing import Final

from pydantic import BaseModel, Field, SecretStr, field_validator

_TOKEN: Final = re.compile(r"[\x21-\x7e]+")


class ClientSettings(BaseModel, frozen=True, extra="forbid"):
    """`modelwatch query` as a client of the API."""

    url: str = Field(
        "http://127.0.0.1:8050",
        pattern=r"^https?://",
        description="Address of the pages and the API that `modelwatch query` asks; `--url` takes its place.",
    )
    token: SecretStr | None = Field(
        None, description="API token that `modelwatch query` shows, as `Authorization: Bearer TOKEN`."
    )
    timeout_s: float = Field(30.0, gt=0, le=600, description="Seconds that an answer to `modelwatch query` may take.")

    @field_validator("token")
    @classmethod
    def _fits_a_header(cls, token: SecretStr | None) -> SecretStr | None:
        if token is not None and not _TOKEN.fullmatch(token.get_secret_value()):
            raise ValueError("is no token: it must be of printable ASCII, without spaces and line ends")
        return token
