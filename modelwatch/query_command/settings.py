"""Which ModelWatch `modelwatch query` asks, and as whom.

Part of the settings tree in `modelwatch/`; read by `modelwatch/query_command/command.py`.
"""

from __future__ import annotations

from pydantic import BaseModel, Field, SecretStr


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
