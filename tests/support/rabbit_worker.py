"""A worker process with the RabbitMQ source, to be killed: prints the id of each batch that it stored.

`python -m tests.support.rabbit_worker URL`
"""

from __future__ import annotations

import asyncio
import sys

from pydantic import SecretStr

from processor.rabbit_source import RabbitSource
from processor.rabbit_source_settings import RabbitSourceSettings
from telemetry import Batch, Counters
from tests.support.doubles import RememberingAttempts
from tests.support.rabbit import QUICK


class PrintingConsumer:
    async def consume(self, batch: Batch) -> None:
        await asyncio.sleep(0.005)
        print(batch.batch_id.hex(), flush=True)


async def main(url: str) -> None:
    settings = RabbitSourceSettings(prefetch=8)
    await RabbitSource(settings, QUICK, SecretStr(url), PrintingConsumer(), RememberingAttempts(), Counters()).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
