"""The page in a real browser, served on a real socket: what people see is what was answered."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from dash_app.shared import formatting
from dash_app.shell.view import view_of
from query import Status, StorageUnavailableError
from telemetry import RedPoint, SeriesKey
from tests.support.dash_pages import OTLP_ENDPOINT, SETTINGS, ServedPage, calls
from tests.support.query_world import NOW_S
from tests.support.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

HOSTILE = (
    "<b>bold</b>",
    "<script>alert(1)</script>",
    '<a href="javascript:alert(2)">x</a>',
    "&lt;i&gt; 100% %{y} \u202etxet",
)


def _visible(name: str) -> str:
    return name.replace("\u202e", "\ufffd")


async def _cells(tab: Any) -> dict[str, dict[str, str]]:
    """The table as text, by service and column."""
    return dict(
        await tab.page.evaluate(
            """() => [...document.querySelectorAll('.services .ag-row')].map(row => [
                row.querySelector('.service-name').textContent,
                Object.fromEntries([...row.querySelectorAll('.ag-cell')].map(
                    cell => [cell.getAttribute('col-id'), cell.textContent]))])"""
        )
    )


async def test_numbers_on_the_page_equal_the_answers(busy: ServedPage, new_tab: Any, artifacts: Path) -> None:
    """Cards, table and problems show the figures of `query`; nothing is complained about or leaves the machine."""
    tab = await new_tab()
    await tab.open(busy.url)
    await tab.until_filled()
    answer = await busy.services()
    cells = await _cells(tab)
    assert list(cells) == [item.service for item in answer.items]
    for item in answer.items:
        shown = cells[item.service]
        assert shown["rate"] == formatting.rate(item.total.rate_per_s).number
        assert shown["p50"] == formatting.duration(item.total.p50_s).text
        assert shown["p95"] == formatting.duration(item.total.p95_s).text
        assert shown["p99"] == formatting.duration(item.total.p99_s).text
        assert shown["errors"] == formatting.percent(item.total.error_rate).number
        assert shown["status"].lower() == item.status.value
        assert shown["name"] == item.service + item.versions[0]
    total = answer.total
    card = "[data-kpi={}] .kpi-number"
    assert await tab.text(card.format("requests")) == formatting.rate(total.rate_per_s).number
    assert await tab.text(card.format("p95")) == formatting.duration(total.p95_s).number
    assert await tab.text(card.format("error-rate")) == formatting.percent(total.error_rate).number
    unhealthy = sum(item.status in (Status.CRITICAL, Status.DEGRADED) for item in answer.items)
    assert await tab.text(card.format("unhealthy")) == str(unhealthy)
    problems = await tab.text("#problems")
    for item in answer.items:
        for problem in item.problems:
            assert item.service in problems
            assert problem.evidence in problems
    await tab.page.screenshot(path=artifacts / "overview-dark.png")
    await tab.page.click("#scheme")
    await tab.until(":root[data-mantine-color-scheme=light]")
    await tab.page.screenshot(path=artifacts / "overview-light.png")
    await tab.page.reload()
    await tab.until_filled()
    await tab.until(":root[data-mantine-color-scheme=light]")
    assert tab.complaints == []
    assert tab.outside == []


async def test_page_moves_with_the_data_and_points_out_silence(busy: ServedPage, new_tab: Any) -> None:
    """New calls appear without a reload; when nothing has been called for a while, the page says since when."""
    tab = await new_tab()
    await tab.open(busy.url)
    await tab.until_filled()
    series = SeriesKey("brand-new", http_route="/predict", http_status_class="2xx")
    busy.world.advance(5)
    await busy.publish([calls(series, NOW_S + 1, [0.02] * 10)])
    await tab.until(".service-name:text-is('brand-new')")
    busy.world.advance(40)
    await tab.until("#page.is-behind")
    assert "No service has been called for 44 s, since 22:13:21." in await tab.text("#notice")
    busy.world.advance(40)
    await tab.until("[data-kpi=unhealthy] .is-neutral:has-text('silent')")
    await tab.page.click("#health-filter >> text=Unhealthy")
    await eventually(lambda: tab.page.url.endswith("?show=unhealthy"))
    assert "Silent" in (await _cells(tab))["brand-new"]["status"]
    assert "No calls for 1\u00a0min" in await tab.text(".problem:has-text('brand-new')")


_OVERLAPS = """() => [...document.querySelectorAll('.kpi')].filter(card => {
    const [title, figure, change] = ['title', 'figure', 'change'].map(
        part => card.querySelector('.kpi-' + part).getBoundingClientRect());
    const range = document.createRange();
    range.selectNodeContents(card.querySelector('.kpi-title'));
    const text = range.getBoundingClientRect();
    return (change.top < figure.bottom && figure.top < change.bottom) ||
        (change.top < text.bottom && text.top < change.bottom && change.left < text.right);
}).map(card => card.innerText)"""
"""Cards on which the change is printed over the title or the figure."""


async def test_narrow_screens_need_no_sideways_scrolling(busy: ServedPage, new_tab: Any, artifacts: Path) -> None:
    """Everything fits the width of a phone and of a tablet; no column slides over another one to get there."""
    tab = await new_tab(viewport={"width": 390, "height": 844}, timezone_id="UTC", has_touch=True, is_mobile=True)
    await tab.open(busy.url)
    await tab.until_filled()
    table = "document.querySelector('.services .ag-body-horizontal-scroll-viewport')"
    assert await tab.page.evaluate("document.querySelector('.services .ag-row').clientHeight") >= 44, "for a finger"
    assert await tab.page.evaluate(_CUT_NAMES) == []
    await tab.page.evaluate(_WATCH_SLIDING)
    for width, columns in ((390, 4), (820, 7)):
        await tab.page.set_viewport_size({"width": width, "height": 844})
        await eventually(lambda: _is_true(tab, f"{table}.scrollWidth <= {table}.clientWidth"), what=f"{width} px wide")
        await tab.until(f".services .ag-header-cell >> nth={columns - 1}")
        headers = await tab.page.locator(".services .ag-header-cell").count()
        widths = await tab.page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
        assert headers == columns
        assert widths[0] <= widths[1] == width
        assert await tab.page.evaluate(_OVERLAPS) == []
        await tab.page.screenshot(path=artifacts / f"overview-{width}.png", full_page=True)
    assert not await tab.page.evaluate("window.slid")
    assert tab.complaints == []


_CUT_NAMES = """[...document.querySelectorAll('.services .service')]
    .filter(name => name.scrollHeight > name.clientHeight + 1).map(name => name.textContent)"""
"""Services whose names have no room on their lines."""

_WATCH_SLIDING = """() => {
    const isSliding = () => document.querySelector('#services .ag-column-moving') !== null;
    const watch = new MutationObserver(() => (window.slid = window.slid || isSliding()));
    watch.observe(document.querySelector('#services'), { subtree: true, attributes: true, childList: true });
}"""


async def test_empty_page_says_where_to_export_to(
    served: ServedPage, new_tab: Any, artifacts: Path, model_points: list[RedPoint]
) -> None:
    """Before any data there are the address and three variables to copy; the first data replaces them.

    It fits a phone, and a first visit has the colours that the reader's system prefers.
    """
    tab = await new_tab(permissions=["clipboard-read", "clipboard-write"], color_scheme="light")
    await tab.open(served.url)
    await tab.until("#page.is-unused")
    assert OTLP_ENDPOINT in await tab.text("#no-data-yet h1")
    lines = (await tab.text("#variables")).splitlines()
    assert [line.split("=")[0] for line in lines] == [
        "export OTEL_SERVICE_NAME",
        "export OTEL_EXPORTER_OTLP_ENDPOINT",
        "export OTEL_RESOURCE_ATTRIBUTES",
    ]
    await tab.page.click("#copy")
    await tab.until("#copy:text-is('Copied')")
    assert (await tab.page.evaluate("navigator.clipboard.readText()")).splitlines() == lines
    await tab.page.screenshot(path=artifacts / "empty.png")
    await tab.until(":root[data-mantine-color-scheme=light]")
    await tab.page.set_viewport_size({"width": 390, "height": 844})
    assert await tab.page.evaluate("document.documentElement.scrollWidth") == 390
    await tab.page.screenshot(path=artifacts / "empty-390.png")
    await served.publish(model_points)
    await tab.until_filled()
    assert not await tab.page.is_visible("#no-data-yet")
    assert tab.complaints == []


async def test_view_without_calls_is_told_from_no_data_at_all(busy: ServedPage, new_tab: Any, artifacts: Path) -> None:
    """When calls exist but not in this view, the page says which and what to do."""
    tab = await new_tab()
    busy.world.advance(500)
    await tab.open(busy.url)
    await tab.until("#page.is-empty")
    assert (await tab.text("#empty-reason")).split("\n") == [
        "No calls in the last 5 minutes.",
        "Choose a longer range.",
    ]
    await tab.page.screenshot(path=artifacts / "nothing-in-view.png")
    await tab.page.click("#range >> text=15m")
    await tab.until_filled()


@pytest.mark.parametrize("served", [SETTINGS.model_copy(update={"answer_timeout_s": 1.5})], indirect=True)
async def test_trouble_is_explained_and_the_last_figures_kept(busy: ServedPage, new_tab: Any, artifacts: Path) -> None:
    """Errors are told in their words if they are ours, a missing server is told from them; the page recovers alone."""
    tab = await new_tab()
    await tab.open(busy.url)
    await tab.until_filled()
    before = await tab.text("[data-kpi=requests] .kpi-number")
    busy.query.error = StorageUnavailableError("the database does not answer: is it running?")
    await tab.until("#page.is-failed")
    assert "The database does not answer: is it running? Trying again." in await tab.text("#notice")
    await tab.page.screenshot(path=artifacts / "failed.png")
    busy.query.error = RuntimeError("secret detail")
    await tab.until("#notice:has-text('made a mistake')")
    assert "secret" not in await tab.page.content()
    busy.query.error = None
    await tab.until("#page.is-live")
    busy.query.gate.clear()
    await tab.until("#page.is-behind")
    assert "ModelWatch has been working on its answer for" in await tab.text("#notice")
    busy.query.gate.set()
    await tab.until("#page.is-live")
    assert tab.complaints == []
    await tab.page.evaluate(
        """() => {
            window.notices = [];
            const notice = document.querySelector('#notice');
            new MutationObserver(() => window.notices.push(notice.textContent)).observe(
                notice, {childList: true, characterData: true, subtree: true});
        }"""
    )
    await busy.stop()
    await tab.until("#page.is-cut-off", timeout_s=4)
    assert "has not answered" in await tab.text("#notice")
    assert await tab.text("#live-state") == "Cut off"
    assert await tab.text("[data-kpi=requests] .kpi-number") == before
    assert "grayscale" in await tab.page.evaluate("getComputedStyle(document.querySelector('.content')).filter")
    await tab.page.screenshot(path=artifacts / "cut-off.png")
    await busy.start()
    await tab.until("#page.is-live")
    assert not [notice for notice in await tab.page.evaluate("window.notices") if "working" in notice]


async def test_names_are_never_markup(served: ServedPage, new_tab: Any, artifacts: Path) -> None:
    """Whatever a span calls its service, version or route is shown letter by letter."""
    for index, name in enumerate(HOSTILE):
        series = SeriesKey(name, name, deployment_environment=name, http_route=f"/{name}", http_status_class="5xx")
        await served.publish([calls(series, NOW_S - 10 - step, [2.0 + index] * 30, 30) for step in range(20)])
    tab = await new_tab()
    await tab.open(served.url)
    await tab.until_filled()
    assert set(await _cells(tab)) == {_visible(name) for name in HOSTILE}
    assert (
        await tab.page.evaluate("document.querySelectorAll('.content b, .content script, a[href^=javascript]').length")
        == 0
    )
    box = await tab.page.locator("#throughput .nsewdrag").bounding_box()
    await tab.page.mouse.move(box["x"] + box["width"] - 30, box["y"] + 60)
    await tab.until("#throughput .hoverlayer .legendtext")
    legend = await tab.page.locator("#throughput .hoverlayer").text_content()
    for name in HOSTILE:
        assert _visible(name) in legend
        assert _visible(name) in await tab.text("#problems")
    await tab.page.screenshot(path=artifacts / "hostile-names.png")
    await tab.page.click(f".problem:has-text('{_visible(HOSTILE[3])}')")
    await tab.until(f"#service-title:text-is('{_visible(HOSTILE[3])}')")
    assert parse_qs(urlsplit(tab.page.url).query)["name"] == [HOSTILE[3]]
    assert tab.complaints == []
    assert tab.outside == []


async def test_dragging_chooses_a_time_in_the_readers_zone(busy: ServedPage, new_tab: Any) -> None:
    """What is dragged over becomes the range of the page, in its address; figures that arrive move nothing.

    A double click, the button and "back" lead to now again.
    """
    tab = await new_tab(timezone_id="Asia/Kolkata")
    await tab.open(busy.url)
    await tab.until_filled()
    axis = "document.querySelector('#{} .js-plotly-plot')._fullLayout.xaxis.range"
    # 1_700_000_000 is 2023-11-14 22:13:20 UTC; the figures end two seconds earlier.
    assert await tab.text("#clock") == "03:43:18"
    await eventually(lambda: _starts_with(tab, axis.format("latency"), "2023-11-15 03:38:1"))
    assert await tab.text("#time-zone") in ("Times in Asia/Calcutta", "Times in Asia/Kolkata")
    before = await tab.text("[data-kpi=requests] .kpi-note")
    await _drag(tab, "latency", 100, 250)
    await tab.until("#page.is-past")
    chosen = {name: found[0] for name, found in parse_qs(urlsplit(tab.page.url).query).items()}
    assert "2023-11-14T22:08:18Z" < chosen["from"] < chosen["to"] < "2023-11-14T22:13:18Z"
    assert await tab.text("[data-kpi=requests] .kpi-note") != before
    zoomed = {chart: await tab.page.evaluate(axis.format(chart)) for chart in ("latency", "throughput")}
    busy.world.advance(3)
    await tab.page.wait_for_timeout(1200)
    assert {chart: await tab.page.evaluate(axis.format(chart)) for chart in zoomed} == zoomed
    await tab.page.click(".time-now")
    await tab.until("#clock:text-is('03:43:21')")
    assert tab.page.url == busy.url
    await tab.page.go_back()
    await tab.until("#page.is-past")
    assert parse_qs(urlsplit(tab.page.url).query)["from"] == [chosen["from"]]
    await tab.page.go_back()
    await tab.until("#page.is-live")
    assert tab.complaints == []


async def _drag(tab: Any, chart: str, start: int, end: int) -> None:
    box = await tab.page.locator(f"#{chart} .nsewdrag").bounding_box()
    await tab.page.mouse.move(box["x"] + start, box["y"] + 50)
    await tab.page.mouse.down()
    await tab.page.mouse.move(box["x"] + end, box["y"] + 55, steps=6)
    await tab.page.mouse.up()


async def test_any_time_can_be_written(busy: ServedPage, new_tab: Any) -> None:
    """The fields take a beginning and an end in the zone that is shown, and say so in the address."""
    tab = await new_tab(timezone_id="Asia/Kolkata")
    await tab.open(busy.url + "?tz=utc")
    await tab.until_filled()
    assert await tab.text("#time-zone") == "Times in UTC"
    assert await tab.text("#clock") == "22:13:18"
    await tab.page.click(".time-button")
    await tab.page.fill(".time-form label:has-text('From') input", "2023-11-14T22:09:00")
    await tab.page.fill(".time-form label:has-text('To') input", "2023-11-14T22:11:00")
    await tab.page.click(".time-apply")
    await tab.until("#page.is-past")
    fields = parse_qs(urlsplit(tab.page.url).query)
    assert fields == {"from": ["2023-11-14T22:09:00Z"], "to": ["2023-11-14T22:11:00Z"], "tz": ["utc"]}
    assert (await tab.text("[data-kpi=requests] .kpi-note")).endswith("in 2m")
    await tab.page.click("#range >> text=15m")
    await tab.until("#page.is-live")
    assert parse_qs(urlsplit(tab.page.url).query) == {"range": ["15m"], "tz": ["utc"]}
    assert tab.complaints == []


REFUSED = [
    ("2021-01-01T00:00:00Z", "2023-11-14T22:11:00Z"),
    ("2023-11-14T22:09:00", "2023-11-14T22:11:00"),
    ("2023-11-14T22:09:00Z", "2023-11-14T22:09:03Z"),
    ("2023-11-14T22:11:00Z", "2023-11-14T22:09:00Z"),
    ("2023-02-30T22:09:00Z", "2023-03-14T22:11:00Z"),
    ("1970-01-01T00:00:00Z", "1970-01-02T00:00:00Z"),
    ("1", "2"),
]
"""Too long, without a zone, too short, backwards, no day of the calendar, before all times, no times."""
TAKEN = [
    ("2023-11-14T22:09:00Z", "2023-11-14T22:09:10Z"),
    ("2023-11-14t23:09:00+01:00", "2023-11-14T22:11Z"),
    ("2021-11-14T00:00:00Z", "2023-11-15T00:00:00.5Z"),
]


async def test_the_browser_takes_the_times_that_the_server_takes(busy: ServedPage, new_tab: Any) -> None:
    """What the server refuses is neither shown as chosen nor asked; the form refuses it with the reason."""
    tab = await new_tab()
    await tab.open(busy.url + "?" + urlencode({"from": REFUSED[0][0], "to": REFUSED[0][1]}))
    await tab.until("#page.is-live")
    assert await tab.text(".time-button") == "Custom"
    for start, end in REFUSED + TAKEN:
        search = "?" + urlencode({"from": start, "to": end})
        is_taken = (start, end) in TAKEN
        assert (view_of(search).range.end_s is not None) is is_taken
        found = await tab.page.evaluate(
            """search => {
                modelwatch.address.go("/" + search);
                return [modelwatch.address.chosenTime(), modelwatch.address.asked()];
            }""",
            search,
        )
        assert (found[0] is not None) is is_taken, search
        assert view_of(found[1]).range == view_of(search).range
    label = await tab.text(".time-button")
    assert "2021" in label, "else it would look like a time of this year"
    assert "2023" in label
    await tab.page.click(".time-button")
    await tab.page.fill(".time-form label:has-text('From') input", "2020-11-14T22:09:00")
    assert await tab.text(".time-problem") == "At most 731 days"
    assert await tab.page.is_disabled(".time-apply")
    await tab.page.fill(".time-form label:has-text('From') input", "2023-11-14T22:09:00")
    await tab.until(".time-problem:text-is('')")
    assert not await tab.page.is_disabled(".time-apply")
    assert tab.complaints == []


async def test_times_are_utc_where_the_clocks_change(served: ServedPage, new_tab: Any) -> None:
    """When the reader's clocks were turned within the range, an hour would be there twice: UTC is shown and named."""
    turned_back_s = 1_698_541_200  # 2023-10-29 01:00 UTC, 03:00 summer time in Berlin, which then was 02:00
    served.world.advance(turned_back_s + 120 - NOW_S)
    await served.publish(
        [calls(SeriesKey("nightly"), second, [0.1]) for second in range(turned_back_s - 200, turned_back_s + 120, 10)]
    )
    tab = await new_tab(timezone_id="Europe/Berlin")
    await tab.open(served.url)
    await tab.until_filled()
    assert await tab.text("#time-zone") == "Times in UTC, since the clocks change within this range"
    axis = "document.querySelector('#latency .js-plotly-plot')._fullLayout.xaxis.range"
    assert (await tab.page.evaluate(axis))[0].startswith("2023-10-29 00:5")
    assert await tab.text("#clock") == "02:01:58"
    assert await tab.text("#zone [data-active]") == "Local"


