"""A webhook gets what the documentation says, and goes nowhere that it must not."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import ipaddress
import json
import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme

from alerting.channels.component import build_channels
from alerting.notification import Notification
from alerting.notifier import Channel
from alerting.settings import AlertingSettings
from telemetry import ModelWatchError, PermanentError, RetryableError, StartError
from tests.support.http_sink import HttpSink, answer
from tests.support.notifications import notification
from tests.support.ports import free_port

LOOPBACK = "127.0.0.0/8"
SECRET = "s3cr3t-Wert"


def channel(url: str, allowed: str = LOOPBACK, settings: dict[str, Any] | None = None, **fields: Any) -> Channel:
    """Return the channel to a URL, made from settings as people write them."""
    tree = {"channels": [{"name": "hook", "url": url, **fields}], "allowed_networks": allowed, **(settings or {})}
    return build_channels(AlertingSettings.model_validate(tree))[0]


async def send(to: Channel, *notifications: Notification) -> None:
    async with asyncio.timeout(30):
        await to.notifier.notify(notifications or [notification()])


async def test_the_body_is_the_documented_one(tmp_path: Path) -> None:
    """Versioned, with every notification of the moment, all numbers, and names exactly as they are."""
    async with HttpSink() as sink:
        told = [notification("n1"), notification("n2", rule_name="<b>@here</b>")]
        await send(channel(f"http://127.0.0.1:{sink.port}/x/{SECRET}?a=b"), *told)
    (posted,) = sink.posted
    assert posted.line == f"POST /x/{SECRET}?a=b HTTP/1.1"
    assert posted.headers["content-type"] == "application/json"
    body = json.loads(posted.body)
    assert (body["version"], body["channel"], body["is_test"]) == (1, "hook", False)
    assert [one["notification_id"] for one in body["notifications"]] == ["n1", "n2"]
    assert body["notifications"][1]["rule_name"] == "<b>@here</b>"
    alert = body["notifications"][0]["alerts"][0]
    assert (alert["value"], alert["threshold"], alert["labels"]) == (1.92, 1.0, {"service": "tumour-classifier"})
    assert alert["page_url"] == "/?service=tumour-classifier"


async def test_the_signature_can_be_checked_by_anyone_who_has_the_secret(tmp_path: Path) -> None:
    """HMAC-SHA-256 over timestamp and body; the secret comes from a file that may change between two messages."""
    file = tmp_path / "secret"
    async with HttpSink() as sink:
        to = channel(f"http://127.0.0.1:{sink.port}", signing_secret_file=str(file_with(file, "one")))
        await send(to)
        file_with(file, "two")
        await send(to)
    for posted, secret in zip(sink.posted, (b"one", b"two"), strict=True):
        signed = posted.headers["x-modelwatch-timestamp"].encode() + b"." + posted.body
        expected = hmac.new(secret, signed, hashlib.sha256).hexdigest()
        assert posted.headers["x-modelwatch-signature"] == f"v1={expected}"


def file_with(path: Path, text: str) -> Path:
    path.write_text(f"{text}\n")
    return path


@pytest.mark.parametrize("value", ["Bearer t0k3n\nX-More: 1", "Bearer t0k3n\x00", "Bearer t0k3nü", " "])
def test_an_authorization_that_no_header_can_be_stops_the_start(value: str, tmp_path: Path) -> None:
    """Else each message would wait for hours and be lost; in a file or not, and without telling what it is."""
    file = tmp_path / "authorization"
    file.write_text(f"\n{value}\n", newline="")
    for fields in ({"authorization": value}, {"authorization_file": str(file)}):
        channels = [{"name": "hook", "url": "https://h/x", **fields}]
        with pytest.raises(StartError, match=r"channel 'hook': authorization") as refused:
            build_channels(AlertingSettings.model_validate({"channels": channels}))
        assert "t0k3n" not in str(refused.value)


async def test_credentials_are_sent_as_a_header() -> None:
    """From the URL as Basic, or as the setting says."""
    async with HttpSink() as sink:
        await send(channel(f"http://me:p%40ss@127.0.0.1:{sink.port}/"))
        await send(channel(f"http://127.0.0.1:{sink.port}/", authorization="Bearer abc\n"))
    assert [posted.headers["authorization"] for posted in sink.posted] == ["Basic bWU6cEBzcw==", "Bearer abc"]
    assert sink.posted[0].headers["host"] == f"127.0.0.1:{sink.port}"


@pytest.mark.parametrize(
    ("given", "kind", "says"),
    [
        (answer(204), None, ""),
        (answer(500), RetryableError, "answered 500"),
        (answer(503, {"Retry-After": "17"}), RetryableError, "answered 503"),
        (answer(429), RetryableError, "answered 429"),
        (answer(400, body=b"SECRET of the server"), PermanentError, "answered 400"),
        (answer(404), PermanentError, "answered 404"),
        (answer(302, {"Location": "http://127.0.0.1:1/"}), PermanentError, "redirect (302)"),
        (answer(308, {"Location": "/elsewhere"}), PermanentError, "redirect (308)"),
        (b"this is not HTTP\r\n\r\n", RetryableError, "cut before"),
        (b"", RetryableError, "cut before"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 50_000, RetryableError, "cut before"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100000000000\r\n\r\n" + b"x" * 1_000_000, None, ""),
    ],
    ids=["204", "500", "503", "429", "400", "404", "302", "308", "no HTTP", "nothing", "endless head", "endless body"],
)
async def test_what_a_target_answers_decides_whether_it_is_tried_again(
    given: bytes, kind: type[ModelWatchError] | None, says: str
) -> None:
    """Trouble of the server is tried again, a refusal and a redirect never; the rest of the answer is not read."""
    async with HttpSink(answers=[given]) as sink:
        to = channel(f"http://127.0.0.1:{sink.port}/{SECRET}")
        if kind is None:
            await send(to)
        else:
            with pytest.raises(kind) as caught:
                await send(to)
            assert says in str(caught.value)
            assert SECRET not in str(caught.value)
            assert "of the server" not in str(caught.value)
            if "Retry-After" in given.decode("latin-1"):
                assert isinstance(caught.value, RetryableError)
                assert caught.value.retry_after_s == 17
    assert len(sink.posted) == 1


async def test_who_does_not_answer_is_given_up_in_time() -> None:
    """A server that takes the request and says nothing, and one that is not there."""
    async with HttpSink(is_mute=True) as sink:
        with pytest.raises(RetryableError, match="not answer in time"):
            await send(channel(f"http://127.0.0.1:{sink.port}", settings={"send_timeout_s": 0.3}))
    with pytest.raises(RetryableError, match="cannot be reached"):
        await send(channel(f"http://127.0.0.1:{free_port()}"))
    with pytest.raises(RetryableError, match="cannot be reached"):
        await send(channel("https://no-such-host.invalid/"))


async def test_certificates_are_checked_against_the_name(tmp_path: Path) -> None:
    """A certificate of an unknown authority, or for another name, gets nothing; the right one gets it."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    trusting = {"webhook_ca_file": str(tmp_path / "ca.pem")}
    for name, settings, is_fine in (
        ("localhost", {}, False),
        ("elsewhere.test", trusting, False),
        ("localhost", trusting, True),
    ):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(name).configure_cert(context)
        async with HttpSink(tls=context) as sink:
            to = channel(f"https://localhost:{sink.port}", f"{LOOPBACK},::1", settings=settings)
            if is_fine:
                await send(to)
            else:
                with pytest.raises(RetryableError, match="certificate"):
                    await send(to)
        assert len(sink.posted) == is_fine
        if is_fine:
            assert sink.posted[0].headers["host"] == f"localhost:{sink.port}"


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "127.1",
        "0.0.0.0",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.0.1",
        "100.64.0.1",
        "169.254.169.254",
        "[fe80::1]",
        "[fd00:ec2::254]",
        "[fec0::1]",
        "224.0.0.1",
        "127.0.0.1.",
    ],
)
async def test_private_addresses_are_refused_however_they_are_written(host: str) -> None:
    """Loopback, private, link-local and metadata addresses, as names, as numbers of any base, and inside of IPv6."""
    async with HttpSink() as sink:
        # Where the system knows no such spelling it is no address at all, which is as good.
        with pytest.raises((PermanentError, RetryableError, StartError), match=r"not a public one|reached|no address"):
            await send(channel(f"http://{host}:{sink.port}/", allowed=""))
    assert sink.posted == []


