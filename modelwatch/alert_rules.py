"""`modelwatch alerts check|import|export`: the rules of alerts as one file, for people who keep them in a repository.

Works on the database itself; whoever evaluates takes the change up with the next round.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final, TextIO, TypeVar

from alerting.notifier import trouble_with
from alerting.rule_file import RuleFileError, rules_of, text_of
from alerting.rulebook import RuleBook, TooManyRulesError
from alerting.rules import Rule
from modelwatch.assembled import build_history
from modelwatch.settings import Settings
from storage.alert_store import AlertStore
from storage.component import build_alert_store
from telemetry import RetryableError, StartError

EXIT_MISTAKES: Final = 1
_STREAM: Final = "-"

Result = TypeVar("Result")


def run(settings: Settings, options: argparse.Namespace, out: TextIO = sys.stdout) -> int:
    """Do what the options say; return the process's exit code: 1 if the file has mistakes. Raises `StartError`."""
    if options.action == "export":
        rules = asyncio.run(_export(settings))
        return _write(options.file, text_of(rules), len(rules), out)
    try:
        rules = rules_of(_read(options.file))
    except RuleFileError as error:
        for mistake in error.mistakes:
            print(f"{options.file}: {mistake}", file=sys.stderr)
        return EXIT_MISTAKES
    if options.action == "check":
        _warn(_configured(settings), options.file, rules)
        print(f"{len(rules)} rules, no mistakes", file=out)
        return 0
    (changed, same, deleted), made = asyncio.run(_import(settings, rules, prune=options.prune))
    _warn([*_configured(settings), *made], options.file, rules)
    print(f"{changed} written, {same} were so already, {deleted} deleted", file=out)
    return 0


def _configured(settings: Settings) -> list[str]:
    return [channel.name for channel in settings.alerts.channels]


def _warn(known: Sequence[str], file: str, rules: list[Rule]) -> None:
    """Say which rules name channels that are not there, if any is known here; it keeps nothing from being written.

    A check asks no database, so that it knows none that were made while running.
    """
    for rule in rules:
        if trouble := trouble_with(rule.channels, known):
            print(f"{file}: warning: {rule.rule_id}: channels: {trouble}", file=sys.stderr)


async def _export(settings: Settings) -> list[Rule]:
    async def work(book: RuleBook, _: AlertStore) -> list[Rule]:
        return [known.rule for known in await book.rules()]

    return await _with_rules(settings, work)


async def _import(settings: Settings, rules: list[Rule], *, prune: bool) -> tuple[tuple[int, int, int], list[str]]:
    """Return how many were written, and the channels that were made while running."""

    async def work(book: RuleBook, store: AlertStore) -> tuple[tuple[int, int, int], list[str]]:
        return await book.import_rules(rules, prune=prune), [row.name for row in await store.channels.rows()]

    return await _with_rules(settings, work)


async def _with_rules(settings: Settings, work: Callable[[RuleBook, AlertStore], Awaitable[Result]]) -> Result:
    history = build_history(settings)
    await history.start()
    try:
        store = build_alert_store(history)
        return await work(RuleBook(settings.alerts, store.documents), store)
    except RetryableError as error:
        raise StartError(f"{error}: see to the database, or set MODELWATCH_DATABASE_URL") from error
    except TooManyRulesError as error:
        raise StartError(str(error)) from error
    finally:
        await history.stop()


def _read(file: str) -> str:
    try:
        return sys.stdin.read() if file == _STREAM else Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise StartError(f"{file} cannot be read ({reason})") from None


def _write(file: str, text: str, count: int, out: TextIO) -> int:
    if file == _STREAM:
        print(text, end="", file=out)
        return 0
    try:
        Path(file).write_text(text, encoding="utf-8")
    except OSError as error:
        raise StartError(f"{file} cannot be written ({error.strerror})") from error
    print(f"{count} rules written to {file}", file=out)
    return 0
