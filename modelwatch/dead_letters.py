"""`modelwatch deadletters`: what the processors could not store, listed, shown, sent on its way again, or dropped.

A command for people; the work at the queue is done by `rabbitmq/dead_letters.py`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TextIO

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from modelwatch.settings import Settings
from modelwatch.urls import broker_url_of
from rabbitmq import Message
from rabbitmq.dead_letters import DeadLetter, Fate, go_through
from telemetry import RetryableError, StartError

EXIT_NOT_FOUND: Final = 1
_SHORTEST_ID: Final = 6
_EVERYTHING: Final = 1_000_000
_SHOWN_CHARS: Final = 100_000
_REQUESTS: Final[dict[str, Any]] = {
    "traces": ExportTraceServiceRequest,
    "metrics": ExportMetricsServiceRequest,
    "logs": ExportLogsServiceRequest,
}


def run(settings: Settings, options: argparse.Namespace, out: TextIO = sys.stdout) -> int:
    """Do what the options say; return the process's exit code. Raises `StartError`."""
    if settings.broker_url is None:
        raise StartError(
            "dead letters are kept by RabbitMQ: set MODELWATCH_BROKER_URL (without it, senders are told at once)"
        )
    actions = {"list": _list, "show": _show, "replay": _replay, "drop": _drop}
    try:
        return actions[options.action](settings, options, out)
    except RetryableError as error:
        raise StartError(f"{error}: see to RabbitMQ, or set MODELWATCH_BROKER_URL") from error


def _list(settings: Settings, options: argparse.Namespace, out: TextIO) -> int:
    found: list[DeadLetter] = []

    def keep(letter: DeadLetter) -> Fate:
        # The body is not needed, and thousands of them would fill the memory.
        found.append(_without_body(letter))
        return Fate.KEEP

    count = _go_through(settings, keep, options.limit)
    if options.json:
        for letter in found:
            print(json.dumps(_summary(letter)), file=out)
        return 0
    print(f"{count} dead letters" + (f", the oldest {len(found)} of them" if len(found) < count else ""), file=out)
    for letter in found:
        summary = _summary(letter)
        print(
            f"{letter.letter_id[:12]}  {summary['received'] or '-':20}  {letter.signal:8}"
            f"{summary['items'] if summary['items'] is not None else '-':>7} items"
            f"{summary['body_bytes']:>10} B  {letter.reason}",
            file=out,
        )
    return 0


def _show(settings: Settings, options: argparse.Namespace, out: TextIO) -> int:
    wanted = _Wanted([options.id])
    found: list[DeadLetter] = []

    def take_first(letter: DeadLetter) -> Fate:
        if wanted.has(letter) and not found:
            found.append(letter)
        return Fate.KEEP

    _go_through(settings, take_first, _EVERYTHING)
    if not found:
        return _not_found(wanted.missing)
    if options.raw:
        try:
            Path(options.raw).write_bytes(found[0].message.body)
        except OSError as error:
            raise StartError(f"{options.raw} cannot be written ({error.strerror})") from error
        return 0
    print(json.dumps(_summary(found[0]), indent=2), file=out)
    print(_content_of(found[0]), file=out)
    return 0


def _replay(settings: Settings, options: argparse.Namespace, out: TextIO) -> int:
    return _decide(settings, options, out, Fate.REPLAY, "sent again")


def _drop(settings: Settings, options: argparse.Namespace, out: TextIO) -> int:
    return _decide(settings, options, out, Fate.DROP, "dropped")


def _decide(settings: Settings, options: argparse.Namespace, out: TextIO, fate: Fate, verb: str) -> int:
    if bool(options.id) == options.all:
        raise StartError(f"say which letters: their ids, or --all (modelwatch deadletters {options.action} --help)")
    wanted = _Wanted(options.id)
    done = 0

    def decide(letter: DeadLetter) -> Fate:
        nonlocal done
        if not options.all and not wanted.has(letter):
            return Fate.KEEP
        done += 1
        return fate

    _go_through(settings, decide, _EVERYTHING)
    print(f"{done} {verb}", file=out)
    return _not_found(wanted.missing) if wanted.missing else 0


class _Wanted:
    """The letters that were named, and which of the names were not found yet."""

    def __init__(self, prefixes: Sequence[str]) -> None:
        short = [prefix for prefix in prefixes if len(prefix) < _SHORTEST_ID]
        if short:
            raise StartError(f"{short[0]!r} is too short for an id: give at least {_SHORTEST_ID} characters")
        self._prefixes = tuple(prefix.lower() for prefix in prefixes)
        self.missing = set(self._prefixes)

    def has(self, letter: DeadLetter) -> bool:
        named = {prefix for prefix in self._prefixes if letter.letter_id.startswith(prefix)}
        self.missing -= named
        return bool(named)


def _go_through(settings: Settings, decide: Callable[[DeadLetter], Fate], limit: int) -> int:
    return asyncio.run(go_through(broker_url_of(settings), settings.rabbitmq, decide, limit))


def _not_found(prefixes: Collection[str]) -> int:
    print(f"modelwatch: no dead letter has the id {', '.join(sorted(prefixes))}", file=sys.stderr)
    return EXIT_NOT_FOUND


def _summary(letter: DeadLetter) -> dict[str, Any]:
    received = letter.received_unix_nano
    return {
        "id": letter.letter_id,
        "signal": letter.signal,
        "items": letter.item_count,
        "body_bytes": letter.body_bytes,
        "received": None if received is None else _rfc_3339(received),
        "routing_key": letter.message.routing_key,
        "reason": letter.reason,
    }


def _without_body(letter: DeadLetter) -> DeadLetter:
    message = Message(letter.message.routing_key, letter.message.properties, b"")
    return DeadLetter(
        letter.letter_id,
        letter.signal,
        letter.reason,
        letter.item_count,
        letter.received_unix_nano,
        letter.body_bytes,
        message,
    )


def _content_of(letter: DeadLetter) -> str:
    """Return the request as JSON as far as it can be read, otherwise its first bytes in hexadecimal."""
    body = letter.message.body
    request_class = _REQUESTS.get(letter.signal)
    try:
        if request_class is None:
            raise DecodeError
        text = json.dumps(MessageToDict(request_class.FromString(body)), indent=2)
    except (DecodeError, ValueError, RecursionError):
        return f"not readable as OTLP; the first bytes: {body[:256].hex(' ')}"
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}\n... cut off; --raw FILE writes all of it"


def _rfc_3339(unix_nano: int) -> str | None:
    try:
        return datetime.fromtimestamp(unix_nano / 1e9, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return None  # a header that somebody else wrote
