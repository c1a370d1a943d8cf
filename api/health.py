"""Is the process alive, is it ready, what has it counted: the answers for probes and for Prometheus.

Shared by the API and by `api/health_app.py`, which serves roles without one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Final

import structlog
from starlette.responses import JSONResponse, Response

from api.exposition.families import OPEN_METRICS_MEDIA_TYPE, TEXT_MEDIA_TYPE, Family, open_metrics_of, text_of
from api.figures import Scope, pipeline_document
from telemetry import Figures, ModelWatchError

Check = Callable[[], Awaitable[None]]
"""Returns when a dependency answers, raises when it does not."""
Checks = Mapping[str, Check]

CHECK_TIMEOUT_S: Final = 2.0

_log = structlog.get_logger(__name__)


def liveness() -> Response:
    """Answer that the process answers."""
    return JSONResponse({"status": "alive"})


async def readiness(checks: Checks, timeout_s: float) -> Response:
    """Run all checks at once; 503 when one fails or takes longer than `timeout_s`."""
    messages = await run_checks(checks, timeout_s)
    is_ready = not any(messages.values())
    document = {
        "status": "ready" if is_ready else "not_ready",
        "checks": {name: {"is_ok": not message, "message": message} for name, message in messages.items()},
    }
    return JSONResponse(document, 200 if is_ready else 503)


async def run_checks(checks: Checks, timeout_s: float) -> dict[str, str]:
    """Return by name what is wrong, in words that may be shown to anyone; nothing where nothing is."""
    messages = await asyncio.gather(*(_failure_of(name, check, timeout_s) for name, check in checks.items()))
    return dict(zip(checks, messages, strict=True))


async def _failure_of(name: str, check: Callable[[], Awaitable[None]], timeout_s: float) -> str:
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


def metrics(families: Iterable[Family], accept: str | None) -> Response:
    """Answer in OpenMetrics where the `Accept` header asks for it, as Prometheus does, else in text format 0.0.4."""
    if accept and "application/openmetrics-text" in accept:
        return Response(open_metrics_of(families), media_type=OPEN_METRICS_MEDIA_TYPE)
    return Response(text_of(families), media_type=TEXT_MEDIA_TYPE)


def pipeline(figures: Figures, scope: Scope = "process") -> Response:
    """Answer with the same figures as JSON."""
    return JSONResponse(pipeline_document(figures, scope))
