"""How long a search takes over a day of kept spans, how long one trace, and how large a record is.

Fifty services of ten routes, one request in fifty failed; `python -m benchmarks.traces 1000000` for more spans.
"""

from __future__ import annotations

import asyncio
import random
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any, Final

from storage.component import build_postgres_history, build_sqlite_history
from storage.history import SqlHistory
from storage.settings import StorageSettings
from storage.trace_ports import SpanFilter
from telemetry import KeptSpan
from tests.support import servers

SPANS: Final = 300_000
CHUNK: Final = 5_000
ROUNDS: Final = 7
DAY_S: Final = 86_400

Row = dict[str, Any]


def run(spans: int = SPANS) -> list[Row]:
    """Return milliseconds of each question on each database."""
    return asyncio.run(_run(spans))


async def _run(spans: int) -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bench.db"
        history = build_sqlite_history(StorageSettings(), f"sqlite:///{path}")
        rows = await _measure("SQLite", history, spans)
        rows.append({"database": "SQLite", "what": "bytes of a span", "figure": path.stat().st_size // spans})
    try:
        server = servers.postgres_server()
    except servers.MissingServerError:
        return rows
    try:
        server.start()
        return rows + await _measure(
            "PostgreSQL", build_postgres_history(StorageSettings(), server.fresh_database()), spans
        )
    finally:
        server.remove()


def _span(number: int, spans: int, end_s: int) -> KeptSpan:
    dice = random.Random(number)
    end_ns = end_s * 10**9 - number * DAY_S * 10**9 // spans
    return KeptSpan(
        start_s=end_ns // 10**9,
        end_ns=end_ns,
        trace_id=(number // 4).to_bytes(16, "big"),
        span_id=number.to_bytes(8, "big"),
        parent_span_id=b"",
        duration_ns=int(dice.lognormvariate(-2, 1) * 1e9),
        service_name=f"service-{number % 50}",
        service_version="1.4.0",
        service_instance_id=f"instance-{number % 200}",
        deployment_environment="production",
        model_name="churn",
        model_version="7",
        span_kind="SERVER",
        name="POST /predict",
        http_method="POST",
        http_route=f"/route/{dice.randrange(10)}",
        peer="",
        operation="",
        http_status_code=200,
        is_error=int(dice.random() < 0.02),
        kept_as="sample",
        detail=dice.randbytes(150),
    )


async def _measure(database: str, history: SqlHistory, spans: int) -> list[Row]:
    await history.start()
    try:
        end_s = int(time.time())
        began = time.perf_counter()
        for first in range(0, spans, CHUNK):
            batch = [_span(number, spans, end_s) for number in range(first, min(first + CHUNK, spans))]
            await history.commit([first.to_bytes(16, "big")], [], spans=batch)
        rows: list[Row] = [
            {"database": database, "what": "spans/s stored", "figure": round(spans / (time.perf_counter() - began))}
        ]
        day = SpanFilter(end_s - DAY_S, end_s + 1)
        one = replace(day, service_name="service-7")
        questions: dict[str, Callable[[], Awaitable[Any]]] = {
            "latest": lambda: history.find_spans(day, "time", 50),
            "latest of a service": lambda: history.find_spans(one, "time", 50),
            "latest errors": lambda: history.find_spans(replace(day, is_error=True), "time", 50),
            "errors of a service": lambda: history.find_spans(replace(one, is_error=True), "time", 50),
            "a route of a service": lambda: history.find_spans(replace(one, http_route="/route/3"), "time", 50),
            "longest": lambda: history.find_spans(day, "duration", 50),
            "longest of a service": lambda: history.find_spans(one, "duration", 50),
            "what nothing matches": lambda: history.find_spans(replace(day, http_route="/none"), "time", 50),
            "how many of a service": lambda: history.count_spans(one, 10_001),
            "one trace": lambda: history.trace((spans // 8).to_bytes(16, "big"), 2_000),
        }
        for what, ask in questions.items():
            taken = []
            for _ in range(ROUNDS):
                began = time.perf_counter()
                await ask()
                taken.append(1_000 * (time.perf_counter() - began))
            rows.append({"database": database, "what": f"{what}, ms", "figure": round(median(taken), 1)})
        return rows
    finally:
        await history.stop()


if __name__ == "__main__":
    for row in run(int(sys.argv[1]) if len(sys.argv) > 1 else SPANS):
        print(row)
