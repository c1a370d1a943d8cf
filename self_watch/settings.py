"""The settings of how ModelWatch watches itself.

`modelwatch/` fills them from `modelwatch.yaml` and `MODELWATCH_SELF_WATCH__…`.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, Field, SecretStr


def _split_commas(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return tuple(part.strip().rstrip("/") for part in value.split(",") if part.strip())


Addresses = Annotated[tuple[Annotated[str, Field(pattern=r"^https?://[^/\s@]+$")], ...], BeforeValidator(_split_commas)]


class SelfWatchSettings(BaseModel, frozen=True, extra="forbid"):
    """Reports of processes, and the canary."""

    report_interval_s: float = Field(
        2.0,
        ge=0.2,
        le=60,
        description="Seconds between two reports of a process, which the page of the pipeline shows.",
    )
    addresses: Addresses = Field(
        (),
        description="Health addresses of the processes without a database (`receiver`, `containers`), separated by "
        "commas, such as `http://receiver:13133`; the dashboard asks them for their figures. A name that stands for "
        "several addresses stands for as many processes.",
    )
    address_timeout_s: float = Field(2.0, gt=0, le=30, description="Seconds that such a process has for its answer.")
    forget_after_s: int = Field(
        86_400, ge=600, description="Seconds for which a process that is gone is still listed; its counts are kept."
    )
    canary_is_enabled: bool = Field(
        True,
        description="Send a span through the whole pipeline every few seconds and time how long it takes to the query; "
        "only the dashboard and `modelwatch up` do. It is in no figure but those of the pipeline.",
    )
    canary_interval_s: float = Field(5.0, ge=1, le=300, description="Seconds between two of these spans.")
    canary_timeout_s: float = Field(
        30.0, ge=2, le=300, description="Seconds after which such a span that was not seen counts as lost."
    )
    canary_endpoint: str = Field(
        "",
        description="OTLP/HTTP address that the dashboard sends them to, such as `http://receiver:4318`. Unset: in "
        "`modelwatch up` its own receiver; in a dashboard alone there is no canary.",
    )
    canary_headers: SecretStr = Field(
        SecretStr(""), description="Headers sent with them, `name=value,name=value`, such as `x-modelwatch-key=KEY`."
    )
