"""Behind nginx as docs/reverse-proxy.md sets it up, below a path and by TLS; and TLS of the port itself. In a browser.

One ModelWatch, a real process with an editor, behind one nginx whose servers are made of the blocks in the page.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
import pytest_asyncio
import trustme
from playwright.async_api import Browser
from websockets.asyncio.client import connect

from tests.support.browser import open_browser
from tests.support.dash_pages import Tab, watched_tab
from tests.support.nginx import PrivateNginx
from tests.support.people import add_users, sign_in
from tests.support.ports import free_port
from tests.support.processes import REPOSITORY, RunningProcess
from tests.support.systems import System, embedded_system
from tests.support.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

PAGE = (REPOSITORY / "docs" / "reverse-proxy.md").read_text()
BASE = "/modelwatch"


class Certificate(NamedTuple):
    """A certificate of this machine as files, and what a client needs to believe it."""

    cert_file: Path
    key_file: Path
    trusted: ssl.SSLContext


class Place(NamedTuple):
    """Where a browser finds ModelWatch."""

    origin: str
    base_path: str

    @property
    def url(self) -> str:
        return self.origin + self.base_path


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """Nobody else signed it."""
    folder = tmp_path_factory.mktemp("tls")
    authority = trustme.CA()
    own = authority.issue_cert("127.0.0.1", "localhost")
    own.private_key_pem.write_to_path(folder / "modelwatch.key")
    for part in own.cert_chain_pems:
        part.write_to_path(folder / "modelwatch.crt", append=True)
    trusted = ssl.create_default_context()
    authority.configure_trust(trusted)
    return Certificate(folder / "modelwatch.crt", folder / "modelwatch.key", trusted)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    folder = tmp_path_factory.mktemp("proxied")
    await add_users(folder, ann="editor")
    settings = {"MODELWATCH_API__BASE_PATH": f"{BASE}/", "MODELWATCH_ACCESS__TRUSTED_PROXIES": "127.0.0.1"}
    async with embedded_system(folder, **settings) as running:
        yield running


def _blocks() -> list[str]:
    return re.findall(r"```nginx\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture(scope="module")
def places(system: System, certificate: Certificate) -> Iterator[Mapping[str, Place]]:
    """The ways that the page shows, through one nginx."""
    own_name, below = (block.replace("127.0.0.1:8050", f"127.0.0.1:{system.web_port}") for block in _blocks())
    taken_off = below.replace(f":{system.web_port};", f":{system.web_port}/;")
    assert taken_off != below
    tls_port, plain_port, own_port = free_port(), free_port(), free_port()
    tls = f"ssl_certificate {certificate.cert_file}; ssl_certificate_key {certificate.key_file};"
    whole = re.sub(r"ssl_certificate\s.*\n\s+ssl_certificate_key.*", lambda _: tls, own_name)
    servers = [
        whole.replace("443", str(own_port)).replace("modelwatch.example.com", "127.0.0.1"),
        f"server {{ listen {tls_port} ssl; {tls} server_name 127.0.0.1;\n{below} }}",
        f"server {{ listen {plain_port}; server_name 127.0.0.1;\n{taken_off} }}",
    ]
    nginx = PrivateNginx(tls_port, servers)
    try:
        nginx.start()
        yield {
            "left on, by TLS": Place(f"https://127.0.0.1:{tls_port}", BASE),
            "taken off": Place(f"http://127.0.0.1:{plain_port}", BASE),
            "whole host": Place(f"https://127.0.0.1:{own_port}", BASE),
        }
    finally:
        nginx.remove()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with open_browser() as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def tab(browser: Browser) -> AsyncIterator[Tab]:
    context = await browser.new_context(ignore_https_errors=True, viewport={"width": 1500, "height": 900})
    yield await watched_tab(context)
    await context.close()


class Traffic:
    """What a page asked for, and what was refused."""

    def __init__(self, tab: Tab) -> None:
        self.urls: list[str] = []
        self.failed: list[str] = []
        self.pushed: list[str] = []
        tab.page.on("request", lambda request: self.urls.append(request.url))
        tab.page.on("response", lambda answer: answer.status >= 400 and self.failed.append(answer.url))
        tab.page.on("websocket", self._watch)

    def _watch(self, socket: Any) -> None:
        socket.on("framereceived", lambda _: self.pushed.append(socket.url))


async def _walk_through(tab: Tab, place: Place) -> None:
    """From a link in a notification through the login to another page, and out again; all of it below the path."""
    traffic = Traffic(tab)
    await tab.open(f"{place.url}/alerts?range=1h&tab=rules")
    await sign_in(tab, "ann")
    await tab.until("#alerts-rules-list .switch:enabled")
    assert tab.page.url == f"{place.url}/alerts?range=1h&tab=rules"
    await eventually(lambda: traffic.pushed, timeout_s=30, what="updates are pushed")
    await tab.page.click(".navigation a:has-text('Containers')")
    await tab.until("#page.is-empty, #page.has-figures")
    assert tab.page.url == f"{place.url}/containers?range=1h"
    await tab.page.reload()
    await tab.until(".navigation a[aria-current=page]:has-text('Containers')")
    await tab.page.click(".brand")
    assert tab.page.url == f"{place.url}/?range=1h"
    for image in await tab.page.locator("img").all():
        assert await image.evaluate("image => image.complete && image.naturalWidth > 0")
    await tab.page.click("#account summary")
    await tab.page.click("text=Log out")
    await tab.until("#password")
    assert tab.page.url == f"{place.url}/login?out=1"
    ours = [url for url in traffic.urls if not url.startswith(("data:", "blob:"))]
    assert [url for url in ours if not url.startswith(f"{place.url}/")] == []
    assert {url.rpartition("/")[0] for url in traffic.pushed} == {re.sub("^http", "ws", place.url)}
    assert (traffic.failed, tab.complaints) == ([], [])


@pytest.mark.parametrize("way", ["left on, by TLS", "taken off"])
async def test_pages_live_below_the_path_whether_the_proxy_leaves_it_or_takes_it_off(
    places: Mapping[str, Place], tab: Tab, way: str
) -> None:
    """Login, assets, answers, updates by WebSocket, links and the way out."""
    await _walk_through(tab, places[way])


async def _cookie(place: Place, verify: ssl.SSLContext | bool) -> str:
    async with httpx.AsyncClient(verify=verify) as client:
        form = {"name": "ann", "password": "correct horse battery", "next": "/alerts"}
        headers = {"origin": place.origin, "sec-fetch-site": "same-origin"}
        answer = await client.post(f"{place.url}/login", data=form, headers=headers)
        assert (answer.status_code, answer.headers["location"]) == (303, f"{BASE}/alerts")
        return answer.headers["set-cookie"]


async def test_the_cookie_goes_to_no_other_program_on_the_host(
    places: Mapping[str, Place], certificate: Certificate
) -> None:
    """Its path is ours; by TLS, which the proxy tells, it is secure, and browsers are told to stay with TLS."""
    by_tls, plain = places["left on, by TLS"], places["taken off"]
    cookie = await _cookie(by_tls, certificate.trusted)
    assert cookie.startswith("__Secure-modelwatch_session_modelwatch=")
    assert f"; Path={BASE};" in cookie
    assert cookie.endswith("; Secure")
    cookie = await _cookie(plain, True)
    assert cookie.startswith("modelwatch_session_modelwatch=")
    assert f"; Path={BASE};" in cookie
    async with httpx.AsyncClient(verify=certificate.trusted) as client:
        assert "strict-transport-security" in (await client.get(f"{by_tls.url}/healthz")).headers
        assert "strict-transport-security" not in (await client.get(f"{plain.url}/healthz")).headers


def _token(system: System) -> str:
    command = [sys.executable, "-m", "modelwatch", "tokens", "add", "ci"]
    done = subprocess.run(
        command, cwd=REPOSITORY, env={**_clean_environment(), **system.environment}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    found = re.search(r"mwt_\S+", done.stdout)
    assert found
    return found[0]


async def _is_known(system: System, headers: Mapping[str, str]) -> bool:
    async with httpx.AsyncClient(headers=headers) as client:
        return (await client.get(f"{system.url}/openapi.json")).status_code == 200


def _clean_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("MODELWATCH_")}


async def test_the_api_is_below_the_path_with_its_websocket_and_its_document(
    places: Mapping[str, Place], system: System, certificate: Certificate
) -> None:
    """The document says where; the path itself leads to the page; without it the port still answers."""
    token = await asyncio.to_thread(_token, system)
    headers = {"authorization": f"Bearer {token}"}
    await eventually(lambda: _is_known(system, headers), what="the token is known")
    for place in places.values():
        own_tls = certificate.trusted if place.origin.startswith("https") else None
        async with httpx.AsyncClient(verify=own_tls or True, headers=headers) as client:
            document = (await client.get(f"{place.url}/openapi.json")).json()
            assert document["servers"] == [{"url": BASE}]
            server = place.origin + document["servers"][0]["url"]
            assert (await client.get(f"{server}/api/v1/services")).status_code == 200
            assert (await client.get(f"{place.url}/metrics")).status_code == 200
            assert (await client.get(place.url)).headers["location"].removeprefix(place.origin) == f"{BASE}/"
        async with connect(
            f"{place.url.replace('http', 'ws', 1)}/api/v1/live", additional_headers=headers, ssl=own_tls
        ) as socket:
            await socket.send(json.dumps({"subscribe": "/api/v1/services", "id": "s"}))
            assert json.loads(await socket.recv())["id"] == "s"
    async with httpx.AsyncClient(headers=headers) as client:
        assert (await client.get(f"{system.url}/api/v1/services")).status_code == 200
        redirect = await client.get(f"{system.url}{BASE}?range=1h")
        assert (redirect.status_code, redirect.headers["location"]) == (308, f"{BASE}/?range=1h")


async def test_a_client_may_not_say_whom_it_asks_for_or_who_it_is(places: Mapping[str, Place]) -> None:
    """What it sends in the proxy's name does not get past the proxy."""
    forged = {
        "x-forwarded-host": "evil.example",
        "origin": "http://evil.example",
        "x-forwarded-proto": "https",
    }
    async with httpx.AsyncClient() as client:
        answer = await client.post(f"{places['taken off'].url}/login", data={"name": "ann"}, headers=forged)
        assert answer.status_code == 403
        assert "strict-transport-security" not in answer.headers


