"""The command line: one command a role, `demo` to see it all, `doctor` when something is amiss.

Knows the words and loads nothing else, so that help and a slip are answered at once; `commands.py` does what they say.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from modelwatch import __version__

DESCRIPTION = "ModelWatch watches machine-learning model APIs live, on OpenTelemetry."
EPILOG = (
    "Settings come from MODELWATCH_... variables, over modelwatch.yaml, over the defaults: see docs/settings.md. "
    "Point a model API at ModelWatch with OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4317."
)
COMMANDS: dict[str, str] = {
    "up": "receiver, processor, alerts, page and API in one process; on SQLite unless MODELWATCH_DATABASE_URL is set",
    "demo": "ModelWatch with three model APIs and traffic, to see it at work",
    "receiver": "only the OTLP receiver, publishing to RabbitMQ (needs MODELWATCH_BROKER_URL)",
    "processor": "only the processor, consuming from RabbitMQ; start as many as you need",
    "exporter": "only the forwarding to other OpenTelemetry backends, from RabbitMQ (needs MODELWATCH_BROKER_URL)",
    "dashboard": "only the page and the API, reading the database and the live feed",
    "alerts": "only the evaluation of alerts; of several, one works. Or: import, export, check a file of rules",
    "containers": "only the resources of containers and processes on this host, sent to a receiver over OTLP",
    "query": "ask a running ModelWatch from a terminal or a script, for a table, JSON or CSV",
    "deadletters": "list, show, replay or drop what the processors could not store (needs MODELWATCH_BROKER_URL)",
    "users": "add, list and remove people who may log in, change their passwords and roles",
    "tokens": "add, list and revoke what programs send to the API",
    "doctor": "check the settings, the ports and every server that is configured, and say what to do",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return the process's exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    options = _parser("query" in arguments).parse_args(arguments)
    from modelwatch.commands import run_command  # late: `--help` and a mistaken argument need no settings

    return run_command(options)


def _parser(is_with_topics: bool = True) -> argparse.ArgumentParser:
    """Return the parser; the topics of `query` come with the API's parameters, which no other command loads."""
    parser = argparse.ArgumentParser(prog="modelwatch", description=DESCRIPTION, epilog=EPILOG)
    parser.add_argument("--version", action="version", version=f"modelwatch {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, summary in COMMANDS.items():
        command = commands.add_parser(
            name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.", epilog=EPILOG
        )
        command.add_argument("--config", metavar="FILE", help="settings file (default: modelwatch.yaml if it is there)")
        command.set_defaults(workers=None, server=None)
        if name == "demo":
            command.add_argument(
                "--incident",
                action="append",
                default=[],
                metavar="NAME[=SECONDS]",
                help="let only this happen, at once: slow, failing, short-of-cpu, short-of-memory, crashing, behind; "
                "such as crashing=30 for another time; may be given several times",
            )
        if name == "receiver":
            command.add_argument("--workers", metavar="N", help="processes that share the ports (default: 1)")
        if name == "doctor":
            command.usage = "modelwatch doctor [-h] [--config FILE] [-- SERVER [ARGUMENT ...]]"
            command.add_argument(
                "server",
                nargs="*",
                metavar="SERVER",
                help="run this model server for a moment instead, and say what is wrong with what it sends",
            )
        if name == "deadletters":
            _add_dead_letter_actions(command)
        if name == "alerts":
            _add_rule_actions(command)
        if name == "query" and is_with_topics:
            from modelwatch.query_command.arguments import add_topics

            add_topics(command)
        if name == "users":
            _add_user_actions(command)
        if name == "tokens":
            _add_token_actions(command)
    return parser


def _add_dead_letter_actions(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="the oldest dead letters, with the reason of each")
    listing.add_argument("--limit", type=int, default=50, metavar="N", help="how many at most (default: 50)")
    listing.add_argument("--json", action="store_true", help="as JSON, one letter a line")
    show = actions.add_parser("show", help="one dead letter with its content")
    show.add_argument("id", help="its id, or enough of its beginning")
    show.add_argument("--raw", metavar="FILE", help="write the request's bytes to a file instead")
    for name, summary in (
        ("replay", "send letters to the processors again, such as after an upgrade; each still counts once"),
        ("drop", "delete letters for good"),
    ):
        action = actions.add_parser(name, help=summary)
        action.add_argument("id", nargs="*", help="their ids, or enough of their beginnings")
        action.add_argument("--all", action="store_true", help="all of them")


def _add_rule_actions(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION")
    for name, summary in (
        ("check", "say what is wrong in a file of rules, without a database"),
        ("import", "make the rules of a file be those that hold"),
    ):
        action = actions.add_parser(name, help=summary)
        action.add_argument("file", help="the YAML file, or - for standard input")
        if name == "import":
            action.add_argument("--prune", action="store_true", help="delete rules that are not in the file")
    export = actions.add_parser("export", help="write all rules as a file")
    export.add_argument("file", nargs="?", default="-", help="the YAML file (default: standard output)")


def _add_user_actions(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    actions.add_parser("list", help="all users, with their roles")
    for name, summary in (
        ("add", "let somebody log in; the password is asked for, or read from standard input"),
        ("remove", "let somebody in no more; their sessions end"),
        ("password", "change a password; all sessions of the user end"),
        ("role", "change what somebody may do"),
    ):
        action = actions.add_parser(name, help=summary)
        action.add_argument("name", help="the user's name")
        if name == "role":
            action.add_argument("role", choices=("viewer", "editor"))
        if name == "add":
            action.add_argument("--role", choices=("viewer", "editor"), default="viewer", help="(default: viewer)")
        if name in ("add", "password"):
            action.add_argument("--generate", action="store_true", help="make a password and print it")


def _add_token_actions(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    actions.add_parser("list", help="all tokens, with their roles and when they were last used")
    add = actions.add_parser("add", help="make a token and print it, once")
    add.add_argument("name", help="what it is for")
    add.add_argument("--role", choices=("viewer", "editor"), default="viewer", help="(default: viewer)")
    add.add_argument("--days", type=int, default=365, metavar="N", help="days until it ends; 0: never (default: 365)")
    revoke = actions.add_parser("revoke", help="let nobody in with it any more")
    revoke.add_argument("name", help="its name")
