"""Both carriers of forwarding, behind one face: RabbitMQ's queues, and the queue on disk behind the intake."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from otlp_exporter.component import build_disk_feeds, build_rabbit_feeds
from otlp_exporter.settings import ExporterSettings
from otlp_exporter.together import Together
from rabbitmq import ConfirmedPublisher, PublishLimits, RabbitSettings, message_of
from telemetry import Batch, Component, Consumer, Counters
from telemetry.queues import EXCHANGE, EXPORT_QUEUE_PREFIX
from tests.support.doubles import RecordingConsumer
from tests.support.rabbit import QUICK, RabbitView

LIMITS = PublishLimits(100, 10**8, 5)


class Carrier:
    """Starts forwarding to targets, and takes batches as a receiver would hand them on."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.counters = Counters()
        self.stored = RecordingConsumer()
        self.running: list[Component] = []
        self._made: list[str] = []

    async def start(self, *targets: dict[str, Any], **settings: Any) -> None:
        quick: dict[str, Any] = {"retry_min_s": 0.05, "retry_max_s": 0.2, "stop_grace_s": 0.5}
        quick |= {"own_process": False}  # but in the tests of that process: it takes a second to start
        made = ExporterSettings.model_validate({"targets": targets, **quick, **settings})
        self._made += [target.name for target in made.targets]
        for component in self._build(made):
            await component.start()
            self.running.append(component)

    async def stop(self) -> None:
        for component in reversed(self.running):
            await component.stop()
        self.running.clear()

    async def close(self) -> None:
        await self.stop()

    async def offer(self, batch: Batch) -> None:
        """Return when the batch is safe at the next stage."""
        raise NotImplementedError

    def gauge(self, name: str, target: str) -> float:
        found: Any = self.counters.gauges()
        return float(found[name, (("target", target),)])

    def _build(self, settings: ExporterSettings) -> list[Component]:
        raise NotImplementedError


class DiskCarrier(Carrier):
    _consumer: Consumer

    async def offer(self, batch: Batch) -> None:
        await self._consumer.consume(batch)

    def _build(self, settings: ExporterSettings) -> list[Component]:
        self._consumer, running = build_disk_feeds(settings, self.stored, self.counters, self.folder)
        return [*running]


class RabbitCarrier(Carrier):
    def __init__(self, folder: Path, view: RabbitView, settings: RabbitSettings = QUICK) -> None:
        super().__init__(folder)
        self.view = view
        self._settings = settings
        self.publisher = ConfirmedPublisher(view.url, settings, LIMITS, name="tests")

    async def offer(self, batch: Batch) -> None:
        await self.publisher.start()
        await self.publisher.publish(EXCHANGE, message_of(batch))

    async def close(self) -> None:
        await super().close()
        await self.publisher.stop()
        for name in self._made:
            self.view.delete_queue(EXPORT_QUEUE_PREFIX + name)

    def _build(self, settings: ExporterSettings) -> list[Component]:
        return [Together(build_rabbit_feeds(settings, self._settings, self.view.url, self.counters, self.folder))]


@pytest.fixture(params=["disk", "rabbitmq"])
async def carrier(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Carrier]:
    made: Carrier
    if request.param == "disk":
        made = DiskCarrier(tmp_path)
    else:
        view = RabbitView(request.getfixturevalue("rabbitmq").url)
        view.clear()
        made = RabbitCarrier(tmp_path, view)
    yield made
    await made.close()


@pytest.fixture
async def disk(tmp_path: Path) -> AsyncIterator[DiskCarrier]:
    made = DiskCarrier(tmp_path)
    yield made
    await made.close()
