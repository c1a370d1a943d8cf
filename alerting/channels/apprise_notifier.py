"""Channels of Apprise: chats, mail, pagers and whatever else it knows, each message in a process of its own.

Apprise waits while it sends, cannot be stopped, and is slow to load; a process can be ended in time, and what it held
of memory and secrets is gone with it. One of the two kinds of channel; the other is `webhook.py`.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from alerting.channels.filtering import narrowed
from alerting.channels.message import Message, incidents_of, message_of
from alerting.channels.outcome import Outcome, conclude, retry_after_s
from alerting.channels.settings import ChannelSettings, scheme_of
from alerting.notification import Notification
from telemetry import RetryableError, StartError

PAGERS: Final = frozenset(
    {"pagerduty", "opsgenie", "incidentio", "ilert", "goalert", "goalerts", "squadcast", "splunk", "victorops"}
)
"""Services that open incidents: they are told of each alert by itself."""
_ROOT: Final = Path(__file__).resolve().parents[2]
_MAX_ANSWER_BYTES: Final = 4_096


class AppriseNotifier:
    """Notifier. Asks the settings for the URL each time, as its file may have changed."""

    def __init__(self, settings: ChannelSettings, allowed: Sequence[str], timeout_s: float) -> None:
        self._settings = settings
        self._allowed = list(allowed)
        self._timeout_s = timeout_s
        self.is_pager = scheme_of(settings.target()) in PAGERS

    async def notify(self, notifications: Sequence[Notification]) -> None:
        """Send them as one message, or to a pager one for each alert. Raises `RetryableError`, `PermanentError`."""
        shown = [narrowed(self._settings, one) for one in notifications]
        conclude(await self._run(incidents_of(shown) if self.is_pager else [message_of(shown)]))

    async def check(self) -> None:
        """Return if Apprise can read the URL; nothing is sent. Raises `RetryableError`, `PermanentError`."""
        conclude(await self._run([]))

    async def _run(self, messages: Sequence[Message]) -> Outcome:
        try:
            url = self._settings.target()
        except StartError as error:
            raise RetryableError(str(error)) from None  # the file may be about to be exchanged
        job = {
            "url": url,
            "allowed": self._allowed,
            "timeout_s": self._timeout_s,
            "messages": [message._asdict() for message in messages],
        }
        return _outcome(await _answer(json.dumps(job).encode(), self._timeout_s))


def _start() -> subprocess.Popen[bytes]:
    # Not the loop's own way to start processes: uvloop forks, which gRPC complains about and a large process pays for;
    # this takes a few milliseconds.
    return subprocess.Popen(
        [sys.executable, "-B", "-m", "alerting.channels.apprise_process"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        # Nothing of our own environment: no proxies, no files of passwords, no secrets of others.
        env={"PYTHONUTF8": "1", "NETRC": os.devnull, "HOME": os.devnull, "no_proxy": "*"},
        cwd=_ROOT,
    )


async def _answer(job: bytes, timeout_s: float) -> bytes:
    """Run the process and return what it writes. It is ended when that takes too long, or the caller has enough."""
    process = _start()
    # A thread of its own: those that the loop shares out are few, and a slow target must delay nobody else.
    with ThreadPoolExecutor(1) as thread:
        talk = asyncio.get_running_loop().run_in_executor(thread, process.communicate, job)
        try:
            async with asyncio.timeout(timeout_s):
                answer, _ = await asyncio.shield(talk)
        except TimeoutError:
            raise RetryableError(f"it did not take the message within {timeout_s:g} s", retry_after_s=0) from None
        finally:
            process.kill()
            await asyncio.wait([talk])
    return answer[:_MAX_ANSWER_BYTES]


def _outcome(answer: bytes) -> Outcome:
    try:
        found: Mapping[str, Any] = json.loads(answer)
    except ValueError:
        raise RetryableError("the process that sends it ended without an answer", retry_after_s=0) from None
    return Outcome(
        found["is_taken"],
        found["trouble"],
        found["status"],
        found["smtp_code"],
        retry_after_s(found["retry_after"]),
    )
