"""What the queue of a target that takes nothing costs whoever publishes to RabbitMQ: pairs of rounds, with and without.

Confirmed requests of 512 spans to the processors' quorum queue, and to that of the target when it is bound.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final

from benchmarks._requests import SPANS_PER_REQUEST
from otlp_exporter.component import build_rabbit_feeds
from otlp_exporter.settings import ExporterSettings
from rabbitmq import ConfirmedPublisher, PublishLimits, RabbitSettings, message_of
from telemetry import Batch, Counters
from telemetry.queues import EXCHANGE, EXPORT_QUEUE_PREFIX, PROCESSOR_QUEUE
from tests.support.ports import free_port
from tests.support.rabbit import RabbitView
from tests.support.servers import rabbitmq_server

PAIRS: Final = 6
WINDOW: Final = 64
TIMES: Final = 4
"""Each round publishes the requests so often, to last for a second."""
_LIMITS: Final = PublishLimits(WINDOW, 10**9, 60)


async def pairs_beside_a_bound_queue(batches: Sequence[Batch]) -> list[dict[str, Any]]:
    """Return the rates with and without, and the ratio of the pairs."""
    server = rabbitmq_server()
    server.start()
    try:
        view, settings = RabbitView(server.url), RabbitSettings()
        publisher = ConfirmedPublisher(view.url, settings, _LIMITS, name="benchmark")
        await publisher.start()
        await _published(publisher, view, batches)  # to warm up
        found: dict[bool, list[float]] = {False: [], True: []}
        for pair in range(PAIRS):
            for is_bound in (pair % 2 == 0, pair % 2 == 1):  # neither is always the second
                if is_bound:
                    await _bind_a_dead_target(view, settings)
                found[is_bound].append(await _published(publisher, view, batches))
                if is_bound:
                    view.delete_queue(f"{EXPORT_QUEUE_PREFIX}dead")
        await publisher.stop()
    finally:
        server.remove()
    ratios = sorted(beside / without for beside, without in zip(found[True], found[False], strict=True))
    name = "publishing to RabbitMQ"
    return [
        {"name": f"{name} alone", "value": median(found[False]), "unit": "spans/s"},
        {"name": f"{name} beside a dead target's queue", "value": median(found[True]), "unit": "spans/s"},
        *(
            {"name": f"{name} beside / alone, {which} of the pairs", "value": value, "unit": "x"}
            for which, value in (("median", median(ratios)), ("lowest", ratios[0]), ("highest", ratios[-1]))
        ),
    ]


async def _bind_a_dead_target(view: RabbitView, settings: RabbitSettings) -> None:
    target = {"name": "dead", "endpoint": f"http://localhost:{free_port()}"}
    exporter = ExporterSettings.model_validate({"targets": [target]})
    with tempfile.TemporaryDirectory() as folder:
        [feed] = build_rabbit_feeds(exporter, settings, view.url, Counters(), Path(folder))
        await feed.start()  # which declares the queue
        await feed.stop()


async def _published(publisher: ConfirmedPublisher, view: RabbitView, batches: Sequence[Batch]) -> float:
    """Publish all, and return spans per second until the last one is confirmed; the processors' queue is empty then."""
    window = asyncio.Semaphore(WINDOW)

    async def publish(batch: Batch) -> None:
        async with window:
            await publisher.publish(EXCHANGE, message_of(batch))

    began = time.perf_counter()
    await asyncio.gather(*map(publish, [*batches] * TIMES))
    rate = TIMES * len(batches) * SPANS_PER_REQUEST / (time.perf_counter() - began)
    with view.channel() as channel:
        channel.queue_purge(PROCESSOR_QUEUE)
    return rate
