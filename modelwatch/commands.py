"""What each command does: reads the settings, sets up the logs, and hands over.

Behind `cli.py`. Whatever cannot start ends as one line and a non-zero code.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from functools import partial
from typing import Final

from modelwatch import logs
from modelwatch.settings import Settings
from modelwatch.settings_sources import CONFIG_VARIABLE, load, variable_of
from telemetry import StartError

EXIT_CANNOT_START: Final = 2
WORKERS_VARIABLE: Final = variable_of(("receiver", "workers"))
FOR_PEOPLE: Final = frozenset({"query", "deadletters"})


def run_command(options: argparse.Namespace) -> int:
    """Do what the command line says; return the process's exit code."""
    if options.config:
        os.environ[CONFIG_VARIABLE] = options.config  # where the demo's own ModelWatch finds it too
    if options.workers is not None:
        os.environ[WORKERS_VARIABLE] = options.workers
    try:
        settings = load(Settings, os.environ)
        # Who reads an answer, not a log.
        is_for_people = options.command in FOR_PEOPLE or getattr(options, "action", None) or options.server
        logs.configure(settings.log.model_copy(update={"level": "error"}) if is_for_people else settings.log)
        code = _command(options)(settings)
        sys.stdout.flush()
        return code
    except StartError as error:
        print(f"modelwatch: {error}", file=sys.stderr)
        return EXIT_CANNOT_START
    except BrokenPipeError:
        # Whoever read has enough, as `head` does; nothing is left to be flushed into the closed pipe.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _command(options: argparse.Namespace) -> Callable[[Settings], int]:
    # Imported late: a mistaken setting should be told at once, and a command loads only what it runs.
    name = options.command
    if name == "demo":
        from modelwatch.demo import run_demo

        return partial(run_demo, incidents=options.incident)
    if name == "doctor" and options.server:
        from modelwatch.doctor.command import run_command_doctor

        return partial(run_command_doctor, command=options.server)
    if name == "doctor":
        from modelwatch.doctor.configuration import run_doctor

        return run_doctor
    if name == "query":
        from modelwatch.query_command.command import run_query

        return partial(run_query, options=options)
    if name == "deadletters":
        from modelwatch.dead_letters import run as run_dead_letters

        return partial(run_dead_letters, options=options)
    if name in ("users", "tokens"):
        from modelwatch.people import run_tokens, run_users

        return partial(run_users if name == "users" else run_tokens, options=options)
    if name == "alerts" and options.action is not None:
        from modelwatch.alert_rules import run as run_alert_rules

        return partial(run_alert_rules, options=options)
    import asyncio

    import uvloop

    from modelwatch.roles import run_role

    def run(settings: Settings) -> int:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(run_role(name, settings))
        return 0

    return run
