"""How people and programs are let in, and for how long.

Part of the settings tree in `modelwatch/`; read by `access/component.py`.
"""

from __future__ import annotations

import ipaddress
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, Field, SecretStr

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def _split_commas(value: Any) -> Any:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


class AccessSettings(BaseModel, frozen=True, extra="forbid"):
    """Who may come in."""

    admin_name: str = Field("admin", pattern=r"^[a-z0-9][a-z0-9._@-]{0,63}$", description="Name of the first user.")
    admin_password: SecretStr | None = Field(
        None,
        description="Password of the first user, an editor, who is made at the start if there is no user yet. Later it "
        "has no effect: `modelwatch users password` changes it.",
    )
    session_lifetime_s: int = Field(
        604_800, ge=300, le=31_536_000, description="Seconds after which a session ends, however much it is used."
    )
    session_idle_s: int = Field(
        86_400, ge=120, le=31_536_000, description="Seconds without a request after which a session ends."
    )
    sessions_per_user: int = Field(
        20, ge=1, le=1_000, description="Sessions of one user at a time; a further one ends the oldest."
    )
    refresh_interval_s: float = Field(
        2.0,
        gt=0,
        le=60,
        description="Seconds until every dashboard knows of a change: a user added, a session ended elsewhere.",
    )
    outage_grace_s: float = Field(
        300.0,
        ge=0,
        le=86_400,
        description="Seconds for which whoever is in stays in while the database does not answer.",
    )
    login_threads: int = Field(
        1,
        ge=1,
        le=16,
        description="Passwords that are checked at a time, each with 32 MB of memory and 0.3 s of a core.",
    )
    waiting_logins: int = Field(
        16, ge=1, le=1_000, description="Logins that may wait for that; more are told to try again."
    )
    trusted_proxies: Annotated[tuple[Network, ...], BeforeValidator(_split_commas)] = Field(
        (),
        description="Addresses or networks of reverse proxies, separated by commas, whose `X-Forwarded-For`, `-Proto` "
        "and `-Host` are believed.",
    )
    hsts_max_age_s: int = Field(
        31_536_000,
        ge=0,
        le=63_072_000,
        description="Seconds for which browsers that came by TLS use nothing else for this host name, on any port "
        "(`Strict-Transport-Security`). 0 leaves that to whatever is in front.",
    )
    is_metrics_open: bool = Field(False, description="Let anybody read `/metrics`, without a token.")
    metrics_token: SecretStr | None = Field(
        None,
        min_length=16,
        description="A token that opens `/metrics` and nothing else, for Prometheus: `Authorization: Bearer ...`.",
    )
