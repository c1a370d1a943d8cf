"""Is the process alive, is it ready, what has it counted: the answers for probes and for Prometheus.

Shared by the API and by `api/health_app.py`, which serves roles without one.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import structlog
from starlette.responses import JSONResponse, PlainTextResponse, Response

from telemetry import Counters, ModelWatchError

Checks = Mapping[str, Callable[[], Awaitable[None]]]
"""By name, what returns when a dependency answers and raises when it does not."""

PROMETHEUS_MEDIA_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
CHECK_TIMEOUT_S: Final = 2.0

_log = structlog.get_logger(__name__)


def liveness() -> Response:
    """Answer that the process answers."""
    return JSONResponse({"status": "alive"})


async def readiness(checks: Checks, timeout_s: float) -> Response:
    """Run all checks at once; 503 when one fails or takes longer than `timeout_s`."""
    messages = await asyncio.gather(*(_failure_of(name, check, timeout_s) for name, check in checks.items()))
    document = {
        "status": "not_ready" if any(messages) else "ready",
        "checks": {
            name: {"is_ok": not message, "message": message} for name, message in zip(checks, messages, strict=True)
        },
    }
    return JSONResponse(document, 503 if any(messages) else 200)


async def _failure_of(name: str, check: Callable[[], Awaitable[None]], timeout_s: float) -> str:
    """Return what is wrong in words that may be shown to anyone, or nothing."""
    try:
        async with asyncio.timeout(timeout_s):
            await check()
    except TimeoutError:
        return f"no answer within {timeout_s:g} s"
    except ModelWatchError as error:
        return str(error) or type(error).__name__
    except Exception as error:
        # A driver's own message may quote an address with its password.
        _log.warning("readiness check failed", check=name, exc_info=error)
        return type(error).__name__
    return ""


def metrics(counters: Counters) -> Response:
    """Answer with all counters in Prometheus' text format."""
    return PlainTextResponse(prometheus_text(counters), media_type=PROMETHEUS_MEDIA_TYPE)


def prometheus_text(counters: Counters) -> str:
    """Return the counters as `modelwatch_<name>_total`, in Prometheus' text format 0.0.4."""
    samples: defaultdict[str, list[str]] = defaultdict(list)
    for (name, labels), value in sorted(counters.snapshot().items()):
        text = ",".join(f'{key}="{_escaped(label)}"' for key, label in labels)
        samples[f"modelwatch_{name}_total"].append(f"{{{text}}} {value}" if text else f" {value}")
    lines: list[str] = []
    for metric, values in samples.items():
        lines.append(f"# TYPE {metric} counter")
        lines += [metric + value for value in values]
    return "".join(line + "\n" for line in lines)


def _escaped(label: str) -> str:
    return label.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
