"""A receiver in a process of its own, in front of a consumer that takes a tenth of what comes.

`python -m tests.support.slow_receiver '{"max_in_flight_requests": 25}'` prints its ports as one line of JSON when it is
ready. At the first line on its standard input the consumer becomes quick; at the end of the input the process stops and
prints what became of all requests.
"""

from __future__ import annotations

import asyncio
import json
import sys

import structlog
import uvloop

from otlp_receiver.component import build
from otlp_receiver.settings import ReceiverSettings
from telemetry import Batch, Counters
from tests.support.waiting import eventually

REFUSALS_PER_BATCH = 9


class SlowConsumer:
    """Takes one batch for every nine requests that are refused meanwhile: ten times too much, on any machine."""

    def __init__(self, counters: Counters) -> None:
        self.batch_ids: list[str] = []
        self.is_quick = False
        self._counters = counters
        self._turn = asyncio.Lock()

    async def consume(self, batch: Batch) -> None:
        async with self._turn:
            await eventually(self._is_time_for_one_more, timeout_s=60, interval_s=0.002)
            self.batch_ids.append(batch.batch_id.hex())

    def _is_time_for_one_more(self) -> bool:
        return self.is_quick or self.refused >= REFUSALS_PER_BATCH * (len(self.batch_ids) + 1)

    @property
    def refused(self) -> int:
        return self._counters.total("receiver_refused_requests")


async def main(settings: ReceiverSettings) -> None:
    """Serve until the standard input ends."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    counters = Counters()
    consumer = SlowConsumer(counters)
    receiver = build(settings, consumer, counters)
    await receiver.start()
    print(json.dumps({"grpc_port": receiver.grpc_port, "http_port": receiver.http_port}), flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    consumer.is_quick = True
    await asyncio.to_thread(sys.stdin.read)
    await receiver.stop()
    print(json.dumps({"batch_ids": consumer.batch_ids, "refused_requests": consumer.refused}), flush=True)


if __name__ == "__main__":
    uvloop.run(main(ReceiverSettings.model_validate_json(sys.argv[1])))
