"""The exchanges, queues and bindings, declared by everyone who connects, in any order and as often as they like.

Names are in `telemetry/queues.py`; docs/adr/002 says why the arguments are what they are.
"""

from __future__ import annotations

from typing import Any

from rabbitmq.connection import Connection
from rabbitmq.errors import ACCESS_REFUSED, PRECONDITION_FAILED, BrokerUnavailableError
from rabbitmq.message import ROUTING_KEYS
from rabbitmq.settings import RabbitSettings
from telemetry import StartError
from telemetry.queues import DEAD_LETTER_EXCHANGE, DEAD_LETTER_QUEUE, EXCHANGE, PROCESSOR_QUEUE


async def declare_topology(connection: Connection, settings: RabbitSettings) -> None:
    """Declare everything on a channel of its own, dead letters first, so that no queue points at what is missing.

    Raises `StartError` when something exists under the same name but otherwise, or may not be declared;
    `BrokerUnavailableError` when the connection goes.
    """
    channel = await connection.channel()
    raw = channel.raw
    version = connection.broker_version
    try:
        await channel.call(raw.exchange_declare, DEAD_LETTER_EXCHANGE, "fanout", durable=True)
        arguments = dead_letter_arguments(settings, version)
        await channel.call(raw.queue_declare, DEAD_LETTER_QUEUE, durable=True, arguments=arguments)
        await channel.call(raw.queue_bind, DEAD_LETTER_QUEUE, DEAD_LETTER_EXCHANGE)
        await channel.call(raw.exchange_declare, EXCHANGE, "topic", durable=True)
        arguments = processor_arguments(settings, version)
        await channel.call(raw.queue_declare, PROCESSOR_QUEUE, durable=True, arguments=arguments)
        for routing_key in ROUTING_KEYS:
            await channel.call(raw.queue_bind, PROCESSOR_QUEUE, EXCHANGE, routing_key)
    except BrokerUnavailableError as error:
        raise _explained(error) from error
    await channel.close()


def processor_arguments(settings: RabbitSettings, broker_version: str) -> dict[str, Any]:
    """Return the arguments of a queue that refuses when it is full and loses nothing on the way to the dead letters."""
    return {
        **_quorum_arguments(broker_version),
        "x-max-length-bytes": settings.queue_max_bytes,
        "x-dead-letter-exchange": DEAD_LETTER_EXCHANGE,
        "x-dead-letter-strategy": "at-least-once",
    }


def dead_letter_arguments(settings: RabbitSettings, broker_version: str) -> dict[str, Any]:
    """Return the arguments of the queue that dead letters wait in until somebody looks at them."""
    return {**_quorum_arguments(broker_version), "x-max-length-bytes": settings.dead_letter_max_bytes}


def _quorum_arguments(broker_version: str) -> dict[str, Any]:
    common = {"x-queue-type": "quorum", "x-overflow": "reject-publish"}
    # A lost worker redelivers all that it had in hand: counting that would bury healthy messages. RabbitMQ 3 has no
    # limit unless told, and takes -1 for "at the first"; RabbitMQ 4 has a limit of 20 unless told -1 for "none".
    return {**common, "x-delivery-limit": -1} if _major_of(broker_version) >= 4 else common


def _major_of(broker_version: str) -> int:
    major = broker_version.partition(".")[0]
    return int(major) if major.isdecimal() else 0


def _explained(error: BrokerUnavailableError) -> Exception:
    if error.code == PRECONDITION_FAILED:
        return StartError(
            f"{error}: the queue or exchange exists with other arguments; put the MODELWATCH_RABBITMQ__ settings back, "
            "or let the queue drain and delete it (rabbitmqctl delete_queue NAME), and start again"
        )
    if error.code == ACCESS_REFUSED:
        return StartError(f"{error}: give the user of MODELWATCH_BROKER_URL the right to configure modelwatch.*")
    return error
