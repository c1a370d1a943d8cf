"""Going through the dead letters: look at each, and leave it, send it on its way again, or drop it.

Used by the command line. Letters are taken without being acknowledged, so that whatever is not decided, and whatever
was in hand when this process ended, is in the queue as before.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Final

import pika.exceptions
import pika.spec
from pika import BasicProperties
from pydantic import SecretStr

from rabbitmq.address import parameters_of
from rabbitmq.connection import Channel, Connection
from rabbitmq.errors import BrokerUnavailableError, unavailable
from rabbitmq.message import Message, live_letter_of, signal_of, whole_number
from rabbitmq.publisher import ConfirmedPublisher, PublishLimits
from rabbitmq.settings import RabbitSettings
from telemetry import PermanentError, RetryableError
from telemetry.batch import BATCH_ID_BYTES, batch_id_of
from telemetry.queues import DEAD_LETTER_QUEUE, ITEM_COUNT_HEADER, PROCESSOR_QUEUE, REASON_HEADER, RECEIVED_HEADER

_DEFAULT_EXCHANGE: Final = ""
"""Routes to the queue that the routing key names: what was forwarded to other backends is not forwarded again."""
_REPLAY_LIMITS: Final = PublishLimits(max_messages=1, max_bytes=1024**3, timeout_s=10.0)


class Fate(Enum):
    """What becomes of a letter."""

    KEEP = auto()
    REPLAY = auto()
    DROP = auto()


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that was set aside. `letter_id` is its batch id in hexadecimal, the same for equal requests."""

    letter_id: str
    signal: str
    reason: str
    item_count: int | None
    received_unix_nano: int | None
    body_bytes: int
    message: Message


async def go_through(
    url: SecretStr, settings: RabbitSettings, decide: Callable[[DeadLetter], Fate], max_letters: int
) -> int:
    """Ask `decide` about up to `max_letters` letters, oldest first, and do as it says; return how many there are.

    A replayed letter leaves the queue only when RabbitMQ has confirmed it on its way to the processors; replayed
    twice, its content counts once. Letters that come back while this runs are not looked at again. Raises
    `RetryableError` and `StartError`.
    """
    publisher = ConfirmedPublisher(url, settings, _REPLAY_LIMITS, name="modelwatch dead letters")
    await publisher.start()
    try:
        async with _channel(url, settings) as channel:
            count = await _count(channel)
            for _ in range(min(count, max_letters)):
                taken = await _take(channel)
                if taken is None:
                    break
                delivery_tag, message = taken
                letter = _letter_of(message)
                fate = decide(letter)
                if fate is Fate.REPLAY:
                    await publisher.publish(_DEFAULT_EXCHANGE, _for_the_processors(letter))
                if fate is not Fate.KEEP:
                    channel.raw.basic_ack(delivery_tag)
            return count
    finally:
        await publisher.stop()


@asynccontextmanager
async def _channel(url: SecretStr, settings: RabbitSettings) -> AsyncIterator[Channel]:
    """A channel whose end gives back what it was not told to keep; closing it waits until RabbitMQ has all that."""
    async with asyncio.timeout(settings.connect_timeout_s):
        connection = await Connection.open(parameters_of(url, settings, "modelwatch dead letters: reader"))
    try:
        channel = await connection.channel()
        yield channel
        await channel.close()
    finally:
        await connection.close(settings.stop_timeout_s)


async def _count(channel: Channel) -> int:
    declared = await channel.call(channel.raw.queue_declare, DEAD_LETTER_QUEUE, passive=True)
    return int(declared.method.message_count)


async def _take(channel: Channel) -> tuple[int, Message] | None:
    """Take the next letter and return it with its delivery tag, or nothing if there is none."""
    answered: asyncio.Future[tuple[int, Message] | None] = asyncio.get_running_loop().create_future()

    def on_letter(_: Any, method: pika.spec.Basic.GetOk, properties: BasicProperties, body: bytes) -> None:
        if not answered.done():
            answered.set_result((method.delivery_tag, Message(method.routing_key, properties, body)))

    def on_none(_: Any) -> None:
        if not answered.done():
            answered.set_result(None)

    channel.raw.add_callback(on_none, [pika.spec.Basic.GetEmpty])
    try:
        channel.raw.basic_get(DEAD_LETTER_QUEUE, on_letter)
    except pika.exceptions.AMQPError as error:
        raise unavailable(error) from error
    await asyncio.wait([answered, channel.closed], return_when=asyncio.FIRST_COMPLETED)  # type: ignore[type-var]
    if not answered.done():
        raise BrokerUnavailableError(str(channel.closed.result()))
    return answered.result()


def _for_the_processors(letter: DeadLetter) -> Message:
    """Return the message for their queue alone; its type says what its routing key, now the queue's, said before."""
    try:
        signal = signal_of(letter.message)
    except PermanentError as error:
        raise RetryableError(
            f"the letter {letter.letter_id[:12]} cannot be sent again, only dropped or kept: {error}"
        ) from error
    live = live_letter_of(letter.message)
    live.properties.type = signal.value
    return Message(PROCESSOR_QUEUE, live.properties, live.body)


def _letter_of(message: Message) -> DeadLetter:
    headers = message.properties.headers or {}
    try:
        signal = signal_of(message)
        name, letter_id = signal.value, batch_id_of(signal, message.body)
    except PermanentError:
        name, letter_id = "unknown", hashlib.blake2b(message.body, digest_size=BATCH_ID_BYTES).digest()
    return DeadLetter(
        letter_id.hex(),
        name,
        str(headers.get(REASON_HEADER) or _reason_of_broker(headers)),
        whole_number(headers.get(ITEM_COUNT_HEADER)),
        whole_number(headers.get(RECEIVED_HEADER)),
        len(message.body),
        message,
    )


def _reason_of_broker(headers: dict[str, Any]) -> str:
    """Say why RabbitMQ itself moved a message here, in its own word (`rejected`, `expired`, `delivery_limit`)."""
    deaths = headers.get("x-death")
    return f"RabbitMQ: {deaths[0].get('reason')}" if isinstance(deaths, list) and deaths else "not told"