async def test_the_port_itself_speaks_tls(tmp_path: Path, certificate: Certificate, tab: Tab) -> None:
    """Below a path too; nothing is said without TLS, and browsers are told to stay with it."""
    await add_users(tmp_path, ann="editor")
    port, otlp_grpc, otlp_http = free_port(), free_port(), free_port()
    settings = {
        "MODELWATCH_DATA_DIR": str(tmp_path),
        "MODELWATCH_API__PORT": str(port),
        "MODELWATCH_API__BASE_PATH": BASE,
        "MODELWATCH_API__TLS_CERT_FILE": str(certificate.cert_file),
        "MODELWATCH_API__TLS_KEY_FILE": str(certificate.key_file),
        "MODELWATCH_RECEIVER__GRPC_PORT": str(otlp_grpc),
        "MODELWATCH_RECEIVER__HTTP_PORT": str(otlp_http),
    }
    running = RunningProcess([sys.executable, "-m", "modelwatch", "up"], settings, tmp_path / "up.log")
    place = Place(f"https://127.0.0.1:{port}", BASE)
    try:
        async with httpx.AsyncClient(verify=certificate.trusted) as client:

            async def is_ready() -> bool:
                running.assert_running()
                try:
                    return (await client.get(f"{place.url}/readyz")).status_code == 200
                except httpx.TransportError:
                    return False

            await eventually(is_ready, timeout_s=40, what="it is ready")
            assert f"https://127.0.0.1:{port}{BASE}/" in running.output()
            answer = await client.get(f"{place.url}/healthz")
            assert answer.headers["strict-transport-security"] == "max-age=31536000"
            with pytest.raises(httpx.TransportError):
                await client.get(f"http://127.0.0.1:{port}/healthz")
        await _walk_through(tab, place)
    finally:
        assert running.stop() == 0
