"""Connecting, and connecting again."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest
from pydantic import SecretStr

from rabbitmq import Connection, RabbitLink, RabbitSettings
from telemetry import StartError
from tests.support.ports import free_port
from tests.support.rabbit import QUICK, RabbitView
from tests.support.waiting import eventually


async def set_up_nothing(connection: Connection) -> None:
    pass


def link(url: str, settings: RabbitSettings = QUICK, **options: Any) -> RabbitLink:
    chosen = {"name": "test", "set_up": set_up_nothing, "on_reconnect": lambda: None, **options}
    return RabbitLink(SecretStr(url), settings, **chosen)


async def test_start_stop_start_stop(view: RabbitView) -> None:
    """A link is open exactly between start and stop, both of which may be repeated."""
    one = link(view.url.get_secret_value())
    await one.stop()
    for _ in range(2):
        await one.start()
        await one.start()
        assert one.connection is not None
        await one.stop()
        await one.stop()
        assert one.connection is None


async def test_an_absent_broker_stops_the_start_and_the_message_hides_the_password() -> None:
    """After `start_timeout_s` one line says where nobody answers and what to set."""
    url = f"amqp://watcher:open-sesame@127.0.0.1:{free_port()}/some%2Fhost"
    with pytest.raises(StartError) as caught:
        await link(url, QUICK.model_copy(update={"start_timeout_s": 0.4})).start()
    message = str(caught.value)
    assert "amqp://watcher:***@127.0.0.1:" in message
    assert "some%2Fhost" in message
    assert "MODELWATCH_BROKER_URL" in message
    assert "open-sesame" not in message
    assert "\n" not in message


async def test_a_broker_that_takes_the_connection_and_says_nothing_stops_the_start() -> None:
    """The handshake is bounded too."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"amqp://guest:guest@127.0.0.1:{silent.getsockname()[1]}/"
        settings = QUICK.model_copy(update={"start_timeout_s": 1.0, "connect_timeout_s": 0.3})
        with pytest.raises(StartError, match="does not answer after 1 s"):
            await link(url, settings).start()


@pytest.mark.parametrize("url", ["redis://h/0", "amqp://h:se/cret@x:abc/", "", "amqp"])
async def test_an_unreadable_address_stops_the_start_and_is_not_repeated(url: str) -> None:
    """What cannot be parsed may hold a password anywhere."""
    with pytest.raises(StartError, match="MODELWATCH_BROKER_URL") as caught:
        await link(url).start()
    assert "cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("login", "vhost", "complaint"),
    [("guest:wrong-word", "%2F", "user or its password"), ("guest:guest", "no", "host")],
)
async def test_a_refused_login_stops_the_start_at_once(rabbitmq: Any, login: str, vhost: str, complaint: str) -> None:
    """Wrong credentials do not mend themselves, so nothing is tried again."""
    url = rabbitmq.url.replace("guest:guest", login).replace("%2F", vhost)
    with pytest.raises(StartError, match=f"{complaint}.*MODELWATCH_BROKER_URL") as caught:
        async with asyncio.timeout(5):
            await link(url).start()
    assert "wrong-word" not in str(caught.value)


async def test_a_cut_connection_comes_back_and_is_set_up_again(view: RabbitView, rabbitmq: Any) -> None:
    """Each loss leads to one new connection, set up like the first."""
    set_ups: list[Connection] = []
    recoveries: list[None] = []

    async def set_up(connection: Connection) -> None:
        set_ups.append(connection)

    one = link(view.url.get_secret_value(), set_up=set_up, on_reconnect=lambda: recoveries.append(None))
    await one.start()
    rabbitmq.ctl("close_all_connections", "a test")
    await eventually(lambda: len(set_ups) == 2 and one.connection is set_ups[1])
    assert len(recoveries) == 1
    await one.stop()


async def test_a_failing_set_up_is_tried_again_after_a_loss(view: RabbitView) -> None:
    """Even a mistake in it, which at the first start would be shown, does not end the recovery."""
    outcomes: list[Exception | None] = [None, ValueError("a mistake"), StartError("not now"), None]
    connections: list[Connection] = []

    async def set_up(connection: Connection) -> None:
        connections.append(connection)
        outcome = outcomes[len(connections) - 1]
        if outcome is not None:
            raise outcome

    one = link(view.url.get_secret_value(), set_up=set_up)
    await one.start()
    await connections[0].hang_up("a test")
    await eventually(lambda: len(connections) == 4 and one.connection is connections[3])
    await one.stop()


async def test_a_channel_that_the_broker_closes_takes_its_connection_along(view: RabbitView) -> None:
    """What was set up on it is no longer served, so the link begins again."""
    one = link(view.url.get_secret_value())
    await one.start()
    connection = one.connection
    assert connection is not None
    channel = await connection.channel()
    channel.raw.basic_publish("no such exchange", "x", b"")
    assert "NOT_FOUND" in str(await channel.closed)
    await eventually(lambda: one.connection not in (None, connection))
    await one.stop()


async def test_stop_is_bounded_when_the_broker_is_frozen(view: RabbitView, rabbitmq: Any) -> None:
    """A broker that does not answer the close is left behind after `stop_timeout_s`."""
    one = link(view.url.get_secret_value())
    await one.start()
    rabbitmq.freeze()
    async with asyncio.timeout(QUICK.stop_timeout_s + 1):
        await one.stop()
    rabbitmq.thaw()


async def test_stop_ends_a_reconnection_that_is_under_way(view: RabbitView, rabbitmq: Any) -> None:
    """Nothing goes on knocking after the stop."""
    one = link(view.url.get_secret_value())
    await one.start()
    connection = one.connection
    assert connection is not None
    rabbitmq.freeze()
    await connection.hang_up("a test")
    await asyncio.sleep(0.2)  # into the handshake that gets no answer
    async with asyncio.timeout(2):
        await one.stop()
    rabbitmq.thaw()
