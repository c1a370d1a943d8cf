"""The arguments of `modelwatch query`: a topic, the parameters of its route, and how to write the answer."""

from __future__ import annotations

import argparse
import typing
from typing import Any, Final

from pydantic.fields import FieldInfo

from modelwatch.query_command.topics import TOPICS, Topic

OUTPUTS: Final = ("table", "json", "csv")
START, WINDOW, CURSOR = "start", "window", "cursor"


def add_topics(parser: argparse.ArgumentParser) -> None:
    """Add a subcommand for each topic, with an option for each parameter of its route."""
    topics = parser.add_subparsers(dest="topic", required=True, metavar="TOPIC")
    for name, topic in TOPICS.items():
        command = topics.add_parser(
            name, help=topic.summary, description=f"{topic.summary[0].upper()}{topic.summary[1:]}."
        )
        if topic.place:
            command.add_argument("place", metavar=topic.place.upper(), help=f"its {topic.place}")
        _add_parameters(command, topic)
        _add_output(command, topic)


def _add_parameters(command: argparse.ArgumentParser, topic: Topic) -> None:
    group = command.add_argument_group("question")
    for name, field in topic.parameters.model_fields.items():
        is_list = _is_list(field)
        group.add_argument(
            f"--{name.replace('_', '-')}",
            dest=f"parameter_{name}",
            action="append" if is_list else "store",
            metavar="VALUE",
            help=_help(field, is_list=is_list),
        )
    if START in topic.parameters.model_fields and WINDOW not in topic.parameters.model_fields:
        group.add_argument(
            "--last", metavar="DURATION", help="From so long ago: 5m, 24h, 7d. Takes the place of --start."
        )


def _add_output(command: argparse.ArgumentParser, topic: Topic) -> None:
    group = command.add_argument_group("answer")
    group.add_argument(
        "--output", "-o", choices=OUTPUTS, default="table", help="table (the default), json as the API answers, or csv"
    )
    if CURSOR in topic.parameters.model_fields:
        group.add_argument(
            "--all", action="store_true", dest="is_all", help="all pages as one answer; --limit is then of one request"
        )
    if topic.identity:
        group.add_argument("--points", action="store_true", help="a row for each step in time, in table and csv")
    group.add_argument("--watch", type=_seconds, metavar="SECONDS", help="ask again so often, until Ctrl-C")
    group.add_argument("--url", metavar="URL", help="address of the pages and the API (default: http://127.0.0.1:8050)")


def _help(field: FieldInfo, *, is_list: bool) -> str:
    text = (field.description or "").replace("`", "")
    text += " May be repeated." if is_list and "repeat" not in text else ""
    return text.replace("%", "%%")


def _is_list(field: FieldInfo) -> bool:
    return _origin(field.annotation) is list


def _origin(annotation: Any) -> Any:
    return typing.get_origin(annotation) or annotation


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0.2 <= seconds <= 86_400:
        raise argparse.ArgumentTypeError("must be from 0.2 to 86400 seconds")
    return seconds
