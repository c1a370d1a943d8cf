"""The channels that notifications go to: a name, where to, and which of them.

Part of the settings of `alerting/`; given as YAML, in the file of settings or in one variable.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from alerting.notification import Severity, Told
from telemetry import StartError

CHANNEL_NAME: Final = r"^[a-z0-9][a-z0-9._-]{0,62}$"
WEBHOOK_SCHEMES: Final = frozenset({"http", "https"})
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9.+-]{0,40})://\S+")
_MAX_SECRET_BYTES: Final = 16_384
_UNREADABLE: Final = (ValueError, LookupError, AttributeError, TypeError, ArithmeticError, RecursionError)
"""What YAML's own reader raises for tags that promise what is not there, and for what is nested too deeply."""


class ChannelFaultError(StartError):
    """A channel that cannot be used as it is, because of one of its fields."""

    def __init__(self, message: str, field: str) -> None:
        super().__init__(message)
        self.field = field


class ChannelSettings(BaseModel):
    """One channel. Where a secret may stand, a file may be named instead; it is read again for every message."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    name: str = Field(pattern=CHANNEL_NAME, description="What rules and the API call it.")
    url: SecretStr | None = Field(None, description="`https://…` for a webhook, else an Apprise URL.")
    url_file: Path | None = None
    signing_secret: SecretStr | None = Field(None, description="Signs the body of a webhook.")
    signing_secret_file: Path | None = None
    authorization: SecretStr | None = Field(None, description="The `Authorization` header of a webhook.")
    authorization_file: Path | None = None
    min_severity: Severity = Field(Severity.WARNING, description="Nothing milder goes there.")
    states: tuple[Told, ...] = Field(tuple(Told), min_length=1, description="What goes there.")
    labels: Mapping[str, str] = Field({}, max_length=16, description="Labels that an alert must have; with `*`.")
    max_per_minute: int = Field(10, ge=1, le=600, description="More messages than these wait, and leave as one.")

    @field_validator("url")
    @classmethod
    def _has_scheme(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None:
            scheme_of(url.get_secret_value())
        return url

    @field_validator("authorization")
    @classmethod
    def _stripped(cls, value: SecretStr | None) -> SecretStr | None:
        return None if value is None else SecretStr(value.get_secret_value().strip())

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.url is None) == (self.url_file is None):
            raise ValueError(f"channel {self.name!r} needs either url or url_file")
        for field in ("signing_secret", "authorization"):
            if getattr(self, field) is not None and getattr(self, f"{field}_file") is not None:
                raise ValueError(f"channel {self.name!r} has both {field} and {field}_file")
        return self

    def secret(self, field: str) -> str | None:
        """Return a secret as it is now, out of its file if it has one. Raises `StartError`."""
        path: Path | None = getattr(self, f"{field}_file")
        if path is None:
            given: SecretStr | None = getattr(self, field)
            return None if given is None else given.get_secret_value()
        try:
            with path.open("rb") as file:
                text = file.read(_MAX_SECRET_BYTES + 1)
            value = text.decode().strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise self.fault(field, f"{field}_file cannot be read ({reason})") from None
        if not value or len(text) > _MAX_SECRET_BYTES:
            raise self.fault(field, f"{field}_file is empty or too large")
        return value

    def fault(self, secret: str, words: str) -> ChannelFaultError:
        """Return the error of a secret that is not as it must be; `words` do not repeat it."""
        field = secret if getattr(self, f"{secret}_file") is None else f"{secret}_file"
        return ChannelFaultError(f"channel {self.name!r}: {words}", field)

    def target(self) -> str:
        """Return the URL as it is now. Raises `StartError`."""
        url = self.secret("url")
        assert url is not None
        try:
            scheme_of(url)
        except ValueError as error:
            raise self.fault("url", str(error)) from None
        return url

    def authorization_header(self) -> str | None:
        """Return the header as it is now, if there is one. Raises `StartError` for what no header can be."""
        value = self.secret("authorization")
        if value is not None and not (value and value.isascii() and value.isprintable()):
            raise self.fault("authorization", "authorization must be one line of ASCII")
        return value


def scheme_of(url: str) -> str:
    """Return the scheme of a URL in lower case. Raises `ValueError`, without the URL."""
    match = _SCHEME.fullmatch(url)
    if match is None:
        raise ValueError("the url must be one URL, such as https://… or slack://…")
    return match[1].lower()


def channels_from_text(value: Any) -> Any:
    """Read YAML, or JSON, where the channels come in one variable; raises `ValueError` without what stands there."""
    if not isinstance(value, str):
        return value
    try:
        return yaml.safe_load(value) or ()
    except (yaml.YAMLError, *_UNREADABLE):
        raise ValueError("is no YAML list of channels, such as [{name: oncall, url: 'slack://…'}]") from None


def check_names(channels: tuple[ChannelSettings, ...]) -> tuple[ChannelSettings, ...]:
    """Refuse two channels of one name."""
    names = [channel.name for channel in channels]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"there are two channels named {twice[0]!r}")
    return channels
