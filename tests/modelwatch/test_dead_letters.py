"""`modelwatch deadletters` at a real RabbitMQ."""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pika
import pytest
from pydantic import SecretStr

from modelwatch.dead_letter_desk import RabbitDeadLetters
from modelwatch.dead_letters import run
from modelwatch.settings import Settings
from rabbitmq import ConfirmedPublisher, Message, PublishLimits, dead_letter_of, message_of
from telemetry import RetryableError, StartError
from telemetry.queues import DEAD_LETTER_EXCHANGE, DEAD_LETTER_QUEUE, EXCHANGE
from tests.support.ports import free_port
from tests.support.rabbit import QUICK, RabbitView, batch_number


@pytest.fixture
async def view(rabbitmq: Any) -> RabbitView:
    """A broker with four dead letters: three batches and something that nobody can read."""
    view = RabbitView(rabbitmq.url)
    view.clear()
    publisher = ConfirmedPublisher(view.url, QUICK, PublishLimits(10, 10**6, 5), name="tests")
    await publisher.start()
    try:
        for number in range(3):
            reason = f"refused for test {number}"
            await publisher.publish(DEAD_LETTER_EXCHANGE, dead_letter_of(message_of(batch_number(number)), reason))
        strange = Message("no.signal", pika.BasicProperties(headers={"x-modelwatch-item-count": "many"}), b"\xff\x00")
        await publisher.publish(DEAD_LETTER_EXCHANGE, dead_letter_of(strange, "not OTLP"))
    finally:
        await publisher.stop()
    return view


@pytest.fixture
def settings(rabbitmq: Any) -> Settings:
    return Settings(broker_url=SecretStr(rabbitmq.url), rabbitmq=QUICK)


def command(settings: Settings, action: str, **options: Any) -> tuple[int, str]:
    out = io.StringIO()
    values = {"limit": 50, "json": False, "raw": None, "all": False, "id": []} | options
    return run(settings, argparse.Namespace(action=action, **values), out), out.getvalue()


def id_of(number: int) -> str:
    return batch_number(number).batch_id.hex()


# These run their own event loop, so the tests are plain functions; the fixture's loop is over by then.


def test_the_list_tells_what_each_letter_is_and_leaves_it(view: RabbitView, settings: Settings) -> None:
    """Oldest first, each with its id, signal, items and reason; afterwards all are there as before, in order."""
    for _ in range(2):
        code, text = command(settings, "list", json=True)
        letters = [json.loads(line) for line in text.splitlines()]
        assert code == 0
        assert [letter["id"] for letter in letters[:3]] == [id_of(number) for number in range(3)]
        assert letters[1] | {"routing_key": "traces"} == {
            "id": id_of(1),
            "signal": "traces",
            "items": 1,
            "body_bytes": len(batch_number(1).body),
            "received": "1970-01-01T00:00:00Z",
            "routing_key": "traces",
            "reason": "refused for test 1",
        }
        assert (letters[3]["signal"], letters[3]["items"], letters[3]["reason"]) == ("unknown", None, "not OTLP")
    code, text = command(settings, "list", limit=2)
    assert text.startswith("4 dead letters, the oldest 2 of them\n")
    assert text.count("\n") == 3
    assert view.waiting(DEAD_LETTER_QUEUE) == 4


def test_show_prints_the_content_or_saves_its_bytes(view: RabbitView, settings: Settings, tmp_path: Path) -> None:
    """What can be read is JSON, the rest is shown as bytes; `--raw` gives the request as it came."""
    code, text = command(settings, "show", id=id_of(2)[:8])
    assert code == 0
    assert "refused for test 2" in text
    assert '"resourceSpans"' in text
    path = tmp_path / "letter.bin"
    assert command(settings, "show", id=id_of(2), raw=str(path)) == (0, "")
    assert path.read_bytes() == batch_number(2).body
    unreadable = json.loads(command(settings, "list", json=True)[1].splitlines()[3])["id"]
    assert "ff 00" in command(settings, "show", id=unreadable)[1]
    assert command(settings, "show", id="ffffff")[0] == 1
    assert view.waiting(DEAD_LETTER_QUEUE) == 4


def test_replay_sends_the_named_letters_as_they_came(view: RabbitView, settings: Settings) -> None:
    """They are on the processors' queue without the reason, and nowhere else; the others stay."""
    assert command(settings, "replay", id=[id_of(0)[:10], id_of(2)]) == (0, "2 sent again\n")
    taken = view.take_all()
    assert [body for _, _, body in taken] == [batch_number(0).body, batch_number(2).body]
    first, found = message_of(batch_number(0)).properties, taken[0][1]
    headers = {name: value for name, value in found.headers.items() if name != "x-delivery-count"}  # RabbitMQ's own
    assert (headers, found.message_id, found.type) == (first.headers, first.message_id, first.type)
    left = [json.loads(line)["id"] for line in command(settings, "list", json=True)[1].splitlines()]
    assert left[0] == id_of(1)
    assert len(left) == 2


