"""The guard in front of a real app, over users, sessions and tokens in a real database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request, WebSocket

from access.component import Access, build
from access.passwords import hashed
from access.secret import digest_of_token, new_token
from access.settings import AccessSettings
from storage.access_store import AccessStore, TokenRow, UserRow
from storage.component import build_access_store, build_sqlite_history
from storage.history import SqlHistory
from storage.settings import StorageSettings
from telemetry import Counters, StartError

BASE = "http://127.0.0.1:8050"
OWN = {"origin": BASE, "sec-fetch-site": "same-origin"}
PASSWORD = "correct horse battery"
KEPT = hashed(PASSWORD)
PATHS = ("/", "/alerts", "/api/v1/services", "/metrics", "/openapi.json", "/_dash-layout", "/assets/pulse.js")


def make_app() -> FastAPI:
    app = FastAPI(openapi_url=None)

    @app.websocket("/api/v1/live")
    async def live(socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_text(socket.state.user.name)
        await socket.close()

    @app.api_route("/{path:path}", methods=["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"])
    async def anything(request: Request) -> dict[str, Any]:
        user = request.state.user
        return {"user": user and user.name}

    return app


@dataclass
class Guarded:
    """An app behind its guard."""

    history: SqlHistory
    counters: Counters = field(default_factory=Counters)
    running: list[Access] = field(default_factory=list)

    @property
    def store(self) -> AccessStore:
        return build_access_store(self.history)

    async def open(self, host: str = "127.0.0.1", is_free: bool = False, **settings: Any) -> httpx.AsyncClient:
        app = make_app()
        access = build(AccessSettings(**settings), self.store, self.counters, host, allow_unauthenticated=is_free)
        access.protect(app)
        await access.start()
        self.running.append(access)
        return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=BASE)

    async def add(self, name: str, role: str) -> None:
        assert await self.store.add_user(UserRow(name, role, KEPT, 0))


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[Guarded]:
    history = build_sqlite_history(StorageSettings(), f"sqlite:///{tmp_path / 'modelwatch.db'}")
    await history.start()
    made = Guarded(history)
    yield made
    for access in made.running:
        await access.stop()
    await history.stop()


async def log_in(client: httpx.AsyncClient, name: str, password: str = PASSWORD, place: str = "/") -> httpx.Response:
    form = {"name": name, "password": password, "next": place}
    return await client.post("/login", data=form, headers=OWN)


async def test_without_users_whoever_is_at_this_machine_may_do_everything(guarded: Guarded) -> None:
    """The newcomer's first minute needs no password; a foreign page, or a name that it gave us, gets nothing."""
    client = await guarded.open()
    assert (await client.post("/api/v1/alert-rules")).json() == {"user": "local"}
    foreign = {"origin": "https://evil.example"}
    assert (await client.post("/api/v1/alert-rules", headers=foreign)).status_code == 403
    assert (await client.get("/", headers={"host": "rebound.example:8050"})).status_code == 403


async def test_beyond_loopback_somebody_must_be_able_to_log_in(guarded: Guarded) -> None:
    """The start is refused; a user, or the consent, lets it be."""
    with pytest.raises(StartError, match="users add"):
        await guarded.open("0.0.0.0")
    assert (await (await guarded.open("0.0.0.0", is_free=True)).get("/")).status_code == 200
    client = await guarded.open("0.0.0.0", admin_password=PASSWORD)
    assert (await client.get("/")).status_code == 401
    assert (await log_in(client, "Admin")).status_code == 303


