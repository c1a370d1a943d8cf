"""A process with an exporter, to be killed: prints the id of each batch that was acknowledged to it.

`python -m tests.support.spilling_exporter URL DATA_DIR FIRST_NUMBER`
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from pydantic import SecretStr

from rabbit_exporter.component import build
from rabbit_exporter.settings import RabbitExporterSettings
from telemetry import Counters
from tests.support.rabbit import QUICK, batch_number

SENDERS = 8


async def main(url: str, data_dir: Path, first: int) -> None:
    settings = RabbitExporterSettings(spill_segment_bytes=16_384, spill_after_s=0.2)
    exporter = build(settings, QUICK, SecretStr(url), Counters(), data_dir)
    await exporter.start()

    async def send(number: int) -> None:
        while True:
            batch = batch_number(number, spans=1 + number % 20)
            await exporter.consume(batch)
            print(batch.batch_id.hex(), flush=True)
            number += SENDERS
            await asyncio.sleep(0.005)  # some hundreds are enough, and somebody has to count them

    await asyncio.gather(*(send(first + offset) for offset in range(SENDERS)))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])))
