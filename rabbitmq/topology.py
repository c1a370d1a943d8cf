"""The exchanges, queues and bindings, declared by everyone who connects, in any order and as often as they like.

Names are in `telemetry/queues.py`; docs/adr/002 says why the arguments are what they are.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, Literal

import structlog

from rabbitmq.connection import Channel, Connection
from rabbitmq.errors import ACCESS_REFUSED, NOT_FOUND, PRECONDITION_FAILED, BrokerUnavailableError
from rabbitmq.message import ROUTING_KEYS
from rabbitmq.settings import RabbitSettings
from telemetry import StartError
from telemetry.queues import DEAD_LETTER_EXCHANGE, DEAD_LETTER_QUEUE, EXCHANGE, PROCESSOR_QUEUE

_log = structlog.get_logger(__name__)

_DELIVERY_LIMIT: Final = "x-delivery-limit"


async def declare_topology(connection: Connection, settings: RabbitSettings) -> None:
    """Declare everything, dead letters first, so that no queue points at what is missing.

    Raises `StartError` when something exists under the same name but otherwise, or may not be declared;
    `BrokerUnavailableError` when the connection goes.
    """
    version = connection.broker_version
    try:
        # Whoever comes while another one waits finds the queues, but no exchange.
        is_young = not await _exists(connection, "exchange", EXCHANGE)
        await _declare_exchange(connection, DEAD_LETTER_EXCHANGE, "fanout")
        is_young |= await declare_queue(connection, DEAD_LETTER_QUEUE, dead_letter_arguments(settings, version))
        await bind(connection, DEAD_LETTER_QUEUE, DEAD_LETTER_EXCHANGE, [""])
        is_young |= await declare_queue(connection, PROCESSOR_QUEUE, processor_arguments(settings, version))
        if is_young:
            await asyncio.sleep(settings.new_queue_pause_s)
        await _declare_exchange(connection, EXCHANGE, "topic")
        await bind(connection, PROCESSOR_QUEUE, EXCHANGE, ROUTING_KEYS)
    except BrokerUnavailableError as error:
        raise _explained(error) from error


def processor_arguments(settings: RabbitSettings, broker_version: str) -> dict[str, Any]:
    """Return the arguments of a queue that refuses when it is full and loses nothing on the way to the dead letters."""
    return {
        **quorum_arguments(broker_version),
        "x-max-length-bytes": settings.queue_max_bytes,
        "x-dead-letter-exchange": DEAD_LETTER_EXCHANGE,
        "x-dead-letter-strategy": "at-least-once",
    }


def dead_letter_arguments(settings: RabbitSettings, broker_version: str) -> dict[str, Any]:
    """Return the arguments of the queue that dead letters wait in until somebody looks at them."""
    return {**quorum_arguments(broker_version), "x-max-length-bytes": settings.dead_letter_max_bytes}


def quorum_arguments(broker_version: str) -> dict[str, Any]:
    """Return what all quorum queues have; the overflow is refused."""
    common: dict[str, Any] = {"x-queue-type": "quorum", "x-overflow": "reject-publish"}
    # A lost worker redelivers all that it had in hand: counting that would bury healthy messages. RabbitMQ 3 has no
    # limit unless told, and takes -1 for "at the first"; RabbitMQ 4 has a limit of 20 unless told -1 for "none".
    return {**common, _DELIVERY_LIMIT: -1} if _major_of(broker_version) >= 4 else common


async def _declare_exchange(connection: Connection, name: str, kind: str) -> None:
    async with channel_of(connection) as channel:
        await channel.call(channel.raw.exchange_declare, name, kind, durable=True)


async def declare_queue(connection: Connection, name: str, arguments: Mapping[str, Any]) -> bool:
    """Declare a durable queue, and tell whether it is new: RabbitMQ may lose a new quorum queue for a second yet.

    Raises `BrokerUnavailableError` with the broker's code when it exists otherwise.
    """
    is_new = not await _exists(connection, "queue", name)
    try:
        async with channel_of(connection) as channel:
            await channel.call(channel.raw.queue_declare, name, durable=True, arguments=dict(arguments))
    except BrokerUnavailableError as error:
        is_from_before = error.code == PRECONDITION_FAILED and f"'{_DELIVERY_LIMIT}'" in str(error)
        if not is_from_before or _DELIVERY_LIMIT not in arguments:
            raise
        # Made under RabbitMQ 3: refusing to start would leave nobody to drain it, so that it could be made anew.
        _log.warning(
            "the queue was made before RabbitMQ 4 and has its delivery limit: set the policy delivery-limit=-1 for it",
            queue=name,
        )
        await declare_queue(connection, name, {key: arguments[key] for key in arguments if key != _DELIVERY_LIMIT})
    return is_new


async def _exists(connection: Connection, kind: Literal["exchange", "queue"], name: str) -> bool:
    try:
        async with channel_of(connection) as channel:
            await channel.call(getattr(channel.raw, f"{kind}_declare"), name, passive=True)
    except BrokerUnavailableError as error:
        if error.code != NOT_FOUND:
            raise
        return False
    return True


async def bind(connection: Connection, queue: str, exchange: str, routing_keys: Iterable[str]) -> None:
    """Bind a queue to an exchange. Raises `BrokerUnavailableError`."""
    async with channel_of(connection) as channel:
        for routing_key in routing_keys:
            await channel.call(channel.raw.queue_bind, queue, exchange, routing_key)


@asynccontextmanager
async def channel_of(connection: Connection) -> AsyncIterator[Channel]:
    """A channel for one step: RabbitMQ closes it over a declaration that it refuses."""
    channel = await connection.channel(is_vital=False)
    try:
        yield channel
    except BaseException:
        channel.abandon()
        raise
    await channel.close()


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
