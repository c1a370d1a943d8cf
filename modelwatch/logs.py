"""Structured logs on standard error: for people on a terminal, one JSON object a line elsewhere.

Set up once by the command line, before anything runs.
"""

from __future__ import annotations

import logging
import sys
from typing import Any, Literal

import structlog
import structlog.tracebacks
from pydantic import BaseModel, Field


class LogSettings(BaseModel, frozen=True, extra="forbid"):
    """What is logged and how."""

    level: Literal["debug", "info", "warning", "error"] = Field("info", description="Lowest level that is logged.")
    format: Literal["auto", "text", "json"] = Field(
        "auto", description="`text` for people, `json` for machines; `auto` is text on a terminal."
    )


def configure(settings: LogSettings, **fields: int) -> None:
    """Send our own and the libraries' logs through one chain to standard error, each line with these `fields`."""
    is_text = settings.format == "text" or (settings.format == "auto" and sys.stderr.isatty())
    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="%H:%M:%S" if is_text else "iso", utc=not is_text),
        structlog.stdlib.ExtraAdder(),
        lambda _logger, _method, event: {**event, **fields},
        _on_one_line,
    ]
    rendering: list[Any] = (
        [
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(), pad_event_to=32, exception_formatter=structlog.dev.plain_traceback
            )
        ]
        if is_text
        else [structlog.processors.ExceptionRenderer(_traceback), structlog.processors.JSONRenderer()]
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering],
        )
    )
    logging.getLogger().handlers[:] = [handler]
    set_level(settings)


def set_level(settings: LogSettings) -> None:
    """Log from this level on; also later, while everything runs."""
    level = getattr(logging, settings.level.upper())
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(level))
    logging.getLogger().setLevel(level)
    # pika logs every step of each connection attempt; the connection reports what matters itself.
    logging.getLogger("pika").setLevel(max(level, logging.CRITICAL))
    # grpcio logs metadata that it cannot decode, value and all, which may be a key; any stranger can make it do so.
    logging.getLogger("grpc._cython.cygrpc").setLevel(logging.CRITICAL)
    # Clients of HTTP log addresses, and those of webhooks are secrets.
    for name in ("httpx", "httpcore", "apprise"):
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
    logging.getLogger("uvicorn").setLevel(max(level, logging.WARNING))


# Local variables may hold payloads and keys, so tracebacks are logged without them.
_traceback = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)


def _on_one_line(_logger: Any, _method: str, event: dict[str, Any]) -> dict[str, Any]:
    """Keep what clients send from forging log lines: control characters in fields are escaped."""
    for key, value in event.items():
        if isinstance(value, str) and key != "exception" and not value.isprintable():
            event[key] = value.encode("unicode_escape").decode("ascii")
    return event
