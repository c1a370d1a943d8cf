"""The pages on the app that the API built: its paths stay its own, and the page's headers keep everything local."""

from __future__ import annotations

import re

import fastapi
import httpx
import pytest

from tests.support.dash_pages import ServedPage, served_page


@pytest.fixture
def page() -> ServedPage:
    return served_page()


async def get(app: fastapi.FastAPI, path: str) -> httpx.Response:
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return await client.get(path)


async def test_paths_of_the_api_stay_its_own(page: ServedPage) -> None:
    """Known paths answer as before, unknown ones are 404 in JSON, not the page."""
    assert (await get(page.app, "/api/v1/services")).json() == {"items": []}
    for path in ("/api/v1/unknown", "/unknown", "/mcp"):
        answer = await get(page.app, path)
        assert (answer.status_code, answer.headers["content-type"]) == (404, "application/json")


async def test_a_browser_is_shown_a_page_where_there_is_none() -> None:
    """With the ways on, below the base path; what the address says is only text, and the API answers as to anybody."""
    app = served_page(base_path="/watch").app
    html = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client:
        answer = await client.get("/no<script>page", headers=html)
        assert (answer.status_code, answer.headers["content-type"]) == (404, "text/html; charset=utf-8")
        assert "There is no page at /no&lt;script&gt;page" in answer.text
        assert '<a href="/watch/traces">Traces</a>' in answer.text
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert int(answer.headers["content-length"]) == len(answer.content)
        api = await client.get("/api/v1/unknown", headers=html)
        assert (api.status_code, api.headers["content-type"]) == (404, "application/json")
        assert (await client.get("/assets/theme.css", headers=html)).status_code == 200


async def test_page_may_load_only_from_here(page: ServedPage) -> None:
    """The policy allows no other host, no `eval`, and the inline script only by its hash; no address is foreign."""
    answer = await get(page.app, "/")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "unsafe-eval" not in policy
    assert re.search(r"script-src 'self' 'sha256-[^']+';", policy)
    assert not re.search(r'(?:src|href)="(?:https?:)?//', answer.text)


async def test_answer_is_begun_while_the_browser_loads(page: ServedPage) -> None:
    """The document of a page lets its question be answered, with what the address says; nothing else does."""
    await get(page.app, "/?range=15m")
    assert 900 in page.query.windows_s
    page.query.windows_s.clear()
    await get(page.app, "/assets/theme.css")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(page.app), base_url="http://127.0.0.1") as client:
        await client.post("/?range=15m")
    assert page.query.windows_s == []


async def test_scripts_are_sent_compressed_and_whole(page: ServedPage) -> None:
    """Files of Dash and of ours, the second time as the first; not for who does not take it, and 304 stays 304."""
    paths = ("/_dash-component-suites/plotly/package_data/plotly.min.js", "/assets/pulse.js", "/assets/theme.css")
    async with (
        page.app.router.lifespan_context(page.app),
        httpx.AsyncClient(transport=httpx.ASGITransport(page.app), base_url="http://127.0.0.1") as client,
    ):
        for path in (*paths, *paths):
            plain = await client.get(path, headers={"accept-encoding": "identity"})
            small = await client.get(path, headers={"accept-encoding": "gzip, br"})
            assert (plain.status_code, small.status_code) == (200, 200)
            assert "content-encoding" not in plain.headers
            assert small.headers["content-encoding"] == "gzip"
            assert "accept-encoding" in small.headers["vary"].lower()
            assert small.content == plain.content
            assert int(small.headers["content-length"]) < 0.5 * len(plain.content)
        etag = small.headers["etag"]
        again = await client.get(paths[-1], headers={"accept-encoding": "gzip", "if-none-match": etag})
        assert (again.status_code, again.content) == (304, b"")
        missing = await client.get("/assets/nothing.js", headers={"accept-encoding": "gzip"})
        assert missing.status_code == 404


async def test_fonts_and_their_licences_are_served(page: ServedPage) -> None:
    """Both typefaces come from here, with the licence that they ask to be shipped with."""
    for name in ("inter", "jetbrains-mono"):
        assert (await get(page.app, f"/assets/fonts/{name}.woff2")).content[:4] == b"wOF2"
        assert "SIL OPEN FONT LICENSE" in (await get(page.app, f"/assets/fonts/{name}-OFL.txt")).text


async def test_many_apps_may_carry_pages_in_one_process() -> None:
    """Each page belongs to the app that it was mounted on."""
    pages = [served_page() for _ in range(2)]
    for page in pages:
        assert (await get(page.app, "/_dash-layout")).status_code == 200
        assert (await get(page.app, "/unknown")).status_code == 404
