"""What is declared, against a real broker."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pika import BasicProperties

from rabbitmq import ConfirmedPublisher, Connection, PublishLimits, RabbitLink, RabbitSettings, declare_topology
from rabbitmq.topology import dead_letter_arguments, processor_arguments
from telemetry import StartError
from telemetry.queues import DEAD_LETTER_QUEUE, PROCESSOR_QUEUE
from tests.support.rabbit import QUICK, RabbitView
from tests.support.waiting import eventually

LIMITS = PublishLimits(10, 1_000_000, 2.0)


def component(view: RabbitView, settings: RabbitSettings = QUICK) -> ConfirmedPublisher:
    return ConfirmedPublisher(view.url, settings, LIMITS, name="test")


async def test_declaring_again_changes_nothing(view: RabbitView) -> None:
    """A second component, and a second start, find everything as they would have made it."""
    first, second = component(view), component(view)
    await first.start()
    view.publish(b"kept", "traces")
    await second.start()
    await first.stop()
    await first.start()
    await first.stop()
    await second.stop()
    assert [body for _, _, body in view.take_all()] == [b"kept"]


async def test_a_broker_killed_at_once_keeps_the_first_message(rabbitmq: Any, view: RabbitView) -> None:
    """What was confirmed right after the very first start is there after RabbitMQ died, and so is the queue."""
    publisher = component(view, RabbitSettings())
    await publisher.start()
    view.publish(b"kept", "traces")
    await asyncio.to_thread(rabbitmq.kill)
    await asyncio.to_thread(rabbitmq.start)
    assert [body for _, _, body in view.take_all()] == [b"kept"]
    await publisher.stop()


async def test_who_comes_second_waits_as_well(view: RabbitView) -> None:
    """A component that starts while the queues of another one are new does not send to them before that one does."""
    settings = QUICK.model_copy(update={"new_queue_pause_s": 0.5})
    first, second = component(view, settings), component(view, settings)
    starting = asyncio.create_task(first.start())
    await eventually(lambda: view.exists(PROCESSOR_QUEUE))
    assert not starting.done()
    begun = asyncio.get_running_loop().time()
    await second.start()
    assert asyncio.get_running_loop().time() - begun >= 0.5
    await starting
    await first.stop()
    await second.stop()


@pytest.mark.parametrize("routing_key", ["traces", "metrics", "logs", "otlp_spans", "otlp_metrics", "otlp_logs"])
async def test_every_signal_reaches_the_processor(view: RabbitView, routing_key: str) -> None:
    """Our routing keys and those that a Collector uses when none is set are bound."""
    publisher = component(view)
    await publisher.start()
    view.publish(b"x", routing_key)
    assert len(view.take_all()) == 1
    await publisher.stop()


async def test_a_full_queue_refuses_and_drops_nothing(view: RabbitView) -> None:
    """Over the limit a publisher gets a nack, and what was confirmed before is still there."""
    settings = QUICK.model_copy(update={"queue_max_bytes": 1024**2})
    publisher = component(view, settings)
    await publisher.start()
    confirmed = 0
    while view.accepts(bytes(200_000)):
        confirmed += 1
        assert confirmed < 20
    assert len(view.take_all()) == confirmed >= 5
    await publisher.stop()


async def test_what_the_broker_itself_gives_up_becomes_a_dead_letter(view: RabbitView) -> None:
    """A consumer that rejects for good moves the message, with the broker's own account of it."""
    publisher = component(view)
    await publisher.start()
    view.publish(b"bad", "traces", BasicProperties(delivery_mode=2))
    with view.channel() as channel:
        method, _, _ = channel.basic_get(PROCESSOR_QUEUE)
        channel.basic_nack(method.delivery_tag, requeue=False)
    with view.channel() as channel:
        for _ in range(100):
            _, properties, body = channel.basic_get(DEAD_LETTER_QUEUE, auto_ack=True)
            if body is not None:
                break
            channel.connection.sleep(0.05)
    assert body == b"bad"
    assert properties.headers["x-death"][0]["reason"] == "rejected"
    await publisher.stop()


async def test_a_queue_of_other_arguments_stops_the_start_with_what_to_do(view: RabbitView) -> None:
    """RabbitMQ cannot change a queue, so the message names it and the two ways out."""
    first = component(view)
    await first.start()
    await first.stop()
    other = component(view, QUICK.model_copy(update={"queue_max_bytes": 2 * 1024**2}))
    with pytest.raises(
        StartError, match=r"x-max-length-bytes.*modelwatch\.processor.*MODELWATCH_RABBITMQ__.*delete_queue"
    ):
        await other.start()


async def test_a_user_without_rights_stops_the_start_with_what_to_do(view: RabbitView, rabbitmq: Any) -> None:
    """A refused declaration is not tried for half a minute."""
    rabbitmq.ctl("add_user", "poor", "secret-word")
    try:
        rabbitmq.ctl("set_permissions", "poor", "", ".*", ".*")
        url = rabbitmq.url.replace("guest:guest", "poor:secret-word")
        with pytest.raises(StartError, match="right to configure"):
            await component(RabbitView(url)).start()
    finally:
        rabbitmq.ctl("delete_user", "poor")


def test_redelivery_is_never_counted_against_a_message() -> None:
    """RabbitMQ 3 has no limit unless told of one; RabbitMQ 4 has one unless told -1."""
    for arguments in (processor_arguments, dead_letter_arguments):
        assert "x-delivery-limit" not in arguments(QUICK, "3.10.8")
        assert "x-delivery-limit" not in arguments(QUICK, "")
        assert arguments(QUICK, "4.1.2")["x-delivery-limit"] == -1


async def test_a_queue_from_before_rabbitmq_4_is_taken_as_it_is(view: RabbitView) -> None:
    """After an upgrade of the broker the old queue lacks the new argument, and still has to be drained by somebody."""
    publisher = component(view)
    await publisher.start()
    view.publish(b"kept", "traces")
    await publisher.stop()

    async def set_up(connection: Connection) -> None:
        await declare_topology(LooksLikeVersion4(connection), QUICK)  # type: ignore[arg-type]

    link = RabbitLink(view.url, QUICK, name="test", set_up=set_up, on_reconnect=lambda: None)
    await link.start()
    await link.stop()
    assert len(view.take_all()) == 1


class LooksLikeVersion4:
    """A real connection to a real broker, but for the version that it tells."""

    broker_version = "4.0.0"

    def __init__(self, connection: Connection) -> None:
        self.channel = connection.channel
