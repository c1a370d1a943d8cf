"""The queue of one forwarding target: bound beside the processors' to the same exchange, and never in their way.

It never refuses: over its length or age the oldest messages go, by way of a queue where whoever consumes the target's
counts them. So a target that takes nothing costs nobody a confirm.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

from rabbitmq.connection import Connection
from rabbitmq.errors import ACCESS_REFUSED, PRECONDITION_FAILED, BrokerUnavailableError
from rabbitmq.message import ROUTING_KEYS, Message
from rabbitmq.topology import bind, channel_of, declare_queue, quorum_arguments
from telemetry import Signal, StartError
from telemetry.queues import EXCHANGE, EXPORT_DROPPED_QUEUE, EXPORT_QUEUE_PREFIX

_DROPPED_MAX_BYTES: Final = 64 * 1024**2


@dataclass(frozen=True, slots=True)
class ExportQueueLimits:
    """Bytes and seconds beyond which the oldest go, and seconds without a consumer after which the queue goes."""

    max_bytes: int
    max_age_s: int
    expires_s: int


def export_queue_of(target: str) -> str:
    """Return the name of a target's queue."""
    return EXPORT_QUEUE_PREFIX + target


async def declare_export_queue(
    connection: Connection,
    target: str,
    signals: Collection[Signal],
    limits: ExportQueueLimits,
    *,
    new_queue_pause_s: float,
) -> None:
    """Declare it, wait while RabbitMQ may lose it, and bind it for these signals alone; the exchange must be there.

    Raises `StartError` when it exists otherwise, `BrokerUnavailableError` when the connection goes.
    """
    queue = export_queue_of(target)
    try:
        is_young = await declare_queue(connection, EXPORT_DROPPED_QUEUE, _DROPPED_ARGUMENTS)
        is_young |= await declare_queue(connection, queue, _arguments(limits, connection.broker_version))
        if is_young:
            await asyncio.sleep(new_queue_pause_s)
        await bind(connection, queue, EXCHANGE, [key for key, signal in ROUTING_KEYS.items() if signal in signals])
        async with channel_of(connection) as channel:
            for key, signal in ROUTING_KEYS.items():
                if signal not in signals:
                    await channel.call(channel.raw.queue_unbind, queue, EXCHANGE, key)
    except BrokerUnavailableError as error:
        if error.code == PRECONDITION_FAILED:
            raise StartError(
                f"{error}: a queue cannot change its limits; put those of target {target!r} back, let the queue drain "
                f"and delete it (rabbitmqctl delete_queue {queue}), or give the target another name"
            ) from error
        if error.code == ACCESS_REFUSED:
            raise StartError(
                f"{error}: give the user of MODELWATCH_BROKER_URL the right to configure modelwatch.*"
            ) from error
        raise


async def waiting_in(connection: Connection, queue: str) -> int:
    """Return how many messages of a queue are not handed out. Raises `BrokerUnavailableError`."""
    async with channel_of(connection) as channel:
        answer = await channel.call(channel.raw.queue_declare, queue, passive=True)
        return int(answer.method.message_count)


def drop_of(message: Message) -> tuple[str, str]:
    """Return the target whose queue dropped a message, and why: `full` or `expired`."""
    headers = message.properties.headers or {}
    deaths = headers.get("x-death")
    death = deaths[0] if isinstance(deaths, list) and deaths and isinstance(deaths[0], dict) else {}
    queue = str(death.get("queue", ""))
    return queue.removeprefix(EXPORT_QUEUE_PREFIX), "expired" if death.get("reason") == "expired" else "full"


_DROPPED_ARGUMENTS: Final[dict[str, Any]] = {
    "x-queue-type": "classic",
    "x-overflow": "drop-head",
    "x-max-length-bytes": _DROPPED_MAX_BYTES,
}


def _arguments(limits: ExportQueueLimits, broker_version: str) -> dict[str, Any]:
    return {
        **quorum_arguments(broker_version),
        "x-overflow": "drop-head",
        "x-max-length-bytes": limits.max_bytes,
        "x-message-ttl": limits.max_age_s * 1000,
        "x-expires": limits.expires_s * 1000,
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": EXPORT_DROPPED_QUEUE,
    }
