"""Which messages are worked on alone, and which of them are given up: processes die, stop and are refused."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pika
import pytest

from processor.isolation import Isolation
from processor.rabbit_source_settings import RabbitSourceSettings
from processor.trials import Trials
from rabbitmq import Message
from telemetry import Counters, PermanentError, RetryableError
from tests.support.doubles import RememberingAttempts

SETTINGS = RabbitSourceSettings(lone_after_returns=2, max_lone_deaths=3, lone_pause_s=600)
NEW, BACK_ONCE = ({}, {"x-delivery-count": 1})
SUSPECT = {"x-delivery-count": 2}


class DiedError(BaseException):
    """The process is gone in the middle of an attempt."""


def message(body: bytes = b"one", headers: dict[str, int] | None = None, routing_key: str = "traces") -> Message:
    return Message(routing_key, pika.BasicProperties(headers=SUSPECT if headers is None else headers), body)


class Processes:
    """Processes one after the other, on one memory of attempts."""

    def __init__(self, **settings: float) -> None:
        self.settings = SETTINGS.model_copy(update=settings)
        self.attempts = RememberingAttempts()
        self.counters = Counters()
        self.start()

    def start(self) -> None:
        self.trials = Trials(self.settings, self.attempts, self.counters)

    async def store(self, one: Message, error: BaseException | None = None) -> None:
        async with self.trials.attempt(one):
            if error is not None:
                raise error

    async def die_of(self, one: Message, *, is_proved: bool) -> None:
        """Begin an attempt that nothing ends, in a process that stored another message before or not."""
        self.start()
        if is_proved:
            await self.store(message(b"another", NEW))
        attempt = self.trials.attempt(one)
        await attempt.__aenter__()
        self.attempts.errors = [RetryableError("gone")] * 100
        with suppress(DiedError):
            await attempt.__aexit__(DiedError, DiedError(), None)
        self.attempts.errors = []
        self.start()


async def test_a_message_that_processes_die_of_is_given_up_after_so_many() -> None:
    """Each of them had stored another message; the reason tells how many they were."""
    processes = Processes()
    for _ in range(3):
        await processes.die_of(message(), is_proved=True)
    await processes.store(message(b"another", NEW))
    with pytest.raises(PermanentError, match="3 processes ended"):
        await processes.store(message())
    await processes.store(message(b"a neighbour"))
    assert processes.counters.total("rabbit_source_lone_attempts") == 4


async def test_deaths_of_processes_that_stored_nothing_count_against_no_message() -> None:
    """A processor that cannot work dies of everything: once it can, all that it died of is stored."""
    processes = Processes(lone_pause_s=0)
    messages = [message(bytes([number])) for number in range(4)]
    for one in messages * 5:
        await processes.die_of(one, is_proved=False)
    for one in messages:
        await processes.store(one)
    assert not +processes.attempts.unended


async def test_a_process_waits_for_a_proof_before_it_tries_what_others_died_of() -> None:
    """Any other message of the same signal is one, and nothing else; what nobody died of is tried at once."""
    processes = Processes()
    await processes.die_of(message(), is_proved=False)
    with pytest.raises(RetryableError, match="1 so far: waiting up to 600 s"):
        await processes.store(message())
    await processes.store(message(b"logs", NEW, "logs"))
    with suppress(ValueError):
        await processes.store(message(b"a mistake", NEW), ValueError())
    with pytest.raises(RetryableError):
        await processes.store(message())
    await processes.store(message(b"another suspect"))
    await processes.store(message())


async def test_the_wait_for_a_proof_ends() -> None:
    """Where nothing else comes, a message that was in hand by chance must not wait for ever."""
    processes = Processes(lone_pause_s=0.05)
    await processes.die_of(message(), is_proved=False)
    async with asyncio.timeout(20):
        while True:
            with suppress(RetryableError):
                await processes.store(message())
                break
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    "error", [RetryableError("the database is away"), ZeroDivisionError(), asyncio.CancelledError()]
)
async def test_attempts_that_come_back_count_against_no_message(error: BaseException) -> None:
    """Refusals in an outage, mistakes of ours and stops in the middle, however many: it is stored in the end."""
    processes = Processes()
    await processes.store(message(b"another", NEW))
    for _ in range(10):
        with pytest.raises(type(error)):
            await processes.store(message(), error)
    await processes.store(message())
    assert not +processes.attempts.unended


async def test_an_end_that_cannot_be_noted_counts_once_at_most() -> None:
    """While the database is away, tries by one process are one attempt; those that cannot begin are none."""
    processes = Processes()
    await processes.store(message(b"another", NEW))
    for _ in range(10):
        with suppress(RetryableError):
            async with processes.trials.attempt(message()):
                processes.attempts.errors = [RetryableError("away")]
                raise RetryableError("away")
    assert max(processes.attempts.unended.values()) == 1
    await processes.store(message())
    assert not +processes.attempts.unended
    processes.attempts.errors = [RetryableError("away")]
    with pytest.raises(RetryableError, match="away"):
        await processes.store(message())


async def test_what_was_set_aside_starts_anew_when_it_is_replayed() -> None:
    """Forgetting it wipes the slate clean, whoever died of it and in what state."""
    processes = Processes(lone_pause_s=0)
    for is_proved in (True, False) * 3:
        await processes.die_of(message(), is_proved=is_proved)
    await processes.trials.forget(message())
    processes.settings = SETTINGS
    processes.start()
    await processes.store(message())


async def test_poison_stays_noted_until_it_is_set_aside() -> None:
    """If the process ends before that, the next one knows of the attempt."""
    processes = Processes()
    with pytest.raises(PermanentError):
        await processes.store(message(), PermanentError("unreadable"))
    assert max(processes.attempts.unended.values()) == 1
    await processes.trials.forget(message())
    assert not +processes.attempts.unended


@pytest.mark.parametrize("headers", [NEW, BACK_ONCE, {"x-delivery-count": "many"}, {"x-delivery-count": -3}])
async def test_most_messages_share_their_time_and_are_not_noted(headers: dict[str, int]) -> None:
    """New ones, and those that came back once, as after an ordinary restart."""
    processes = Processes()
    async with processes.trials.attempt(message(b"1", headers)), asyncio.timeout(5):
        await processes.store(message(b"2", headers))
    assert not processes.attempts.unended
    assert processes.counters.total("rabbit_source_lone_attempts") == 0


async def test_newer_brokers_tell_of_returns_in_another_header() -> None:
    """RabbitMQ 4.3 leaves the older count alone when a consumer ends."""
    processes = Processes()
    await processes.store(message(headers={"x-delivery-count": 0, "x-acquired-count": 2}))
    assert processes.counters.total("rabbit_source_lone_attempts") == 1


async def test_one_alone_waits_for_the_others_and_keeps_new_ones_away() -> None:
    """Nobody else is at work beside it; a second one that wants to be alone goes before those who do not."""
    isolation, seen, at_work = Isolation(), [], set()
    gates = {name: asyncio.Event() for name in ("first", "alone", "later", "second")}

    async def work(name: str, *, is_alone: bool) -> None:
        async with isolation.alone() if is_alone else isolation.together():
            at_work.add(name)
            seen.append(set(at_work))
            await gates[name].wait()
            at_work.remove(name)

    tasks = [asyncio.create_task(work("first", is_alone=False))]
    await asyncio.sleep(0)
    for name, is_alone in (("alone", True), ("later", False), ("second", True)):
        tasks.append(asyncio.create_task(work(name, is_alone=is_alone)))
        await asyncio.sleep(0)
    for name in ("first", "alone", "second", "later"):
        gates[name].set()
        for _ in range(10):
            await asyncio.sleep(0)
    await asyncio.gather(*tasks)
    assert seen == [{"first"}, {"alone"}, {"second"}, {"later"}]


async def test_who_gives_up_waiting_to_be_alone_holds_nobody_up() -> None:
    """A stop cancels the wait, and the others go on."""
    isolation = Isolation()

    async def be_alone() -> None:
        async with isolation.alone():
            raise AssertionError("never alone")

    async with isolation.together():
        waiting = asyncio.create_task(be_alone())
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        async with asyncio.timeout(5), isolation.together():
            pass
