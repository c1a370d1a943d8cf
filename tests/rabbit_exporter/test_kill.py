"""An exporter that is killed again and again while it spills."""

from __future__ import annotations

import random
import re
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from rabbit_exporter.component import build
from rabbit_exporter.settings import RabbitExporterSettings
from rabbitmq import Message, batch_of
from telemetry import Counters
from tests.support.doubles import ManualClock
from tests.support.ports import free_port
from tests.support.processes import RunningProcess
from tests.support.rabbit import QUICK, RabbitView
from tests.support.waiting import eventually

_ID = re.compile(r"^[0-9a-f]{32}$", re.MULTILINE)


@pytest.mark.parametrize("is_broker_there", [False, True])
async def test_nothing_acknowledged_is_lost_when_the_process_is_killed(
    view: RabbitView, rabbitmq: Any, tmp_path: Path, is_broker_there: bool
) -> None:
    """Whatever it was doing, and whether its broker was away or frozen: each id that it printed reaches the queue."""
    seed = time.time_ns()
    print(f"seed {seed}")
    chance = random.Random(seed)
    nowhere = f"amqp://guest:guest@127.0.0.1:{free_port()}/%2F"
    acknowledged = set[str]()
    for attempt in range(3):
        log = tmp_path / f"{attempt}.log"
        url = view.url.get_secret_value() if is_broker_there else nowhere
        arguments = [url, str(tmp_path / "data"), str(attempt * 10**6)]
        process = RunningProcess([sys.executable, "-m", "tests.support.spilling_exporter", *arguments], {}, log)
        await eventually(lambda log=log: len(_ID.findall(log.read_text())) > 50, timeout_s=30)
        if is_broker_there:
            rabbitmq.freeze()
            await eventually(lambda log=log: "go to the spill" in log.read_text(), timeout_s=30)
        time.sleep(chance.uniform(0, 0.3))  # noqa: ASYNC251  # the moment is to be any
        process.kill()
        rabbitmq.thaw()
        acknowledged.update(_ID.findall(log.read_text()))
    counters = Counters()
    one = build(RabbitExporterSettings(), QUICK, view.url, counters, tmp_path / "data")
    await one.start()
    try:
        await eventually(lambda: not counters.gauges()["spill_batches", (("signal", "traces"),)], timeout_s=30)
    finally:
        await one.stop()
    clock = ManualClock()
    messages = [Message(got.routing_key, properties, body) for got, properties, body in view.take_all()]
    assert {batch_of(message, clock).batch_id.hex() for message in messages} >= acknowledged
    assert counters.total("spill_quarantined_records") == 0
    assert counters.total("spill_recovered_batches") == counters.total("spill_drained_batches")
    assert len(acknowledged) > 150
