"""Whether something answers on this machine, with TLS or without."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import trustme

from api.tls import TlsFiles
from api.web_server import WebServer
from modelwatch.own_server import body_at
from tests.api.test_web_server import make_app
from tests.support.ports import free_port


@pytest.mark.parametrize("is_tls", [False, True])
async def test_it_is_asked_by_what_it_speaks(tmp_path: Path, is_tls: bool) -> None:
    """A certificate that nobody knows will do; a refusal is no answer."""
    own = trustme.CA().issue_cert("watch.example")
    files = TlsFiles(tmp_path / "crt", tmp_path / "key")
    files.cert_file.write_bytes(own.cert_chain_pems[0].bytes())
    files.key_file.write_bytes(own.private_key_pem.bytes())
    server = WebServer(make_app(), "127.0.0.1", 0, "MODELWATCH_API__PORT", tls=files if is_tls else None)
    await server.start()
    assert await asyncio.to_thread(body_at, "127.0.0.1", server.port, "/", 10) == b"hello"
    assert await asyncio.to_thread(body_at, "127.0.0.1", server.port, "/none", 10) is None
    await server.stop()


def test_where_nobody_is_there_is_no_answer() -> None:
    """At once."""
    assert body_at("127.0.0.1", free_port(), "/", 10) is None
