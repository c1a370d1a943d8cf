"""Open pages are fed over WebSockets: one producer for all, nothing for who cannot or does not want to take it."""

from __future__ import annotations

import asyncio
import json
import zlib
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from telemetry import SeriesKey
from tests.support.dash_pages import SETTINGS, ServedPage, calls
from tests.support.query_world import NOW_S
from tests.support.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

_HIDE = """() => {
    Object.defineProperty(document, 'hidden', {value: true, configurable: true});
    document.dispatchEvent(new Event('visibilitychange'));
}"""
_SHOW = "() => { delete document.hidden; document.dispatchEvent(new Event('visibilitychange')); }"


def _connected(page: ServedPage, **options: Any) -> connect:
    return connect(page.url.replace("http", "ws") + "_push", compression=None, **options)


async def _follow(socket: ClientConnection, number: int = 1, search: str = "", keeps: bool = False) -> None:
    asked = {"do": "follow", "number": number, "page": "overview", "search": search, "width": 500, "keeps": keeps}
    await socket.send(json.dumps(asked))


async def _update(socket: ClientConnection) -> tuple[int, dict[str, Any]]:
    message = await asyncio.wait_for(socket.recv(), 20)
    assert isinstance(message, bytes)
    body = zlib.decompress(message[5:]) if message[4] else message[5:]
    return int.from_bytes(message[:4], "big"), json.loads(body)


def _gauge(page: ServedPage, name: Any) -> float:
    return page.counters.gauges()[name, ()]


async def test_equal_questions_have_one_producer(busy: ServedPage, new_tab: Any) -> None:
    """Two tabs that show the same cost one answer a beat; a third view costs one more; closed tabs nothing."""
    first, second = await new_tab(), await new_tab()
    for tab in (first, second):
        await tab.open(busy.url)
        await tab.until_filled()
    await eventually(lambda: _gauge(busy, "pages_connections") == 2 and _gauge(busy, "pages_questions") == 1)
    answers, updates = (busy.counters.total(name) for name in ("pages_pushed_answers", "pages_sent_updates"))
    await eventually(lambda: busy.counters.total("pages_pushed_answers") >= answers + 4)
    assert busy.counters.total("pages_sent_updates") - updates >= 1.5 * 4
    await second.page.click("#range >> text=15m")
    await eventually(lambda: _gauge(busy, "pages_questions") == 2)
    await first.page.close()
    await second.page.close()
    await eventually(lambda: _gauge(busy, "pages_questions") == _gauge(busy, "pages_connections") == 0)
    assert first.complaints == second.complaints == []


async def test_hidden_and_paused_pages_cost_nothing(busy: ServedPage, new_tab: Any) -> None:
    """They have no question at the server; shown again, or going on, the page is current at once."""
    tab = await new_tab()
    await tab.open(busy.url)
    await tab.until_filled()
    await eventually(lambda: _gauge(busy, "pages_questions") == 1)
    for stop, go in ((_HIDE, _SHOW), ("document.querySelector('#live').click()",) * 2):
        await tab.page.evaluate(stop)
        await eventually(lambda: _gauge(busy, "pages_questions") == 0)
        answers = busy.counters.total("pages_pushed_answers")
        busy.world.advance(1)
        await tab.page.wait_for_timeout(1200)
        assert busy.counters.total("pages_pushed_answers") == answers
        before = await tab.text("#clock")
        await tab.page.evaluate(go)
        await tab.until(f"#clock:not(:text-is('{before}'))")
        await tab.until("#page.is-live")
        await eventually(lambda: _gauge(busy, "pages_questions") == 1)
    assert tab.complaints == []


async def test_page_is_fed_again_after_a_restart(busy: ServedPage, new_tab: Any) -> None:
    """The page says that it is cut off, and is fed again over a new WebSocket when the server is back."""
    tab = await new_tab()
    await tab.open(busy.url)
    await tab.until_filled()
    await eventually(lambda: _gauge(busy, "pages_questions") == 1)
    await busy.stop()
    await tab.until("#page.is-cut-off")
    await eventually(lambda: _gauge(busy, "pages_connections") == 0)
    await busy.start()
    await tab.until("#page.is-live")
    await eventually(lambda: _gauge(busy, "pages_questions") == 1)
    series = SeriesKey("after-the-restart", http_route="/predict", http_status_class="2xx")
    busy.world.advance(5)
    await busy.publish([calls(series, NOW_S + 1, [0.02] * 10)])
    await tab.until(".service-name:text-is('after-the-restart')")


@pytest.mark.parametrize("served", [SETTINGS.model_copy(update={"max_connections": 1})], indirect=True)
async def test_page_without_a_websocket_asks_by_http(busy: ServedPage, new_tab: Any) -> None:
    """Where no WebSocket can be had, the page is live all the same."""
    async with _connected(busy):
        tab = await new_tab()
        await tab.open(busy.url)
        await tab.until_filled()
        before = await tab.text("#clock")
        busy.world.advance(3)
        await tab.until(f"#clock:not(:text-is('{before}'))")
        await tab.until("#page.is-live")
        assert busy.counters.total("pages_pushed_answers") == 0
        assert busy.counters.total("pages_refused_connections") >= 1


