"""The rules for containers that are there from the start, on real containers that fall ill and recover."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from alerting.alerts import transition_of
from alerting.default_rules import DEFAULT_RULES
from alerting.states import Phase
from processor.component import build_metric_decoder
from processor.settings import ProcessorSettings
from storage.component import build_sqlite_history
from storage.settings import StorageSettings
from tests.container_stats.conftest import Watch
from tests.support.alert_world import AlertWorld
from tests.support.docker_engine import DockerEngine
from tests.support.doubles import ManualClock

RULES = {"high-cpu", "cpu-throttled", "high-memory", "restarting"}
QUICK = {"window_s": 12, "for_s": 2.0, "keep_firing_for_s": 1.0, "interval_s": 1}
WITHIN_S = 120
UNTIL_TOLD = "trap told=1 USR1"
IDLE = "sleep 100000"


class RealClock(ManualClock):
    """The clock of the machine, as the engine's figures are of its time."""

    def __call__(self) -> int:
        return time.time_ns()

    def advance(self, seconds: float) -> None:
        """Do nothing: time passes by itself."""


@pytest.mark.timeout(180)
async def test_each_of_them_fires_and_is_resolved(engine: DockerEngine, watching: Watch, tmp_path: Path) -> None:
    """With their thresholds as they came, and shorter times: a quota used up, memory filled, restarts by the engine."""
    history = build_sqlite_history(StorageSettings(), f"sqlite:///{tmp_path / 'modelwatch.db'}")
    await history.start()
    try:
        rules = [rule.model_copy(update=QUICK) for rule in DEFAULT_RULES if rule.rule_id in RULES]
        world = await AlertWorld(history, RealClock(), *rules).begin()
        decoder = build_metric_decoder(ProcessorSettings())
        async with watching(engine=engine.url) as watched:
            engine.run("busy", f"{UNTIL_TOLD}; while [ ! $told ]; do :; done; {IDLE}", NanoCpus=200_000_000)
            fill = "head -c 61000000 /dev/zero > /dev/shm/full"
            wait = "while [ ! $told ]; do sleep 1; done; rm /dev/shm/full"
            engine.run("full", f"{UNTIL_TOLD}; {fill}; {wait}; {IDLE}", Memory=64 * 1024 * 1024)
            engine.run("loop", "sleep 2; exit 3", RestartPolicy={"Name": "on-failure", "MaximumRetryCount": 3})
            seen, ends_s = 0, time.monotonic() + WITHIN_S
            fired: set[str] = set()
            resolved: set[str] = set()
            ill = {"busy": {"high-cpu", "cpu-throttled"}, "full": {"high-memory"}}
            while resolved != RULES and time.monotonic() < ends_s:
                for batch in watched.sent.batches[seen:]:
                    await world.commit(metrics=list(decoder.decode(batch.body, latest_ns=2**62).points))
                    seen += 1
                await world.round(1)
                past = await world.store.rounds.history(1_000)
                fired |= {row.rule_id for row in past if transition_of(row)[1].after == Phase.FIRING}
                resolved |= {row.rule_id for row in past if transition_of(row)[1].after == Phase.RESOLVED}
                for name in [name for name, rules in ill.items() if rules <= fired]:
                    engine.do(name, "kill", signal="USR1")  # it was ill for long enough, however slow the machine
                    del ill[name]
                await asyncio.sleep(1)
        assert (fired, resolved) == (RULES, RULES)
    finally:
        await history.stop()