def test_a_replayed_letter_goes_to_the_processors_alone(view: RabbitView, settings: Settings) -> None:
    """A queue beside theirs, as forwarding has one for each target, got the batch when it came, and gets it once."""
    with view.channel() as channel:
        channel.queue_declare("test.beside")
        channel.queue_bind("test.beside", EXCHANGE, "#")
    try:
        assert command(settings, "replay", id=[id_of(0)]) == (0, "1 sent again\n")
        assert view.waiting("test.beside") == 0
        assert len(view.take_all()) == 1
    finally:
        view.delete_queue("test.beside")


def test_a_letter_of_the_collector_says_its_signal_by_its_routing_key(view: RabbitView, settings: Settings) -> None:
    """Its messages have no type: replayed, past the exchange, they carry one."""
    body = batch_number(7).body
    with view.channel() as channel:
        channel.basic_publish(DEAD_LETTER_EXCHANGE, "otlp_spans", body, pika.BasicProperties(delivery_mode=2))
    assert command(settings, "replay", id=[id_of(7)]) == (0, "1 sent again\n")
    [(_, properties, found)] = view.take_all()
    assert (properties.type, found) == ("traces", body)


def test_a_letter_without_a_way_stays(view: RabbitView, settings: Settings) -> None:
    """What no queue takes is not acknowledged: it is a dead letter still, and the command says why it stopped."""
    with pytest.raises(StartError, match="names a signal"):
        command(settings, "replay", all=True)
    assert view.waiting(DEAD_LETTER_QUEUE) == 1
    assert len(view.take_all()) == 3


def test_drop_deletes_for_good(view: RabbitView, settings: Settings) -> None:
    """Only what was named; then everything."""
    assert command(settings, "drop", id=[id_of(1)]) == (0, "1 dropped\n")
    assert command(settings, "drop", id=[id_of(1)])[0] == 1
    assert view.waiting(DEAD_LETTER_QUEUE) == 3
    assert command(settings, "drop", all=True) == (0, "3 dropped\n")
    assert command(settings, "list") == (0, "0 dead letters\n")
    assert view.take_all() == []


@pytest.mark.parametrize("options", [{}, {"all": True, "id": ["abcdef"]}, {"id": ["abc"]}])
def test_what_is_meant_must_be_said(settings: Settings, options: dict[str, Any]) -> None:
    """Neither ids nor `--all`, both at once, or an id too short to mean one, is refused before any is touched."""
    with pytest.raises(StartError):
        command(settings, "drop", **options)


def test_without_a_broker_one_line_says_what_to_set(tmp_path: Path) -> None:
    """On the command line a mistake ends with a code and no traceback."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MODELWATCH_")}
    unreachable = {
        "MODELWATCH_BROKER_URL": f"amqp://guest:hush@127.0.0.1:{free_port()}/",
        "MODELWATCH_RABBITMQ__START_TIMEOUT_S": "0.3",
    }
    for variables in ({}, unreachable):
        ended = subprocess.run(
            [sys.executable, "-m", "modelwatch", "deadletters", "list"],
            env=clean | variables,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (ended.returncode, ended.stdout) == (2, "")
        assert "MODELWATCH_BROKER_URL" in ended.stderr
        assert "hush" not in ended.stderr
        assert ended.stderr.count("\n") == 1


async def test_the_desk_of_the_page_lists_and_sends_again(view: RabbitView, settings: Settings) -> None:
    """The oldest first, as the command line does; one by its id, then all; nothing is lost on the way."""
    assert settings.broker_url is not None
    desk = RabbitDeadLetters(settings.broker_url, settings.rabbitmq)
    count, listed = await desk.letters(2)
    assert count == 4
    assert [letter.letter_id for letter in listed] == [id_of(0), id_of(1)]
    assert (listed[0].signal, listed[0].reason) == ("traces", "refused for test 0")
    assert await desk.replay(id_of(1)) == 1
    assert [letter.letter_id for letter in (await desk.letters(9))[1]][:2] == [id_of(0), id_of(2)]
    assert await desk.replay("f" * 32) == 0
    assert await desk.replay(None) == 2
    count, (strange,) = await desk.letters(9)
    assert (count, strange.reason) == (1, "not OTLP")
    with pytest.raises(RetryableError, match="cannot be sent again"):
        await desk.replay(strange.letter_id)
