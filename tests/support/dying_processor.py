"""Processors that die at chosen steps, as by SIGKILL: `python -m tests.support.dying_processor STEP N [STEP N ...]`.

Each is a process of its own, one after the other, put together as `modelwatch processor` is from the same environment.
The N-th time that it comes to its step it is gone: nothing is flushed, closed, handed back or acknowledged. One whose
step is "never" lives until it is told to stop; one whose step is "marked" dies of decoding what holds `MARK`. They are
forks of one process, since importing takes most of their time.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from typing import Any, Final

import psycopg  # noqa: F401  imported here, like some below, so that the forks need not
from sqlalchemy import Engine, event

import storage.component  # noqa: F401
from modelwatch.assembly import assemble
from modelwatch.settings import Settings
from modelwatch.settings_sources import load
from processor.intake import Intake
from processor.span_columns import SpanDecoder
from storage.history import SqlHistory
from storage.redis_live_feed import RedisLiveFeed

NEVER: Final = "never"
STEPS: Final = ("before commit", "in commit", "after commit", "after publish", "before ack")
MARKED: Final = "marked"
MARK: Final = "a mark of death"
EXIT_CODE: Final = 77

Reach = Callable[[str], None]


def wrap(owner: Any, name: str, reach: Reach, before: str, after: str) -> None:
    """Let a method of this one object pass by these steps."""
    method = getattr(owner, name)

    async def wrapped(*arguments: Any) -> None:
        reach(before)
        await method(*arguments)
        reach(after)

    setattr(owner, name, wrapped)


async def main(step: str, count: int) -> None:
    """Run until the step is reached."""
    passed = 0  # times that this process came to it
    is_committing = False

    def reach(reached: str) -> None:
        nonlocal passed, is_committing
        is_committing = (is_committing or reached == "before commit") and reached != "after commit"
        passed += reached == step
        if passed >= count:
            os._exit(EXIT_CODE)

    def in_commit(_connection: Any) -> None:
        if is_committing:
            reach("in commit")

    decode = SpanDecoder.decode

    def decode_or_die(decoder: SpanDecoder, body: bytes, **limits: Any) -> Any:
        if MARK.encode() in body:
            reach(MARKED)
        return decode(decoder, body, **limits)

    SpanDecoder.decode = decode_or_die  # type: ignore[method-assign]
    settings = load(Settings, os.environ)
    made = assemble(frozenset({"processor"}), settings)
    event.listen(Engine, "commit", in_commit)
    for component in made.components:
        if isinstance(component, SqlHistory):
            wrap(component, "commit", reach, "before commit", "after commit")
        elif isinstance(component, RedisLiveFeed):
            wrap(component, "publish", reach, "before publish", "after publish")
        elif isinstance(component, Intake):
            wrap(component, "consume", reach, "before consume", "before ack")
    for component in made.components:
        await component.start()
    await asyncio.Event().wait()


def run(step: str, count: int) -> int:
    """Fork a processor and return its exit code when it has ended."""
    child = os.fork()
    if child == 0:
        asyncio.run(main(step, count))
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    for step, count in zip(sys.argv[1::2], sys.argv[2::2], strict=True):
        print(f"ended {step}: {run(step, int(count))}", flush=True)
