"""Who may send: the ingest keys on both ports."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path

import grpc
import grpc.aio
import httpx
import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from otlp_receiver import watched_files
from otlp_receiver.component import OtlpReceiver, build
from otlp_receiver.credentials import Credentials
from otlp_receiver.errors import UnauthenticatedError
from otlp_receiver.key_file import parse_keys
from otlp_receiver.settings import ReceiverSettings
from otlp_receiver.signals import ROUTES, SignalRoute
from otlp_receiver.watched_files import WatchedFiles
from telemetry import Counters, StartError
from tests.otlp_receiver.conftest import GatedConsumer, StartReceiver
from tests.support.doubles import RecordingConsumer
from tests.support.otlp import server_spans, trace_request
from tests.support.otlp_senders import PROTOBUF, sender_of
from tests.support.waiting import eventually

BODY = trace_request(server_spans(3)).SerializeToString()
KEYS = (SecretStr("first-key"), SecretStr("schlüssel"), SecretStr("with space"), SecretStr("voilà"))

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


async def code_without_body(transport: str, receiver: OtlpReceiver, route: SignalRoute, headers: dict[str, str]) -> str:
    """Announce a request with these headers, send nothing of its body, and return the answer's code."""
    if transport == "grpc":
        async with grpc.aio.insecure_channel(f"127.0.0.1:{receiver.grpc_port}") as channel:
            call = channel.stream_unary(route.grpc_method)(metadata=tuple(headers.items()), timeout=5)
            return (await call.code()).name
    reader, writer = await asyncio.open_connection("127.0.0.1", receiver.http_port)
    lines = [f"POST {route.http_path} HTTP/1.1", "Host: x", f"Content-Type: {PROTOBUF}", "Content-Length: 1000000"]
    lines += [f"{name.upper()}: {value}" for name, value in headers.items()]
    writer.write("\r\n".join([*lines, "", ""]).encode())
    status = (await asyncio.wait_for(reader.readline(), 5)).split()[1].decode()
    writer.close()
    return status


async def code_of_empty(transport: str, receiver: OtlpReceiver, route: SignalRoute, headers: dict[str, str]) -> str:
    """Send a request without items, and return the answer's code."""
    if transport == "grpc":
        async with grpc.aio.insecure_channel(f"127.0.0.1:{receiver.grpc_port}") as channel:
            call = channel.unary_unary(route.grpc_method)(b"", metadata=tuple(headers.items()), timeout=5)
            return (await call.code()).name
    async with httpx.AsyncClient() as client:
        url = f"http://127.0.0.1:{receiver.http_port}{route.http_path}"
        response = await client.post(url, content=b"", headers={"content-type": PROTOBUF} | headers)
    return str(response.status_code)


async def test_every_door_asks_for_the_key_before_it_reads(
    start_receiver: StartReceiver, tmp_path: Path, transport: str
) -> None:
    """For each signal, whoever has no key in force is told so while the body is still to come; a good key passes."""
    path = tmp_path / "keys"
    path.write_text("old-key")
    receiver = await start_receiver(ingest_keys=KEYS[:1], ingest_keys_file=path)
    path.write_text("new-key")
    await eventually(lambda: is_let_in(receiver, transport, "new-key"))
    refused = {
        "none": {},
        "wrong": "other-key",
        "empty": "",
        "prefix": "new-ke",
        "longer": "new-key1",
        "old": "old-key",
    }
    for route, (case, key) in itertools.product(ROUTES, refused.items()):
        for headers in ({"x-modelwatch-key": key}, {"authorization": f"Bearer {key}"}) if case != "none" else ({},):
            code = await code_without_body(transport, receiver, route, headers)
            assert code in ("UNAUTHENTICATED", "401"), (route.signal, case)
    for route, key in itertools.product(ROUTES, ("first-key", "new-key")):
        for headers in ({"x-modelwatch-key": key}, {"authorization": f"Bearer {key}"}):
            assert await code_of_empty(transport, receiver, route, headers) in ("OK", "200"), route.signal


async def is_let_in(receiver: OtlpReceiver, transport: str, key: str) -> bool:
    return (await sender_of(transport, receiver).send(b"", {"x-modelwatch-key": key})).is_success


async def test_keys_are_renewed_without_a_restart(
    start_receiver: StartReceiver, tmp_path: Path, transport: str
) -> None:
    """Within two seconds a key added to the file counts and one removed does not; the others count all the time."""
    path = tmp_path / "keys"
    path.write_text("key-a,key-b")
    receiver = await start_receiver(ingest_keys=(SecretStr("fixed"),), ingest_keys_file=path)
    assert await is_let_in(receiver, transport, "key-a")
    assert not await is_let_in(receiver, transport, "key-c")
    path.write_text("key-c,key-b")

    async def is_renewed() -> bool:
        assert await is_let_in(receiver, transport, "key-b")
        assert await is_let_in(receiver, transport, "fixed")
        return await is_let_in(receiver, transport, "key-c") and not await is_let_in(receiver, transport, "key-a")

    await eventually(is_renewed, timeout_s=2)


async def test_a_file_put_in_the_place_of_another_counts(start_receiver: StartReceiver, tmp_path: Path) -> None:
    """Keys are renewed as well when a link is turned to another file, as orchestrators do with mounted secrets."""
    for name in ("one", "two"):
        (tmp_path / name).write_text(f"key-{name}")
    (tmp_path / "keys").symlink_to("one")
    receiver = await start_receiver(ingest_keys_file=tmp_path / "keys")
    (tmp_path / "next").symlink_to("two")
    (tmp_path / "next").rename(tmp_path / "keys")
    await eventually(lambda: is_let_in(receiver, "http", "key-two"), timeout_s=2)
    assert not await is_let_in(receiver, "http", "key-one")


