"""TLS of the web port: what it speaks, which certificate it shows, and what it says of files that are of no use."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import trustme
from pydantic import ValidationError
from structlog.testing import capture_logs
from websockets.asyncio.client import connect

from api.settings import ApiSettings
from api.tls import TlsFiles
from api.web_server import WebServer
from telemetry import StartError
from tests.api.test_web_server import SETTING, make_app


class Identity:
    """A certificate that can be renewed, and a client that believes its authority."""

    def __init__(self, folder: Path) -> None:
        self.files = TlsFiles(folder / "tls.crt", folder / "tls.key")
        self.authority = trustme.CA()
        self.trusted = ssl.create_default_context()
        self.authority.configure_trust(self.trusted)
        self.renew("first.example")

    def renew(self, name: str) -> None:
        own = self.authority.issue_cert("127.0.0.1", name)
        self.files.key_file.write_bytes(own.private_key_pem.bytes())
        self.files.cert_file.write_bytes(own.cert_chain_pems[0].bytes())


@pytest.fixture
def identity(tmp_path: Path) -> Identity:
    return Identity(tmp_path)


@pytest.fixture
async def server(identity: Identity) -> AsyncIterator[WebServer]:
    made = WebServer(make_app(), "127.0.0.1", 0, SETTING, tls=identity.files)
    await made.start()
    yield made
    await made.stop()


async def _names(server: WebServer, identity: Identity) -> set[str]:
    """Ask over a connection of its own; return the names in the certificate that was shown."""
    async with (
        httpx.AsyncClient(verify=identity.trusted) as client,
        client.stream("GET", f"https://127.0.0.1:{server.port}/") as answer,
    ):
        assert (await answer.aread()) == b"hello"
        shown = answer.extensions["network_stream"].get_extra_info("ssl_object").getpeercert()
    return {value for kind, value in shown["subjectAltName"] if kind == "DNS"}


async def test_it_speaks_tls_and_nothing_else(server: WebServer, identity: Identity) -> None:
    """HTTP and WebSockets; whoever comes without TLS is told nothing."""
    assert await _names(server, identity) == {"first.example"}
    async with connect(f"wss://127.0.0.1:{server.port}/ws", ssl=identity.trusted) as socket:
        await socket.send("hello")
        assert await socket.recv() == "hello"
    async with httpx.AsyncClient() as client:
        with pytest.raises(httpx.TransportError):
            await client.get(f"http://127.0.0.1:{server.port}/")


async def test_a_renewed_certificate_is_shown_without_a_restart(server: WebServer, identity: Identity) -> None:
    """One that is of no use is not: the one before is shown on, and the log says so, once."""
    identity.renew("second.example")
    assert await _names(server, identity) == {"second.example"}
    identity.files.cert_file.write_text("no certificate")
    with capture_logs() as logs:
        for _ in range(3):
            assert await _names(server, identity) == {"second.example"}
        identity.files.cert_file.unlink()
        assert await _names(server, identity) == {"second.example"}
    assert [line["log_level"] for line in logs] == ["error", "error"]
    identity.renew("third.example")
    assert await _names(server, identity) == {"third.example"}


@pytest.mark.parametrize(("oldest", "is_met"), [("1.2", True), ("1.3", False)])
async def test_older_versions_are_refused(identity: Identity, oldest: str, is_met: bool) -> None:
    """TLS 1.2 is the oldest that can be had at all."""
    server = WebServer(make_app(), "127.0.0.1", 0, SETTING, tls=identity.files._replace(min_version=oldest))
    await server.start()
    identity.trusted.maximum_version = ssl.TLSVersion.TLSv1_2
    try:
        if is_met:
            assert await _names(server, identity)
        else:
            with pytest.raises(httpx.TransportError):
                await _names(server, identity)
    finally:
        await server.stop()


@pytest.mark.parametrize(
    ("fault", "words"),
    [("missing", "No such file"), ("garbage", "PEM"), ("other key", "not that of the certificate"), ("locked", "PEM")],
)
async def test_files_that_are_of_no_use_keep_it_from_starting(identity: Identity, fault: str, words: str) -> None:
    """The message names both settings and what is wrong, and the port is not taken."""
    if fault == "missing":
        identity.files.cert_file.unlink()
    elif fault == "garbage":
        identity.files.cert_file.write_bytes(b"\x00\xff garbage")
    elif fault == "locked":
        identity.files.key_file.write_text(
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"
        )
    else:
        identity.files.key_file.write_bytes(trustme.CA().issue_cert("x").private_key_pem.bytes())
    with pytest.raises(StartError, match=words) as found:
        await WebServer(make_app(), "127.0.0.1", 0, SETTING, tls=identity.files).start()
    assert "MODELWATCH_API__TLS_CERT_FILE" in str(found.value)
    assert "MODELWATCH_API__TLS_KEY_FILE" in str(found.value)


def test_half_of_what_tls_needs_is_refused() -> None:
    """Nobody believes to have TLS who has not."""
    with pytest.raises(ValidationError, match="belong together"):
        ApiSettings(tls_cert_file=Path("tls.crt"))


@pytest.mark.parametrize("path", ["modelwatch", "//host", "/a//b", "/a b", '/"', "/a?b", "/a\\b", "/é", "/../x"])
def test_a_base_path_is_a_plain_path(path: str) -> None:
    """Anything that a header or a document could take for something else is refused."""
    with pytest.raises(ValidationError):
        ApiSettings(base_path=path)
    assert ApiSettings(base_path="/a/b-c/").base_path == "/a/b-c"
    assert ApiSettings(base_path="/").base_path == ""