async def test_a_name_is_judged_by_every_address_that_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    """And looked up once: what it resolves to later counts for nothing."""
    asked: list[str] = []

    async def getaddrinfo(host: str, port: int, **_: Any) -> list[Any]:
        asked.append(host)
        addresses = ["93.184.216.34", "127.0.0.1"] if host == "mixed.test" else ["127.0.0.1"]
        return [(2, 1, 6, "", (address, port)) for address in addresses]

    async with HttpSink() as sink:
        loop = asyncio.get_running_loop()
        monkeypatch.setattr(loop, "getaddrinfo", getaddrinfo, raising=False)
        with pytest.raises(PermanentError, match="MODELWATCH_ALERTS__ALLOWED_NETWORKS"):
            await send(channel(f"http://mixed.test:{sink.port}", allowed=""))
        with pytest.raises(PermanentError, match="not a public one"):
            await send(channel(f"http://inside.test:{sink.port}", allowed="10.0.0.0/8"))
        await send(channel(f"http://inside.test:{sink.port}"))
    assert [name for name in asked if name.endswith(".test")] == ["mixed.test", "inside.test", "inside.test"]
    assert sink.posted[0].headers["host"] == f"inside.test:{sink.port}"


def test_a_network_is_allowed_as_people_write_it() -> None:
    """Separated by commas in one variable."""
    settings = AlertingSettings.model_validate({"allowed_networks": "10.0.0.0/8, fd00::/8"})
    assert settings.allowed_networks == (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("fd00::/8"))
