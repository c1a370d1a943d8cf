"""The process in which Apprise runs, for one message: `python -m alerting.channels.apprise_process`.

Started by `apprise_notifier.py`, which may end it at any time. It reads one job from standard input and writes one
outcome to standard output; nothing else that Apprise or a service says leaves it. Apprise has over a hundred services,
each with its own way to reach out; so what may be reached is settled below all of them, where Python opens a
connection, and no service may start a program.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import logging
import os
import signal
import smtplib
import socket
import sys
from collections.abc import Sequence
from typing import Any, Final

from alerting.channels.addresses import Network, is_allowed

_MAX_ANSWER_BYTES: Final = 65_536
_CONNECTING: Final = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})
_LOCAL: Final = frozenset(
    {"subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.forkpty"}
    | {"syslog.openlog", "syslog.syslog"}
)
_KEYS: Final = ("dedup", "alias", "entity_id")
"""By what the services that open incidents call the key that ties the end of one to its beginning."""


class Watch:
    """What was seen of the attempt, and the guard over what it may do."""

    def __init__(self, allowed: Sequence[Network]) -> None:
        self._allowed = allowed
        self.trouble = ""
        self.status = 0
        self.smtp_code = 0
        self.retry_after = ""

    def guard(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Refuse what is not allowed (an audit hook, PEP 578)."""
        if event in _LOCAL:
            self.trouble = "local"
            raise PermissionError("nothing is done on this machine")
        if event in _CONNECTING:
            address = arguments[1] if len(arguments) > 1 else None
            if address is None:
                return  # on a socket that is connected already
            host = address[0] if isinstance(address, tuple) and address else ""
            if arguments[0].family not in (socket.AF_INET, socket.AF_INET6) or not is_allowed(str(host), self._allowed):
                self.trouble = "address"
                raise PermissionError("the address is not allowed")

    def saw(self, trouble: str) -> None:
        """Note why there was no answer; that an address was refused says more."""
        if self.trouble not in ("address", "local"):
            self.trouble = trouble

    def outcome(self, is_taken: bool) -> dict[str, Any]:
        """Return what the parent is told."""
        return {
            "is_taken": is_taken,
            "trouble": "" if is_taken else self.trouble,
            "status": self.status,
            "smtp_code": self.smtp_code,
            "retry_after": self.retry_after,
        }


def run(job: dict[str, Any]) -> dict[str, Any]:
    """Do the job, or only see whether the URL can be read; return the outcome."""
    watch = Watch([ipaddress.ip_network(text) for text in job["allowed"]])
    import apprise  # late: it takes its time

    from alerting.channels.apprise_services import load_service

    logging.getLogger("apprise").disabled = True
    asset = apprise.AppriseAsset(
        app_id="ModelWatch",
        app_desc="ModelWatch",
        app_url="",
        image_url_mask="",
        image_url_logo="",
        image_path_mask=False,
        http_redirects=False,
        async_mode=False,
        interpret_emojis=False,
        storage_mode="memory",
        pgp_autogen=False,
        pem_autogen=False,
        service_timeout=0,
    )
    load_service(job["url"].partition(":")[0].lower())
    service = apprise.Apprise.instantiate(job["url"], asset=asset, suppress_exceptions=True)
    if service is None:
        watch.trouble = "url"
        return watch.outcome(False)
    if not job["messages"]:
        return watch.outcome(True)
    _watch_requests(watch)
    _watch_smtp(watch)
    sys.addaudithook(watch.guard)
    service.overflow_mode = apprise.OverflowMode.TRUNCATE
    return watch.outcome(all(_send(apprise, service, message) for message in job["messages"]))


def _send(apprise: Any, service: Any, message: dict[str, str]) -> bool:
    key = next((key for key in _KEYS if hasattr(service, key)), None)
    if key is not None and message["key"]:
        setattr(service, key, message["key"])
        if getattr(service, "action", None) in ("trigger", "new"):
            service.action = "map"
    is_markdown = service.notify_format == apprise.NotifyFormat.MARKDOWN
    form = apprise.NotifyFormat.MARKDOWN if is_markdown else apprise.NotifyFormat.TEXT
    queue = apprise.Apprise(asset=service.asset)
    queue.add(service)
    return bool(
        queue.notify(
            title=message["title"],
            body=message["markdown"] if is_markdown else message["text"],
            notify_type=apprise.NotifyType(message["kind"]),
            body_format=form,
        )
    )


def _watch_requests(watch: Watch) -> None:
    """See what services are answered, keep them from redirects, and from answers without end."""
    import requests

    send = requests.Session.send

    def watched(self: Any, request: Any, **kwargs: Any) -> Any:
        kwargs |= {"allow_redirects": False, "stream": True}
        try:
            response = send(self, request, **kwargs)
            response._content = response.raw.read(_MAX_ANSWER_BYTES, decode_content=True)
            response._content_consumed = True
            response.close()
        except requests.exceptions.SSLError:
            watch.saw("tls")
            raise
        except requests.exceptions.Timeout:
            watch.saw("timeout")
            raise
        except requests.exceptions.RequestException:
            watch.saw("connection")
            raise
        watch.saw("")
        watch.status = response.status_code
        watch.retry_after = response.headers.get("Retry-After", "")[:64]
        return response

    requests.Session.send = watched  # type: ignore[method-assign]


def _watch_smtp(watch: Watch) -> None:
    """See what mail servers reply, and why there is none."""
    getreply, connect = smtplib.SMTP.getreply, smtplib.SMTP.connect

    def reply(self: Any) -> Any:
        found = getreply(self)
        watch.smtp_code = found[0] if found[0] >= 400 else watch.smtp_code
        return found

    def connected(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return connect(self, *args, **kwargs)
        except TimeoutError:
            watch.saw("timeout")
            raise
        except OSError as error:
            watch.saw("tls" if "SSL" in type(error).__name__ else "connection")
            raise

    smtplib.SMTP.getreply = reply  # type: ignore[method-assign]
    smtplib.SMTP.connect = connected  # type: ignore[method-assign]


def main() -> None:
    """Read the job, do it, write the outcome."""
    job = json.loads(sys.stdin.buffer.read())
    answer = sys.stdout.buffer
    signal.alarm(max(int(job["timeout_s"]), 1) + 5)  # should the parent be gone
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
        try:
            outcome = run(job)
        except Exception:  # whatever it says may hold the URL
            outcome = {"is_taken": False, "trouble": "unknown", "status": 0, "smtp_code": 0, "retry_after": ""}
    answer.write(json.dumps(outcome).encode())
    answer.flush()


if __name__ == "__main__":
    main()
