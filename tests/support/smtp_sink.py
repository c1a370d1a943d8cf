"""A real mail server for notifications: keeps what it takes, refuses when it is told to."""

from __future__ import annotations

from email import message_from_bytes
from email.message import Message
from email.policy import default
from typing import Any

from aiosmtpd.controller import Controller


class _Controller(Controller):
    def _trigger_server(self) -> None:
        # It knocks at the port that it was given, which was none in particular: by now it is known.
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


class SmtpSink:
    """Listens on a free port of loopback, in a thread of its own. `replies` are given first, one a mail."""

    def __init__(self, *replies: str) -> None:
        self.mails: list[Message] = []
        self.recipients: list[str] = []
        self.replies = list(replies)
        self._controller = _Controller(self, hostname="127.0.0.1", port=0, ready_timeout=60)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._controller.port)

    def __enter__(self) -> SmtpSink:
        self._controller.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._controller.stop()

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        if self.replies:
            return self.replies.pop(0)
        self.mails.append(message_from_bytes(envelope.content, policy=default))
        self.recipients += envelope.rcpt_tos
        return "250 taken"
