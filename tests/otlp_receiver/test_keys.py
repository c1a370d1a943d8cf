"""Who may send: the ingest keys on both ports."""

from __future__ import annotations

import grpc
import pytest
from pydantic import SecretStr

from otlp_receiver.component import build
from otlp_receiver.credentials import Credentials
from otlp_receiver.errors import UnauthenticatedError
from otlp_receiver.settings import ReceiverSettings
from telemetry import Counters, StartError
from tests.otlp_receiver.conftest import GatedConsumer, StartReceiver
from tests.support.doubles import RecordingConsumer
from tests.support.otlp import server_spans, trace_request
from tests.support.otlp_senders import sender_of

BODY = trace_request(server_spans(3)).SerializeToString()
KEYS = (SecretStr("first-key"), SecretStr("schlüssel"), SecretStr("with space"))

GOOD = {
    "bearer": {"authorization": "Bearer first-key"},
    "bearer in lower case": {"authorization": "bearer first-key"},
    "own header": {"x-modelwatch-key": "first-key"},
    "another key": {"x-modelwatch-key": "with space"},
    "either of two": {"authorization": "Bearer other", "x-modelwatch-key": "first-key"},
}
BAD = {
    "nothing": {},
    "bearer of nothing": {"authorization": "Bearer"},
    "empty header": {"x-modelwatch-key": ""},
    "wrong key": {"x-modelwatch-key": "first-kez"},
    "prefix of a key": {"x-modelwatch-key": "first-ke"},
    "longer than a key": {"authorization": "Bearer first-key2"},
    "other scheme": {"authorization": "Basic first-key"},
    "key without scheme": {"authorization": "first-key"},
    "all keys at once": {"x-modelwatch-key": "first-key, with space"},
}


async def test_a_key_opens_both_ports(start_receiver: StartReceiver, consumer: GatedConsumer, transport: str) -> None:
    """Any of the keys, in either header, lets a request in."""
    sender = sender_of(transport, await start_receiver(ingest_keys=KEYS))
    for case, headers in GOOD.items():
        assert (await sender.send(BODY, headers)).is_success, case
    assert len(consumer.batches) == len(GOOD)


async def test_without_a_key_nothing_passes(
    start_receiver: StartReceiver, consumer: GatedConsumer, counters: Counters, transport: str
) -> None:
    """Everything else gets UNAUTHENTICATED or 401 and is counted; no key appears in the answer."""
    sender = sender_of(transport, await start_receiver(ingest_keys=KEYS))
    for case, headers in BAD.items():
        answer = await sender.send(BODY, headers)
        assert answer.has_code(grpc.StatusCode.UNAUTHENTICATED, 401), case
        assert not answer.is_retryable
        assert "first-key" not in answer.message
    assert consumer.batches == []
    assert counters.total("receiver_rejected_requests") == len(BAD)


async def test_keys_are_checked_before_the_body(start_receiver: StartReceiver, transport: str) -> None:
    """A stranger's oversize or malformed body is answered for the missing key, not for its content."""
    receiver = await start_receiver(ingest_keys=KEYS, max_request_bytes=1000)
    for body in (bytes(100_000), b"\xff"):
        answer = await sender_of(transport, receiver).send(body)
        assert answer.has_code(grpc.StatusCode.UNAUTHENTICATED, 401)


def test_keys_may_hold_any_text() -> None:
    """A key outside ASCII is compared like any other."""
    Credentials(KEYS).check({"x-modelwatch-key": "schlüssel"}.get)
    with pytest.raises(UnauthenticatedError):
        Credentials(KEYS).check({"x-modelwatch-key": "schlussel"}.get)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "receiver.example"])
def test_it_refuses_to_listen_off_loopback_without_keys(host: str) -> None:
    """Closed by default: one line names the setting that would open it."""
    settings = ReceiverSettings(host=host)
    with pytest.raises(StartError, match="MODELWATCH_INGEST_KEYS") as raised:
        build(settings, RecordingConsumer(), Counters())
    assert "\n" not in str(raised.value)
    build(settings, RecordingConsumer(), Counters(), KEYS)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_loopback_needs_no_keys(host: str) -> None:
    """On loopback the receiver may be built without any."""
    build(ReceiverSettings(host=host), RecordingConsumer(), Counters())


@pytest.mark.parametrize("key", ["", "  "])
def test_an_empty_key_is_refused(key: str) -> None:
    """A key that everybody knows is no key."""
    with pytest.raises(StartError, match="MODELWATCH_INGEST_KEYS"):
        build(ReceiverSettings(), RecordingConsumer(), Counters(), [SecretStr("good"), SecretStr(key)])
