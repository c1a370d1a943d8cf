"""The URLs among the settings: which schemes there are, and one clear line for any other.

The table of roles asks here before it picks the part that stands behind a URL, the doctor before it connects.
"""

from __future__ import annotations

from typing import Final

from pydantic import SecretStr

from alerting.settings import AlertingSettings
from modelwatch.settings import Settings
from telemetry import StartError

SQLITE, POSTGRES = "sqlite", "postgresql+psycopg"
HISTORIES: Final = (SQLITE, POSTGRES)
LIVE_FEEDS: Final = ("redis", "rediss")
BROKERS: Final = ("amqp", "amqps")


def history_url_of(settings: Settings) -> tuple[str, str]:
    """Return scheme and URL of the history, by default the SQLite file in the data folder. Raises `StartError`."""
    if settings.database_url is None:
        return SQLITE, f"sqlite:///{settings.data_dir / 'modelwatch.db'}"
    url = settings.database_url.get_secret_value()
    return _scheme_of(url, HISTORIES, "MODELWATCH_DATABASE_URL"), url


def alerting_settings_of(settings: Settings) -> AlertingSettings:
    """Return the settings of alerts, whose links begin with the base path where no address of the pages is told."""
    if settings.alerts.page_url or not settings.api.base_path:
        return settings.alerts
    return settings.alerts.model_copy(update={"page_url": settings.api.base_path})


def broker_url_of(settings: Settings) -> SecretStr:
    """Return the broker's URL. Raises `StartError` if there is none or its scheme is unknown."""
    url = settings.broker_url or SecretStr("")
    _scheme_of(url.get_secret_value(), BROKERS, "MODELWATCH_BROKER_URL")
    return url


def live_url_of(settings: Settings) -> str | None:
    """Return the live feed's URL, `None` for the in-process one. Raises `StartError` if its scheme is unknown."""
    if settings.live_url is None:
        return None
    url = settings.live_url.get_secret_value()
    _scheme_of(url, LIVE_FEEDS, "MODELWATCH_LIVE_URL")
    return url


def _scheme_of(url: str, known: tuple[str, ...], variable: str) -> str:
    scheme = url.partition(":")[0]
    if scheme not in known:
        # Only the scheme is repeated: the rest may hold a password.
        raise StartError(f"{variable} must begin with {' or '.join(f'{name}://' for name in known)}, not `{scheme}:`")
    return scheme