async def _starts_with(tab: Any, expression: str, text: str) -> bool:
    return bool((await tab.page.evaluate(expression))[0].startswith(text))


async def _is_true(tab: Any, expression: str) -> bool:
    return bool(await tab.page.evaluate(expression))


async def test_view_is_in_the_address(busy: ServedPage, new_tab: Any) -> None:
    """Range and filters are in the address, so that a colleague who follows the link sees the same."""
    tab = await new_tab()
    await tab.open(busy.url)
    await tab.until_filled()
    await tab.page.click("#range >> text=15m")
    await tab.page.click("#health-filter >> text=Unhealthy")
    await tab.page.fill("#service-filter", "mod")
    await eventually(lambda: tab.page.url.endswith("/?range=15m&q=mod&show=unhealthy"))
    other = await new_tab()
    await other.open(tab.page.url)
    await other.until_filled()
    assert list(await _cells(other)) == ["img-moderation"]
    assert await other.page.input_value("#service-filter") == "mod"


@pytest.mark.parametrize("served", [SETTINGS.model_copy(update={"is_push_enabled": False})], indirect=True)
async def test_questions_do_not_pile_up(busy: ServedPage, new_tab: Any) -> None:
    """While an answer takes its time no other is asked for; a paused page and a hidden one ask nothing."""
    tab = await new_tab()
    await tab.open(busy.url)
    await tab.until_filled()
    busy.query.gate.clear()
    await eventually(lambda: busy.query.held > 0)
    await tab.page.evaluate(
        """() => {
            const send = window.fetch;
            window.sent = 0;
            window.fetch = (...request) => { window.sent += 1; return send(...request); };
        }"""
    )
    await tab.page.wait_for_timeout(1500)
    assert await tab.page.evaluate("window.sent") == 0
    busy.query.gate.set()
    await eventually(lambda: _is_true(tab, "window.sent > 1"))
    for stop, go in (
        ("document.querySelector('#live').click()", "document.querySelector('#live').click()"),
        ("Object.defineProperty(document, 'hidden', {value: true, configurable: true})", "delete document.hidden"),
    ):
        await tab.page.evaluate(f"{stop}; window.sent = 0")
        await tab.page.wait_for_timeout(1500)
        assert await tab.page.evaluate("window.sent") <= 1, "one may have been on its way"
        await tab.page.evaluate(f"{go}; window.sent = 0")
        await eventually(lambda: _is_true(tab, "window.sent > 1"))