async def test_selection_hover_and_focus_outlive_updates(busy: ServedPage, new_tab: Any) -> None:
    """What a reader has marked in the table, looks at in a chart and has reached by keyboard stays as figures move."""
    tab = await new_tab()
    await tab.open(busy.url)
    await tab.until_filled()
    box = await tab.page.locator("#latency .nsewdrag").bounding_box()
    await tab.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 60)
    await tab.until("#latency .hoverlayer .legendtext")
    chosen = await tab.page.evaluate(_MARK)
    await tab.page.focus("#problems .problem >> nth=1")
    focused = await tab.page.evaluate(_FOCUSED)
    for _ in range(3):
        before = await tab.text("#clock")
        busy.world.advance(2)
        await tab.until(f"#clock:not(:text-is('{before}'))")
        assert await tab.page.evaluate("window.getSelection().toString()") == chosen != ""
        assert await tab.page.evaluate(_FOCUSED) == focused != ""
        await tab.until("#latency .hoverlayer .legendtext")
    assert tab.complaints == []


_MARK = """() => {
    const name = document.querySelector('.services .service-name');
    window.getSelection().selectAllChildren(name);
    return window.getSelection().toString();
}"""
_FOCUSED = "() => document.activeElement.matches('.problem') ? document.activeElement.getAttribute('href') : ''"


async def test_click_is_of_what_was_pressed(busy: ServedPage, new_tab: Any) -> None:
    """Updates that would change the list wait while a button is down; the press leads where it was aimed."""
    tab = await new_tab()
    await tab.open(busy.url)
    await tab.until_filled()
    target = tab.page.locator("#problems .problem >> nth=1")
    href, name = await target.get_attribute("href"), await target.locator("bdi").text_content()
    box = await target.bounding_box()
    await tab.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    before = await tab.text("#clock")
    updates = busy.counters.total("pages_pushed_answers")
    await tab.page.mouse.down()
    # Something worse than all others, which the list then begins with.
    worst = SeriesKey("aaa-worst", http_route="/predict", http_status_class="5xx")
    busy.world.advance(2)
    await busy.publish([calls(worst, NOW_S - 20 + step, [0.1] * 50, 50) for step in range(20)])
    await eventually(lambda: busy.counters.total("pages_pushed_answers") >= updates + 2)
    assert await tab.text("#clock") == before
    await tab.page.mouse.up()
    await tab.until(f"#service-title:text-is('{name}')")
    assert tab.page.url.endswith(href)
    await tab.page.go_back()
    await tab.until("#problems .problem:first-child:has-text('aaa-worst')")
    assert tab.complaints == []


async def test_slow_page_holds_nobody_up(busy: ServedPage) -> None:
    """A client that does not say that it shows its update is sent no other, and later the latest; others go on."""
    async with _connected(busy) as slow, _connected(busy) as quick:
        await _follow(slow)
        assert (await _update(slow))[1]["is_whole"]
        await _follow(quick)
        for _ in range(4):
            busy.world.advance(1)
            await _update(quick)
            await quick.send('{"do": "done"}')
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(slow.recv(), 0.7)
        await slow.send('{"do": "done"}')
        _, late = await _update(slow)
        assert not late["is_whole"]
        assert late["receipt"]["end_s"] > NOW_S
        assert busy.counters.total("pages_skipped_updates") >= 3


async def test_only_changes_are_sent(busy: ServedPage) -> None:
    """The first update of a question is whole; while nothing changes the next ones hold no part of the page."""
    async with _connected(busy) as socket:
        await _follow(socket, 7)
        number, first = await _update(socket)
        assert (number, first["is_whole"], first["receipt"]["state"]) == (7, True, "filled")
        names = {(section, name) for section, name, *_ in first["parts"]}
        assert {("filling", "services"), ("figures", "latency")} <= names
        await socket.send('{"do": "done"}')
        _, second = await _update(socket)
        # What the filters offer may come an update later.
        assert [part for part in second["parts"] if part[0] != "bar"] == []
        await socket.send('{"do": "done"}')
        await _follow(socket, 8, "?range=15m", keeps=True)
        number, other = await _update(socket)
        while number != 8:
            await socket.send('{"do": "done"}')
            number, other = await _update(socket)
        assert other["is_whole"]


@pytest.mark.parametrize("served", [SETTINGS.model_copy(update={"max_questions_per_s": 0.001})], indirect=True)
async def test_questions_beyond_the_limit_wait_their_turn(busy: ServedPage) -> None:
    """Who asks faster than may be is shown what they asked first, and makes no more work than that."""
    async with _connected(busy) as socket:
        for number, search in enumerate(("", "?range=15m", "?range=1h", "?range=6h"), start=1):
            await _follow(socket, number, search)
        assert (await _update(socket))[0] == 1
        answers = busy.counters.total("pages_pushed_answers")
        await eventually(lambda: busy.counters.total("pages_pushed_answers") >= answers + 2)
        assert _gauge(busy, "pages_questions") == 1


@pytest.mark.parametrize(
    "message",
    ["", "{", "[]", '{"do": "everything"}', '{"do": "done"}', '{"do": "follow", "number": -1}', "x" * 70_000],
    ids=["empty", "no-json", "list", "unknown", "done-of-nothing", "number", "large"],
)
async def test_nonsense_ends_its_connection_only(busy: ServedPage, message: str) -> None:
    """Who sends what no page sends is let go; the page is served on."""
    async with _connected(busy) as socket:
        await socket.send(message)
        with pytest.raises(ConnectionClosed):
            await asyncio.wait_for(socket.recv(), 20)
    async with httpx.AsyncClient() as client:
        assert (await client.get(busy.url + "healthz")).status_code == 200
    await eventually(lambda: _gauge(busy, "pages_connections") == 0)
