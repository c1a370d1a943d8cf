"""A webhook: notifications as JSON to an address of the user's.

One of the two kinds of channel; the other is `apprise_notifier.py`.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Sequence
from typing import Final
from urllib.parse import unquote

import httpx

from alerting.channels.filtering import narrowed
from alerting.channels.outcome import conclude
from alerting.channels.reaching import Reach, post
from alerting.channels.settings import WEBHOOK_SCHEMES, ChannelSettings, scheme_of
from alerting.channels.webhook_body import body_of, delivery_id, signature
from alerting.notification import Notification
from telemetry import NowNs, RetryableError, StartError

_NS_PER_S: Final = 1e9
_MAX_PORT: Final = 65_535


class Webhook:
    """Notifier. Asks the settings for URL and secrets each time, as their files may have changed."""

    def __init__(self, settings: ChannelSettings, reach: Reach, now_ns: NowNs = time.time_ns) -> None:
        self._settings = settings
        self._reach = reach
        self._now_ns = now_ns

    async def notify(self, notifications: Sequence[Notification]) -> None:
        """Post them. Raises `RetryableError` and `PermanentError`, neither with the address in it."""
        settings, now_s = self._settings, self._now_ns() / _NS_PER_S
        body = body_of(settings.name, [narrowed(settings, one) for one in notifications], now_s)
        try:
            url = url_of(settings)
            headers = self._headers(url, delivery_id(notifications), str(int(now_s)), body)
        except StartError as error:
            raise RetryableError(str(error)) from None  # the file may be about to be exchanged
        conclude(await post(self._reach, url, headers, body))

    def _headers(self, url: httpx.URL, delivery: str, timestamp: str, body: bytes) -> dict[str, str]:
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "ModelWatch",
            "Idempotency-Key": delivery,
            "X-ModelWatch-Timestamp": timestamp,
        }
        secret, authorization = self._settings.secret("signing_secret"), self._settings.authorization_header()
        if secret is not None:
            headers["X-ModelWatch-Signature"] = signature(secret, timestamp, body)
        if authorization is None and url.userinfo:
            authorization = f"Basic {base64.b64encode(unquote(url.userinfo.decode()).encode()).decode()}"
        if authorization is not None:
            headers["Authorization"] = authorization
        return headers


def url_of(settings: ChannelSettings) -> httpx.URL:
    """Return the address of a webhook as it is now. Raises `StartError`."""
    text = settings.target()
    try:
        if scheme_of(text) not in WEBHOOK_SCHEMES:
            raise ValueError
        url = httpx.URL(text)
        # As the look-up of the name will do it: with no label that is empty or too long.
        url.raw_host.decode("ascii").encode("idna")
        if not url.host or (url.port is not None and not 0 < url.port <= _MAX_PORT):
            raise ValueError
    except (ValueError, httpx.InvalidURL):
        raise settings.fault("url", "its url is no address of a webhook") from None
    return url
