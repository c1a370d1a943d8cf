"""The channels of the settings, and the look at them before they are needed.

Made in `modelwatch/`; the dispatcher sends through them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

import structlog

from alerting.channels.apprise_notifier import AppriseNotifier
from alerting.channels.filtering import takes
from alerting.channels.settings import WEBHOOK_SCHEMES, ChannelSettings, scheme_of
from alerting.notification import Told
from alerting.notifier import Channel, Notifier
from alerting.settings import AlertingSettings
from telemetry import ModelWatchError, StartError

_TOGETHER: Final = 100
_PAGED_TOGETHER: Final = 3
"""So that the events of one message, one for each alert, can all be sent in the time that an attempt has."""

log = structlog.get_logger(__name__)


def build_channels(settings: AlertingSettings) -> list[Channel]:
    """Return the channels. Raises `StartError` for a URL that is none, or a file that cannot be read."""
    maker = ChannelMaker(settings)
    return [maker.make(channel) for channel in settings.channels]


class ChannelMaker:
    """Makes channels by their settings; what webhooks have in common is made with the first of them."""

    def __init__(self, settings: AlertingSettings) -> None:
        self._settings = settings
        self._make_webhook: Callable[[ChannelSettings], Notifier] | None = None

    def make(self, channel: ChannelSettings) -> Channel:
        """Return a channel. Raises `StartError` for a field that cannot be, or a file that cannot be read."""
        notifier: Notifier
        if _is_webhook(channel):
            self._make_webhook = self._make_webhook or _webhooks(self._settings)
            notifier, kind = self._make_webhook(channel), "webhook"
        else:
            for secret in ("signing_secret", "authorization"):
                if channel.secret(secret) is not None:
                    raise channel.fault(secret, "signing_secret and authorization are for webhooks only")
            kind = scheme_of(channel.target())
            allowed = [str(network) for network in self._settings.allowed_networks]
            notifier = AppriseNotifier(channel, allowed, self._settings.send_timeout_s)
        together = _PAGED_TOGETHER if isinstance(notifier, AppriseNotifier) and notifier.is_pager else _TOGETHER
        is_for_firing, per_minute = Told.FIRING in channel.states, channel.max_per_minute
        return Channel(channel.name, notifier, partial(takes, channel), kind, per_minute, together, is_for_firing)


def _is_webhook(channel: ChannelSettings) -> bool:
    return scheme_of(channel.target()) in WEBHOOK_SCHEMES


def _webhooks(settings: AlertingSettings) -> Callable[[ChannelSettings], Notifier]:
    import httpx  # late: who has no webhook needs none of it

    from alerting.channels.reaching import Reach
    from alerting.channels.webhook import Webhook, url_of

    trust = httpx.create_ssl_context(trust_env=False)
    if settings.webhook_ca_file is not None:
        try:
            trust.load_verify_locations(cafile=settings.webhook_ca_file)
        except OSError as error:
            raise StartError(
                f"MODELWATCH_ALERTS__WEBHOOK_CA_FILE: {settings.webhook_ca_file} cannot be read as certificates "
                f"({type(error).__name__})"
            ) from None
    reach = Reach(settings.allowed_networks, trust, settings.send_timeout_s)

    def make(channel: ChannelSettings) -> Notifier:
        url_of(channel)
        channel.authorization_header()
        channel.secret("signing_secret")
        return Webhook(channel, reach)

    return make


class ChannelCheck:
    """Component. Finds at the start what would else be found with the first alert: a URL that Apprise cannot read."""

    def __init__(self, channels: Sequence[Channel]) -> None:
        self._channels = channels

    async def start(self) -> None:
        """Look at every channel of Apprise. Raises `StartError`."""
        await asyncio.gather(*[self._check(channel) for channel in self._channels])

    async def stop(self) -> None:
        """Do nothing: what was started has ended."""

    async def _check(self, channel: Channel) -> None:
        try:
            await check_channel(channel)
        except ModelWatchError as error:
            if "Apprise can read" in str(error):
                raise StartError(f"channel {channel.name!r}: {error}") from None
            log.warning("channel not looked at", channel=channel.name, reason=str(error))


async def check_channel(channel: Channel) -> None:
    """Return if Apprise can read the URL of a channel of its own. Raises `RetryableError` and `PermanentError`."""
    if isinstance(channel.notifier, AppriseNotifier):
        await channel.notifier.check()