async def _order(tab: Any) -> list[str]:
    """The services from top to bottom."""
    found: list[str] = await tab.page.evaluate(
        """() => [...document.querySelectorAll('#services .ag-center-cols-container .ag-row')]
            .sort((a, b) => a.getAttribute('row-index') - b.getAttribute('row-index'))
            .map(row => row.querySelector('.service-name').textContent)"""
    )
    return found


async def test_the_order_of_a_table_is_in_the_address(busy: ServedPage, new_tab: Any) -> None:
    """A link has the same order, a click on a title changes both, and so does "back"; what is no column is left out."""
    tab = await new_tab()
    answer = await busy.services()
    own = [item.service for item in answer.items]
    by_p95 = [item.service for item in sorted(answer.items, key=lambda item: -(item.total.p95_s or 0))]
    await tab.open(busy.url + "?order=-p95")
    await tab.until_filled()
    await eventually(lambda: _is_order(tab, by_p95), what="the order of the link")
    await tab.page.click("#services .ag-header-cell[col-id=p95]")
    await eventually(lambda: tab.page.url.endswith("?order=p95"), what="the order in the address")
    assert await _is_order(tab, by_p95[::-1])
    await tab.page.click("#services .ag-header-cell[col-id=p95]")
    await eventually(lambda: tab.page.url.endswith("?order=none"), what="no order in the address")
    await tab.page.click("#services .ag-header-cell[col-id=p95]")
    await eventually(lambda: tab.page.url.endswith("?order=-p95"), what="the first order again")
    await tab.page.click("text=Containers")
    await tab.until("#page-containers")
    assert "order" not in tab.page.url
    await tab.page.go_back()
    await tab.until_filled()
    await eventually(lambda: _is_order(tab, by_p95), what='the order after "back"')
    await tab.open(busy.url + "?order=-nonsense,traffic,__proto__")
    await tab.until_filled()
    await eventually(lambda: _is_order(tab, own), what="the table's own order")
    assert tab.complaints == []