@pytest.mark.parametrize("path", [*PATHS, "//", "/%2e%2e/healthz", "/HEALTHZ", "/healthz/", "/login/", "/assets/../x"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST", "PUT", "DELETE", "TRACE"])
async def test_nothing_is_reached_by_a_stranger(guarded: Guarded, path: str, method: str) -> None:
    """Whatever the method, and however the path is written."""
    await guarded.add("ann", "editor")
    client = await guarded.open()
    assert (await client.request(method, path)).status_code == 401
    for cookie in ("x", "a" * 43, "../" * 20):
        headers = {"cookie": f"modelwatch_session={cookie}", **OWN}
        assert (await client.request(method, path, headers=headers)).status_code == 401
    headers = {"authorization": f"Bearer {new_token()}"}
    assert (await client.request(method, path, headers=headers)).status_code == 401


async def test_a_browser_is_led_to_the_login_and_back_to_where_it_was_going(guarded: Guarded) -> None:
    """Only to a path of ours."""
    await guarded.add("ann", "editor")
    client = await guarded.open()
    led = await client.get("/alerts?tab=rules", headers={"accept": "text/html"})
    assert led.headers["location"] == "/login?next=/alerts%3Ftab%3Drules"
    assert (await log_in(client, "ann", place="/alerts?tab=rules")).headers["location"] == "/alerts?tab=rules"
    for place in ("//evil.example", "https://evil.example", "/\\evil.example", "/\t/evil", "/a\r\nSet-Cookie: x=1"):
        assert (await log_in(client, "ann", place=place)).headers["location"] == "/"


async def test_a_viewer_looks_and_an_editor_changes(guarded: Guarded) -> None:
    """What pages ask by POST is looking."""
    for role in ("viewer", "editor"):
        await guarded.add(role, role)
    for role, expected in (("viewer", 403), ("editor", 200)):
        client = await guarded.open()
        await log_in(client, role)
        assert (await client.get("/api/v1/services")).json() == {"user": role}
        assert (await client.post("/_dash-update-component", headers=OWN)).status_code == 200
        assert (await client.delete("/api/v1/alert-rules/x", headers=OWN)).status_code == expected


async def test_what_a_session_changes_must_come_from_a_page_of_ours(guarded: Guarded) -> None:
    """A browser says so; what says nothing of it is refused too."""
    await guarded.add("ann", "editor")
    client = await guarded.open()
    cookie = (await log_in(client, "ann")).headers["set-cookie"]
    assert "HttpOnly; SameSite=Lax" in cookie
    for headers in ({}, {"origin": "null"}, {"origin": "http://evil.example"}, {**OWN, "sec-fetch-site": "same-site"}):
        assert (await client.post("/api/v1/silences", headers=headers)).status_code == 403


FOREIGN: tuple[dict[str, str], ...] = (
    {"origin": "http://evil.example"},
    {"origin": "null"},
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site", "origin": BASE},
    {"origin": BASE.replace("8050", "8051")},
)


@pytest.mark.parametrize("headers", FOREIGN)
@pytest.mark.parametrize("user", ["", "ann"])
async def test_pages_of_other_origins_change_and_ask_nothing(
    guarded: Guarded, headers: dict[str, str], user: str
) -> None:
    """Neither with the session of whoever visits them, nor where no login is needed; our own pages may."""
    if user:
        await guarded.add(user, "editor")
    client = await guarded.open()
    if user:
        await log_in(client, user)
    for method, path in (
        ("POST", "/api/v1/alert-rules"),
        ("PUT", "/api/v1/alert-rules/x"),
        ("DELETE", "/api/v1/silences/x"),
        ("POST", "/_dash-update-component"),
        ("POST", "/logout"),
    ):
        assert (await client.request(method, path, headers=headers)).status_code == 403, (method, path)
    cookie = {"cookie": f"modelwatch_session={client.cookies['modelwatch_session']}"} if user else {}
    if "origin" in headers:
        assert await handshake(client, {**cookie, **headers}) == ["websocket.close"]
    assert (await client.post("/_dash-update-component", headers=OWN)).status_code == 200


async def test_behind_a_proxy_pages_are_our_own_by_the_name_that_the_browser_knows(guarded: Guarded) -> None:
    """Though the proxy asks for another host; whoever is no trusted proxy cannot say so."""
    await guarded.add("ann", "editor")
    own = {"origin": "https://watch.example", "sec-fetch-site": "same-origin"}
    said = {"x-forwarded-host": "watch.example", "x-forwarded-proto": "https"}
    for trusted, expected in (("127.0.0.1", 303), ("10.0.0.0/8", 403)):
        client = await guarded.open(trusted_proxies=trusted)
        answer = await client.post("/login", data={"name": "ann", "password": PASSWORD}, headers={**own, **said})
        assert answer.status_code == expected
        assert ("__Host-modelwatch_session" in answer.headers.get("set-cookie", "")) == (expected == 303)


async def test_a_session_is_new_at_each_login_and_over_after_logout_and_password_change(guarded: Guarded) -> None:
    """What somebody planted is worth nothing, and what was copied before is worth nothing afterwards."""
    await guarded.add("ann", "editor")
    client = await guarded.open()
    client.cookies.set("modelwatch_session", "a" * 43, domain="127.0.0.1")
    client.cookies.clear()
    await log_in(client, "ann")
    first = client.cookies["modelwatch_session"]
    assert first != "a" * 43
    await client.post("/logout", headers=OWN)
    replay = {"cookie": f"modelwatch_session={first}"}
    assert (await client.get("/", headers=replay)).status_code == 401
    await log_in(client, "ann")
    await guarded.store.set_password("ann", hashed("another password"))
    await guarded.running[0].directory.refresh()
    assert (await client.get("/")).status_code == 401


async def test_a_session_outlives_a_restart(guarded: Guarded) -> None:
    """Every dashboard on the database knows it."""
    await guarded.add("ann", "editor")
    client, other = await guarded.open(), await guarded.open()
    await log_in(client, "ann")
    headers = {"cookie": f"modelwatch_session={client.cookies['modelwatch_session']}"}
    await guarded.running[1].directory.refresh()
    assert (await other.get("/", headers=headers)).json() == {"user": "ann"}


async def test_guessing_is_bounded_and_tells_nothing(guarded: Guarded) -> None:
    """A user who is there and one who is not are told the same, and after six wrong ones nobody is told anything."""
    await guarded.add("ann", "editor")
    client = await guarded.open()
    pages = [(await log_in(client, name, "wrong password")) for name in ("ann", "bob")]
    assert {page.status_code for page in pages} == {401}
    assert pages[0].text == pages[1].text.replace("bob", "ann")
    statuses = [(await log_in(client, "ann", "wrong password")).status_code for _ in range(6)]
    assert statuses == [401] * 5 + [429]
    assert (await log_in(client, "ann")).status_code == 429
    assert guarded.counters.total("access_failed_logins") == 7


async def test_a_token_needs_no_origin_and_ends(guarded: Guarded) -> None:
    """It has a role, and an end."""
    for name, role, ends_s in (("ci", "editor", 0), ("grafana", "viewer", 0), ("old", "editor", 1)):
        secret = new_token()
        await guarded.store.add_token(TokenRow(name, digest_of_token(secret) or "", role, 0, ends_s, 0))
        client = await guarded.open()
        answer = await client.post("/api/v1/silences", headers={"authorization": f"Bearer {secret}"})
        assert answer.status_code == {"ci": 200, "grafana": 403, "old": 401}[name]


async def test_a_websocket_needs_a_session_and_its_own_origin(guarded: Guarded) -> None:
    """Anything else is refused before it is accepted."""
    await guarded.add("ann", "viewer")
    client = await guarded.open()
    await log_in(client, "ann")
    own = {"cookie": f"modelwatch_session={client.cookies['modelwatch_session']}", "origin": BASE}
    assert await handshake(client, own) == ["websocket.accept", "websocket.send", "websocket.close"]
    for headers in ({**own, "origin": "http://evil.example"}, {"origin": own["origin"]}, {"cookie": own["cookie"]}):
        assert await handshake(client, headers) == ["websocket.close"]


async def handshake(client: httpx.AsyncClient, headers: dict[str, str]) -> list[str]:
    """Ask for a WebSocket; return the kinds of what came back."""
    sent: list[str] = []

    async def receive() -> dict[str, str]:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message["type"])

    raw = [(name.encode(), value.encode()) for name, value in {"host": "127.0.0.1:8050", **headers}.items()]
    scope = {"type": "websocket", "path": "/api/v1/live", "headers": raw, "query_string": b"", "scheme": "ws"}
    await client._transport.app(scope, receive, send)  # type: ignore[attr-defined]
    return sent


@pytest.mark.parametrize("path", [*PATHS, "/login", "/healthz"])
async def test_every_answer_has_the_headers(guarded: Guarded, path: str) -> None:
    """Refusals too; what came by TLS, as a proxy that is trusted says, must always come so."""
    await guarded.add("ann", "editor")
    client = await guarded.open(trusted_proxies="127.0.0.0/8")
    headers = (await client.get(path, headers={"x-forwarded-proto": "https"})).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["strict-transport-security"]
    assert "cache-control" in headers
    assert "permissions-policy" in headers
    assert headers["x-frame-options"] == "DENY"
    assert "unsafe-inline" not in headers.get("content-security-policy", "")


async def test_the_token_of_prometheus_opens_the_metrics_and_nothing_else(guarded: Guarded) -> None:
    """Any other token opens neither; metrics can only be read with it."""
    await guarded.add("ann", "viewer")
    client = await guarded.open(metrics_token="a secret for Prometheus")
    own = {"authorization": "Bearer a secret for Prometheus"}
    async with client:
        assert (await client.get("/metrics", headers=own)).status_code == 200
        assert (await client.post("/metrics", headers=own)).status_code == 401
        for path in PATHS:
            if path != "/metrics":
                assert (await client.get(path, headers=own)).status_code == 401
        for wrong in ("Bearer a secret for Prometheu", "Bearer ", "Basic a secret for Prometheus", "Bearer é"):
            answer = await client.get("/metrics", headers={"authorization": wrong.encode()})
            assert answer.status_code == 401, wrong
