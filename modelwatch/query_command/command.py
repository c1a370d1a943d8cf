"""`modelwatch query TOPIC`: asks the API of a running ModelWatch and writes the answer."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import time
from collections.abc import Callable
from typing import Any, Final, TextIO
from urllib.parse import quote

from api.parameters import duration_s
from modelwatch.query_command.arguments import CURSOR, START
from modelwatch.query_command.client import AskingError, Client, Parameters
from modelwatch.query_command.rows import columns_of, item_rows, labels_in, point_rows
from modelwatch.query_command.topics import TOPICS, Topic
from modelwatch.query_command.writing import as_json, comma_separated, escaped, table
from modelwatch.settings import Settings
from telemetry import StartError

EXIT_NO_ANSWER: Final = 1
_PREFIX: Final = "parameter_"
_CLEAR: Final = "\x1b[H\x1b[2J\x1b[3J"


def run_query(settings: Settings, options: argparse.Namespace, out: TextIO | None = None) -> int:
    """Write the answer to `out`; return 0, or 1 if there is none. Raises `StartError` for arguments that cannot be."""
    out = out or sys.stdout
    topic = TOPICS[options.topic]
    try:
        client_settings = settings.client.model_validate(
            {**settings.client.model_dump(), **({"url": options.url} if options.url else {})}
        )
    except ValueError:
        raise StartError("--url must begin with http:// or https://") from None
    try:
        with Client(client_settings) as client:
            _ask_and_write(client, topic, options, out)
    except AskingError as error:
        print(f"modelwatch: {escaped(str(error))}", file=sys.stderr)
        return EXIT_NO_ANSWER
    except KeyboardInterrupt:
        return 0
    except BrokenPipeError:
        # Whoever read has enough, as `head` does; nothing is left to be flushed into the closed pipe.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return 0


def _ask_and_write(client: Client, topic: Topic, options: argparse.Namespace, out: TextIO) -> None:
    path = topic.path
    if topic.place:
        path = path.replace(f"{{{topic.place}}}", quote(_sendable(topic.place.upper(), options.place), safe=""))
    ask = client.ask_all if getattr(options, "is_all", False) else client.ask
    while True:
        parameters = _parameters(options)
        document = ask(path, parameters, topic.items)
        text = _writer(topic, options, is_for_terminal=out.isatty())(document)
        if options.watch and out.isatty():
            out.write(_CLEAR)
        out.write(text)
        out.flush()
        if not options.watch:
            if cursor := document.get("next_cursor"):
                print(f"modelwatch: {_next_page(cursor, parameters, options)}", file=sys.stderr)
            return
        time.sleep(options.watch)


def _next_page(cursor: str, parameters: Parameters, options: argparse.Namespace) -> str:
    """Return how the next page is asked for: a cursor goes on only where its own question began."""
    how = f"--cursor {shlex.quote(escaped(cursor))}"
    if getattr(options, "last", None):
        how = f"--start {parameters[START]} {how} in place of --last"
    return f"there is more: ask for it with {how}, or for everything with --all"


def _parameters(options: argparse.Namespace) -> Parameters:
    given = {
        name.removeprefix(_PREFIX): value
        for name, value in vars(options).items()
        if name.startswith(_PREFIX) and value is not None
    }
    for name, value in given.items():
        _sendable(f"--{name.replace('_', '-')}", *([value] if isinstance(value, str) else value))
    if last := getattr(options, "last", None):
        if START in given:
            raise StartError("--last takes the place of --start: give one of them")
        if CURSOR in given:
            raise StartError("--cursor goes on with the --start that was told with it, not with --last")
        given[START] = str(int(time.time()) - _duration(last))
    return given


def _sendable(argument: str, *values: str) -> str:
    try:
        return "".join(values).encode().decode()
    except UnicodeError:
        raise StartError(f"{argument} is not UTF-8") from None


def _duration(text: str) -> int:
    try:
        return duration_s(text)
    except ValueError as error:
        raise StartError(f"--last: {error}") from None


def _writer(topic: Topic, options: argparse.Namespace, *, is_for_terminal: bool) -> Callable[[dict[str, Any]], str]:
    if options.output == "json":
        return as_json
    is_csv, is_by_point = options.output == "csv", getattr(options, "points", False)

    def write(document: dict[str, Any]) -> str:
        items = document[topic.items]
        rows = point_rows(items, topic.identity) if is_by_point else item_rows(items)
        if is_csv:
            return comma_separated(rows, columns_of(rows), is_for_terminal=is_for_terminal)
        if not rows:
            return "Nothing was found.\n"
        return table(rows, columns_of(rows, None if is_by_point else topic.columns, labels_in(items)))

    return write