async def _is_order(tab: Any, wanted: list[str]) -> bool:
    return await _order(tab) == wanted


async def test_on_a_phone_every_page_is_in_a_menu(busy: ServedPage, new_tab: Any, artifacts: Path) -> None:
    """It opens by a press, shows all pages within the screen, and closes by a choice, Escape, or a press elsewhere."""
    tab = await new_tab(viewport={"width": 390, "height": 844})
    await tab.open(busy.url)
    await tab.until_filled()
    assert await tab.page.evaluate("document.documentElement.scrollWidth") <= 390
    links = tab.page.locator("#navigation a")
    assert not await links.first.is_visible()
    await tab.page.click("#menu")
    await tab.until("#menu[aria-expanded=true]")
    for link in await links.all():
        box = await link.bounding_box()
        assert box is not None
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 390
        assert box["y"] + box["height"] <= 844
        assert box["height"] >= 40, "a finger can press it"
    await tab.page.screenshot(path=artifacts / "menu-390.png")
    await tab.page.keyboard.press("Escape")
    await tab.until("#menu[aria-expanded=false]")
    await tab.page.click("#menu")
    await tab.page.click("#navigation >> text=Containers")
    await tab.until("#page-containers")
    assert not await links.first.is_visible()
    await tab.until("#menu-label:text-is('Containers')")
    await tab.page.click("#menu")
    await tab.page.mouse.click(200, 700)
    await tab.until("#menu[aria-expanded=false]")
    await tab.page.set_viewport_size({"width": 1200, "height": 844})
    assert await links.last.is_visible()
    assert not await tab.page.locator("#menu").is_visible()
    assert tab.complaints == []