async def test_a_spoilt_file_leaves_the_keys_in_force(
    start_receiver: StartReceiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that is emptied or removed closes nobody out and lets nobody in; it is one error in the log each time."""
    monkeypatch.setattr(watched_files, "POLL_S", 0.02)
    path = tmp_path / "keys"
    path.write_text("the-key")
    receiver = await start_receiver(ingest_keys_file=path)

    def errors() -> int:
        return sum(entry["log_level"] == "error" for entry in logs)

    with capture_logs() as logs:
        for spoil in (lambda: path.write_text("# none today\n"), path.unlink):
            already = errors()
            spoil()
            await eventually(lambda seen=already: errors() > seen)
            await asyncio.sleep(0.2)  # ten more looks, to see that they are silent
            assert errors() == already + 1
            assert await is_let_in(receiver, "http", "the-key")
            assert not await is_let_in(receiver, "http", "")
            path.write_text("the-key")
            await asyncio.sleep(0.2)
        path.write_text("another")
        await eventually(lambda: is_let_in(receiver, "http", "another"))
    assert "the-key" not in str(logs)
    assert "another" not in str(logs)


async def test_a_file_is_taken_up_when_it_has_settled(tmp_path: Path) -> None:
    """What a file holds while it is being written is not taken up: half a key is no key."""
    path = tmp_path / "keys"
    path.write_text("x")
    taken: list[bytes] = []
    watched = WatchedFiles({"SETTING": path}, lambda contents: taken.extend(contents))
    await watched.start()
    for length in range(2, 30):
        path.write_text("x" * length)
        await asyncio.sleep(0.05)
    await eventually(lambda: len(taken) == 2)
    await watched.stop()
    assert taken == [b"x", b"x" * 29]


@pytest.mark.parametrize("content", [None, b"", b"\n , \n", b"# first-key\n  # other", b"\xff\xfe", bytes(2_000_000)])
async def test_a_file_without_keys_stops_the_start(content: bytes | None, tmp_path: Path) -> None:
    """One line names the setting and the file, whether it is missing, empty, no text or no list of keys at all."""
    path = tmp_path / "keys"
    if content is not None:
        path.write_bytes(content)
    receiver = build(ReceiverSettings(), RecordingConsumer(), Counters(), KEYS, ingest_keys_file=path)
    with pytest.raises(StartError, match=f"^MODELWATCH_INGEST_KEYS_FILE: {path} ") as raised:
        await receiver.start()
    assert "\n" not in str(raised.value)


async def test_each_start_reads_the_file_anew(start_receiver: StartReceiver, tmp_path: Path) -> None:
    """After a stop and a start the keys are those that the file holds then."""
    path = tmp_path / "keys"
    path.write_text("before")
    receiver = await start_receiver(ingest_keys_file=path)
    await receiver.stop()
    path.write_text("after")
    await receiver.start()
    assert await is_let_in(receiver, "http", "after")
    assert not await is_let_in(receiver, "http", "before")


def test_keys_in_a_file_are_separated_by_commas_or_line_ends() -> None:
    """Blank lines and comments do not count; a `#` inside a key does."""
    content = "\ufeff# keys of the shop\r\none, two\n\n  three  # until May, then four\n#five\nsix#6,seven words\n"
    keys = parse_keys(Path("keys"), content.encode())
    assert [key.get_secret_value() for key in keys] == ["one", "two", "three", "six#6", "seven words"]


def test_blanks_around_a_key_are_no_part_of_it() -> None:
    """Some clients send them, and httptools and gRPC leave those at the end."""
    for headers in ({"x-modelwatch-key": " first-key\t"}, {"authorization": "Bearer  first-key "}):
        Credentials(KEYS).check(headers.get)


def test_keys_may_hold_any_text() -> None:
    """A key outside ASCII is compared like any other, and may be sent as UTF-8 or as Latin-1."""
    for sent in ("schlüssel".encode(), "schlüssel".encode("latin-1"), "voilà".encode()):
        Credentials(KEYS).check({"x-modelwatch-key": sent.decode("latin-1")}.get)
        Credentials(KEYS).check({"authorization": f"Bearer {sent.decode('latin-1')}"}.get)
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
    build(settings, RecordingConsumer(), Counters(), ingest_keys_file=Path("keys"))
    build(ReceiverSettings(host=host, allow_unauthenticated=True), RecordingConsumer(), Counters())


def test_tls_alone_lets_everybody_in_but_client_certificates_do_not() -> None:
    """Off loopback TLS does not stand in for keys; mutual TLS does."""
    tls = {"host": "0.0.0.0", "tls_cert_file": "cert.pem", "tls_key_file": "key.pem"}
    with pytest.raises(StartError, match="MODELWATCH_RECEIVER__ALLOW_UNAUTHENTICATED"):
        build(ReceiverSettings.model_validate(tls), RecordingConsumer(), Counters())
    build(ReceiverSettings.model_validate(tls | {"tls_client_ca_file": "ca.pem"}), RecordingConsumer(), Counters())


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_loopback_needs_no_keys(host: str) -> None:
    """On loopback the receiver may be built without any."""
    build(ReceiverSettings(host=host), RecordingConsumer(), Counters())


@pytest.mark.parametrize("key", ["", "  "])
def test_an_empty_key_is_refused(key: str) -> None:
    """A key that everybody knows is no key."""
    with pytest.raises(StartError, match="MODELWATCH_INGEST_KEYS"):
        build(ReceiverSettings(), RecordingConsumer(), Counters(), [SecretStr("good"), SecretStr(key)])
