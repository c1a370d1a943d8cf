"""The window of confirms, the deliveries in hand, and the pauses: arithmetic without a broker."""

from __future__ import annotations

import random

import pytest

from rabbitmq.acks import Acks, InHand
from rabbitmq.backoff import pause_s
from rabbitmq.confirms import ConfirmWindow, Verdict
from rabbitmq.errors import BrokerRefusedError, BrokerUnavailableError


def settled(verdicts: list[Verdict]) -> list[str]:
    """Write each verdict as one word."""
    words: dict[type, str] = {type(None): "safe", BrokerRefusedError: "refused", BrokerUnavailableError: "lost"}
    return [words[type(verdict.result())] if verdict.done() else "open" for verdict in verdicts]


async def test_one_confirm_may_stand_for_many() -> None:
    """`multiple` settles every open tag up to its own, and a single one only itself, in any order."""
    window = ConfirmWindow(10, 1_000)
    verdicts = [window.add(None, 1) for _ in range(5)]
    window.take_confirm(4, is_multiple=False, is_ack=True)
    window.take_confirm(2, is_multiple=True, is_ack=True)
    assert settled(verdicts) == ["safe", "safe", "open", "safe", "open"]
    window.take_confirm(5, is_multiple=True, is_ack=False)
    assert settled(verdicts) == ["safe", "safe", "refused", "safe", "refused"]
    assert len(window) == 0


async def test_the_window_is_bounded_by_messages_and_by_bytes() -> None:
    """There is no room beyond either bound, but always for one message when nothing else is under way."""
    window = ConfirmWindow(2, 100)
    assert window.has_room(1_000)
    window.add(None, 60)
    assert window.has_room(40)
    assert not window.has_room(41)
    window.add(None, 10)
    assert not window.has_room(1)
    window.take_confirm(1, is_multiple=False, is_ack=True)
    assert window.has_room(90)


async def test_a_publisher_that_stops_waiting_leaves_its_message_in_the_window() -> None:
    """Its bytes are still on their way, so they still count; the late confirm is no error."""
    window = ConfirmWindow(1, 100)
    window.add(None, 1).cancel()
    assert not window.has_room(1)
    window.take_confirm(1, is_multiple=False, is_ack=True)
    assert window.has_room(1)


async def test_a_return_comes_before_its_confirm_and_counts_more() -> None:
    """RabbitMQ confirms what it could not route; the return has then already spoken."""
    window = ConfirmWindow(10, 100)
    verdicts = [window.add("a", 1), window.add("b", 1), window.add("a", 1)]
    window.take_return("a", "NO_ROUTE")
    window.take_confirm(3, is_multiple=True, is_ack=True)
    assert settled(verdicts) == ["refused", "safe", "refused"]


async def test_with_the_channel_every_open_message_is_lost() -> None:
    """Nothing stays waiting for a confirm that cannot come."""
    window = ConfirmWindow(10, 100)
    verdicts = [window.add(None, 1), window.add(None, 1)]
    window.take_confirm(1, is_multiple=False, is_ack=True)
    window.take_loss("gone")
    assert settled(verdicts) == ["safe", "lost"]
    assert len(window) == 0


def test_a_finished_prefix_is_acknowledged_at_once_and_the_rest_singly() -> None:
    """Whatever finished is acknowledged; nothing waits behind a slow delivery."""
    in_hand = InHand()
    for tag in range(1, 8):
        in_hand.add(tag)
    for tag in (1, 2, 3, 5, 7):
        in_hand.finish(tag)
    assert in_hand.take() == Acks(3, (5, 7))
    assert in_hand.take() == Acks(0, ())
    in_hand.finish(4)
    assert in_hand.take() == Acks(4, ())
    assert len(in_hand) == 1


@pytest.mark.parametrize("seed", range(20))
def test_acknowledgements_cover_exactly_what_finished(seed: int) -> None:
    """In any order of finishing, a broker that applies the frames forgets the finished deliveries and no other."""
    chance = random.Random(seed)
    in_hand, at_broker, running = InHand(), set[int](), set[int]()
    for tag in range(1, 200):
        in_hand.add(tag)
        at_broker.add(tag)
        running.add(tag)
        for done in chance.sample(sorted(running), k=min(len(running), chance.randrange(3))):
            in_hand.finish(done)
            running.discard(done)
        if chance.random() < 0.3:
            acks = in_hand.take()
            at_broker -= {one for one in at_broker if one <= acks.up_to} | set(acks.singles)
            assert at_broker == running
            assert len(in_hand) == len(running)


def test_pauses_double_up_to_the_longest_and_keep_at_least_their_half() -> None:
    """Half is fixed and half is chance."""
    assert [pause_s(attempt, 1, 10, lambda: 1.0) for attempt in range(6)] == [1, 2, 4, 8, 10, 10]
    assert [pause_s(attempt, 1, 10, lambda: 0.0) for attempt in range(6)] == [0.5, 1, 2, 4, 5, 5]
    assert pause_s(10_000, 1, 10, lambda: 1.0) == 10
