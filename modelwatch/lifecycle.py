"""Starting and stopping: downstream first, in reverse at the end, each step bounded, no error lost.

The command line hands the assembled components here and waits for the end.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack

import structlog

from telemetry import Component

log = structlog.get_logger(__name__)

STOP_TIMEOUT_S = 15.0


async def start_all(components: Sequence[Component]) -> None:
    """Start in order. When one cannot, those before it are stopped and its error is raised."""
    async with AsyncExitStack() as started:
        for component in components:
            started.push_async_callback(_stop, component)
            await component.start()
        started.pop_all()


async def stop_all(components: Sequence[Component]) -> None:
    """Stop in reverse order, each in bounded time; a failure is logged, the rest are stopped.

    The bound is `STOP_TIMEOUT_S`, or the component's own `stop_timeout_s` if it has one.
    """
    for component in reversed(components):
        await _stop(component)


async def run_until_signal(
    components: Sequence[Component],
    ready_message: str,
    details: Callable[[], Mapping[str, str]] = dict,
    ended: asyncio.Event | None = None,
) -> None:
    """Start everything, say `ready_message` with `details`, wait for SIGTERM, Ctrl-C or `ended`, stop everything."""
    ended = ended or asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    starting = asyncio.ensure_future(start_all(components))
    waiting = asyncio.ensure_future(ended.wait())
    await asyncio.wait({starting, waiting}, return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        return
    try:
        starting.result()
        log.info(ready_message, **details())
        await waiting
    finally:
        waiting.cancel()
        if starting.done() and not starting.cancelled() and starting.exception() is None:
            log.info("stopping")
            await stop_all(components)
            log.info("stopped")


async def _stop(component: Component) -> None:
    name, timeout_s = type(component).__name__, getattr(component, "stop_timeout_s", STOP_TIMEOUT_S)
    try:
        async with asyncio.timeout(timeout_s):
            await component.stop()
    except TimeoutError:
        log.error("did not stop in time", component=name, timeout_s=timeout_s)
    except Exception:
        log.exception("failed to stop", component=name)
