"""The traffic's command line: `python -m examples.traffic --help`.

Prints incidents as they happen and, at the end, what came back. SIGTERM and Ctrl-C end it at once.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections import Counter
from pathlib import Path

from examples.traffic.generator import run_traffic
from examples.traffic.incidents import NAMES, chosen
from examples.traffic.rhythm import RHYTHMS
from examples.traffic.standstill import Stoppable

FIRST_PORT = 8101


def main() -> int:
    """Run until the time is up or a signal comes; print the counts."""
    parser = _parser()
    arguments = parser.parse_args()
    try:
        arguments.incident = chosen(arguments.incident)
    except ValueError as error:
        parser.error(str(error))
    if arguments.check:
        return 0
    counts: dict[str, Counter[str]] = {}
    asyncio.run(_until_stopped(arguments, counts))
    for line in report(counts):
        print(line, flush=True)
    return 0


def report(counts: dict[str, Counter[str]]) -> list[str]:
    """Return one line per API: how many requests, and how many of each outcome."""
    return [
        f"{service}: {sum(outcomes.values())} requests: "
        + (", ".join(f"{outcome} × {number}" for outcome, number in sorted(outcomes.items())) or "none answered")
        for service, outcomes in counts.items()
    ]


async def _until_stopped(arguments: argparse.Namespace, counts: dict[str, Counter[str]]) -> None:
    run = asyncio.ensure_future(
        run_traffic(
            dict(arguments.target) if arguments.target else _default_targets(),
            total_per_s=arguments.rate,
            announce=lambda line: print(line, flush=True),
            counts=counts,
            seed=arguments.seed,
            skip_s=arguments.skip_s,
            with_incidents=not arguments.no_incidents,
            at_once=arguments.incident,
            memory_limits=dict(arguments.memory_limit),
            processor=arguments.processor,
        )
    )
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, run.cancel)
    try:
        async with asyncio.timeout(arguments.duration_s):
            await run
    except (asyncio.CancelledError, TimeoutError):
        pass  # both are the ordinary ends


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m examples.traffic", description=__doc__)
    parser.add_argument("--target", action="append", type=_target, metavar="SERVICE=URL", help="default: all three")
    parser.add_argument("--rate", type=_positive, default=30.0, help="requests per second to all together (30)")
    parser.add_argument("--duration-s", type=_positive, default=None, help="stop after this long (default: never)")
    parser.add_argument("--skip-s", type=float, default=0.0, help="begin this far into the schedule of incidents (0)")
    parser.add_argument("--seed", type=int, default=0, help="of the visitors' choices (0)")
    parser.add_argument("--check", action="store_true", help="only say whether the arguments are right")
    parser.add_argument("--no-incidents", action="store_true", help="ordinary visits only")
    parser.add_argument(
        "--incident",
        action="append",
        default=[],
        metavar="NAME[=SECONDS]",
        help=f"only this one, at once; may be given several times: {', '.join(NAMES)}",
    )
    parser.add_argument(
        "--memory-limit", action="append", default=[], type=_limit, metavar="SERVICE=BYTES", help="what it may have"
    )
    parser.add_argument(
        "--processor", type=_stoppable, metavar="PID[=FILE]", help="what stands still, and the SQLite file it writes to"
    )
    return parser


def _default_targets() -> dict[str, str]:
    return {service: f"http://127.0.0.1:{port}" for port, service in enumerate(RHYTHMS, FIRST_PORT)}


def _target(text: str) -> tuple[str, str]:
    service, _, url = text.partition("=")
    if service not in RHYTHMS or not url.startswith("http"):
        raise argparse.ArgumentTypeError(f"{text!r} is not SERVICE=URL with SERVICE one of {', '.join(RHYTHMS)}")
    return service, url.rstrip("/")


def _limit(text: str) -> tuple[str, int]:
    service, _, limit = text.partition("=")
    if service not in RHYTHMS or not limit.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not SERVICE=BYTES with SERVICE one of {', '.join(RHYTHMS)}")
    return service, int(limit)


def _stoppable(text: str) -> Stoppable:
    pid, _, database = text.partition("=")
    if not pid.isdecimal() or int(pid) < 2:
        raise argparse.ArgumentTypeError(f"{text!r} is not PID or PID=FILE")
    return Stoppable(int(pid), Path(database) if database else None)


def _positive(text: str) -> float:
    number = float(text)
    if not 0 < number < 10_000:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 10000")
    return number


if __name__ == "__main__":
    sys.exit(main())
