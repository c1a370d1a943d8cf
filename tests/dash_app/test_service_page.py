"""The page of a service in a real browser: what is shown is what was answered, and every view has its address."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest

from dash_app.shared import formatting
from query import SeriesFilter
from telemetry import RedPoint, SeriesKey
from tests.support.dash_pages import ServedPage, calls
from tests.support.query_world import NOW_S
from tests.support.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

NAME = "img-moderation"
HOSTILE = ('<img src=x onerror="alert(1)">', "\u202etxet 🦊 &amp;", "nul\u0000l", "x" * 10_000)


def with_others(points: list[RedPoint]) -> Iterator[RedPoint]:
    """The traffic, a second version of one service from some time on, and what it asks of others."""
    for point in points:
        series = point.series
        if series.service_name == NAME and point.start_s >= NOW_S - 150:
            series = series._replace(service_version="5.1")
        yield replace(point, series=series)
        if series.service_name == NAME and series.http_status_class == "2xx":
            yield replace(
                point,
                series=series._replace(span_kind="CLIENT", http_route="", peer="features", operation="Get"),
            )


async def cells(tab: Any) -> dict[str, dict[str, str]]:
    """The table as text, by name and column."""
    return dict(
        await tab.page.evaluate(
            """() => [...document.querySelectorAll('#service-breakdown .ag-row')].map(row => [
                row.querySelector('.service-name').textContent,
                Object.fromEntries([...row.querySelectorAll('.ag-cell')].map(
                    cell => [cell.getAttribute('col-id'), cell.textContent]))])"""
        )
    )


async def until_drawn(tab: Any) -> None:
    await tab.until("#page.has-figures")
    await tab.until("#service-heatmap .heatmaplayer image")
    await tab.until("#service-breakdown .ag-center-cols-container .ag-row")


async def test_numbers_equal_the_answers(
    served: ServedPage, new_tab: Any, artifacts: Path, model_points: list[RedPoint]
) -> None:
    """From a row of the overview to the page: cards, tables, problems and releases are those of `query`."""
    await served.publish(list(with_others(model_points)))
    tab = await new_tab()
    await tab.open(served.url)
    await tab.until_filled()
    await tab.page.click(f".service-name:text-is('{NAME}')")
    await until_drawn(tab)
    assert tab.page.url == f"{served.url}service?name={NAME}"
    assert await tab.page.title() == "Service · ModelWatch"
    assert await tab.text(".navigation [aria-current=page]") == "Service"
    item = next(item for item in (await served.services()).items if item.service == NAME)
    assert await tab.text("#service-title") == NAME
    assert await tab.text("#service-kpis [data-kpi=p99] .kpi-number") == formatting.duration(item.total.p99_s).number
    error_rate = formatting.percent(item.total.error_rate).number
    assert await tab.text("#service-kpis [data-kpi=error-rate] .kpi-number") == error_rate
    assert item.problems[0].evidence in await tab.text("#service-problems")
    assert (await tab.text("#service-releases")).split() == ["5.1", "Nov", "14,", "22:10:48"], (
        "the step that holds its first call"
    )
    await check_rows(served, tab, "route", SeriesFilter(service_name=NAME))
    await tab.page.screenshot(path=artifacts / "service-dark.png", full_page=True)
    for chart in ("throughput", "latency", "errors", "heatmap"):
        assert "5.1" in await tab.page.locator(f"#service-{chart} .annotation-text").all_text_contents()
    bands = "document.querySelector('#service-latency .js-plotly-plot').data.map(line => [line.name, line.fill || ''])"
    assert await tab.page.evaluate(bands) == [["P50", ""], ["P95", "tonexty"], ["P99", "tonexty"]]
    for title, field, name in (("Versions", "version", "5.1"), ("Status", "status_class", "5xx")):
        await tab.page.click(f"#service-by >> text={title}")
        await tab.until(f"#service-breakdown .service-name:text-is('{name}')")
        await check_rows(served, tab, field, SeriesFilter(service_name=NAME))
    await tab.page.click("#service-by >> text=Dependencies")
    await tab.until("#service-breakdown .service-name:text-is('features')")
    await check_rows(served, tab, "peer", SeriesFilter(service_name=NAME, span_kinds=frozenset({"CLIENT"})))
    assert parse_qs(urlsplit(tab.page.url).query) == {"name": [NAME], "by": ["dependency"]}
    await tab.page.click("#service-by >> text=Model steps")
    await tab.until("#service-table-note:has-text('No INTERNAL spans')")
    await tab.page.click("#scheme")
    await tab.until(":root[data-mantine-color-scheme=light]")
    await tab.page.screenshot(path=artifacts / "service-light.png", full_page=True)
    for _ in range(4):
        await tab.page.go_back()
    await tab.until("#service-breakdown .service-name:text-is('/predict')")
    await tab.page.go_back()
    await tab.until_filled()
    assert tab.complaints == []
    assert tab.outside == []


async def check_rows(served: ServedPage, tab: Any, field: Any, where: SeriesFilter) -> None:
    end_s = served.world.query.settled_end_s()
    answer = await served.world.query.breakdown(300, end_s, (field,), where)
    shown = await cells(tab)
    assert set(shown) == {item.labels[field] for item in answer.items}
    busy_s = sum(item.total.busy_s for item in answer.items)
    for item in answer.items:
        row = shown[item.labels[field]]
        assert row["p95"] == formatting.duration(item.total.p95_s).text
        assert row["rate"] == formatting.rate(item.total.rate_per_s).number
        assert row["errors"] == formatting.percent(item.total.error_rate).number
        assert row["time"] == formatting.percent(item.total.busy_s / busy_s).number


async def test_without_a_name_there_is_a_choice(busy: ServedPage, new_tab: Any, artifacts: Path) -> None:
    """The services of the environment, the worst first; an unheard of one is said to have no calls."""
    tab = await new_tab()
    await tab.open(busy.url + "service?env=staging")
    await tab.until("#service-list .problem")
    names = await tab.page.eval_on_selector_all("#service-list bdi", "all => all.map(one => one.textContent)")
    assert names == ["price-elasticity", "summarizer-sm"]
    await tab.page.screenshot(path=artifacts / "service-choice.png")
    await tab.page.click("#service-list .problem >> nth=1")
    await tab.until("#service-title:text-is('summarizer-sm')")
    assert parse_qs(urlsplit(tab.page.url).query) == {"env": ["staging"], "name": ["summarizer-sm"]}
    await tab.open(busy.url + "service?name=unheard-of")
    await tab.until("#page.is-empty")
    reason = ["No calls of the service unheard-of in the last 5 minutes.", "Choose a longer range."]
    assert (await tab.text("#empty-reason")).split("\n") == reason
    assert tab.complaints == []


async def test_yesterday_is_a_dashed_line(served: ServedPage, new_tab: Any, artifacts: Path) -> None:
    """Compared with the day before, or told that there is nothing to compare with."""
    now_and_then = (NOW_S, NOW_S - 86_400)
    for end_s in now_and_then:
        points = [calls(SeriesKey("steady", http_status_class="2xx"), end_s - age, [0.1] * 5) for age in range(1, 250)]
        await served.publish(points)
    tab = await new_tab()
    await tab.open(served.url + "service?name=steady&compare=day")
    await tab.until("#service-latency-subtitle:text-is('dashed: yesterday')")
    await until_drawn(tab)
    traces = "document.querySelector('#{} .js-plotly-plot').data.map(trace => trace.name)"
    assert await tab.page.evaluate(traces.format("service-throughput")) == ["2xx", "yesterday"]
    assert (await tab.page.evaluate(traces.format("service-latency")))[-1] == "P95 yesterday"
    await tab.page.screenshot(path=artifacts / "service-yesterday.png")
    await tab.page.click("#service-compare >> text=vs last week")
    await tab.until("#service-latency-subtitle:text-is('no calls last week')")
    assert tab.complaints == []


async def test_names_are_never_markup(served: ServedPage, new_tab: Any, artifacts: Path) -> None:
    """Whatever a service, its versions, routes and peers are called is shown as text, however long; it fits a phone."""
    for name in HOSTILE:
        series = SeriesKey(name, name, name, deployment_environment=name, http_route=name, http_status_class="5xx")
        await served.publish([calls(series, NOW_S - 10 - step, [2.0] * 9, 9) for step in range(20)])
        await served.publish([calls(series._replace(span_kind="CLIENT", peer=name), NOW_S - 10, [1.0])])
    tab = await new_tab(viewport={"width": 390, "height": 844}, timezone_id="UTC", has_touch=True, is_mobile=True)
    for index, name in enumerate(HOSTILE):
        await tab.open(f"{served.url}service?name={quote(name)}&by=version")
        await until_drawn(tab)
        shown = name.replace("\u202e", "\ufffd").replace("\u0000", "\ufffd")
        assert await tab.page.text_content("#service-title") == shown
        assert list(await cells(tab)) == [shown]
        assert await tab.page.evaluate("document.querySelectorAll('#content img, #content svg b').length") == 0
        assert await tab.page.evaluate("document.documentElement.scrollWidth") == 390
        widths = "[...document.querySelectorAll('#service-kpis > .kpi')].map(card => card.clientWidth)"
        assert min(await tab.page.evaluate(widths)) > 150, "two cards beside each other"
        await tab.page.screenshot(path=artifacts / f"service-hostile-{index}.png", full_page=True)
    assert tab.complaints == []
    assert tab.outside == []


async def test_charts_and_tables_are_saved_as_csv(busy: ServedPage, new_tab: Any, tmp_path: Path) -> None:
    """Numbers as they were answered, times in UTC; a name that looks like a formula is only text."""
    await busy.publish([calls(SeriesKey(NAME, http_route='=cmd|"x"', http_status_class="2xx"), NOW_S - 20, [0.1] * 3)])
    tab = await new_tab(timezone_id="Asia/Kolkata")
    await tab.open(f"{busy.url}service?name={NAME}")
    await until_drawn(tab)
    await tab.until("#service-breakdown .service-name:has-text('=cmd')")

    async def saved(card: str) -> list[list[str]]:
        async with tab.page.expect_download() as download:
            await tab.page.click(f"{card} .csv-button")
        path = tmp_path / "saved.csv"
        await (await download.value).save_as(path)
        with path.open(encoding="utf-8-sig", newline="") as file:
            return list(csv.reader(file))

    end_s = busy.world.query.settled_end_s()
    where = SeriesFilter(service_name=NAME)
    answer = await busy.world.query.red(end_s - 300, end_s, 3, (), where)
    chart = await saved(".card:has(#service-latency)")
    assert chart[0] == ["time", "P50 (s)", "P95 (s)", "P99 (s)"]
    assert chart[1][0] == "2023-11-14T22:08:18.000Z"
    assert [float(row[2]) for row in chart[1:]] == [round(step.p95_s or 0, 6) for step in answer.items[0].steps]
    errors = await saved(".card:has(#service-errors)")
    assert errors[0] == ["time", "5xx (ratio)", "4xx (ratio)"]
    shares = [step.errors / step.calls if step.calls else None for step in answer.items[0].steps]
    assert [float(row[1]) if row[1] else None for row in errors[1:]] == pytest.approx(shares, abs=1e-9)
    assert (await saved(".card:has(#service-throughput)"))[0][1].endswith(" (requests/s)")
    heat = await saved(".card:has(#service-heatmap)")
    assert sum(int(count) for row in heat[1:] for count in row[1:]) == answer.items[0].total.calls
    table = await saved(".card:has(#service-breakdown)")
    names = table[0].index("name")
    assert {row[names] for row in table[1:]} == {"/predict", "/predict/batch", '\'=cmd|"x"'}
    assert sum(int(row[table[0].index("calls")]) for row in table[1:]) == answer.items[0].total.calls
    assert tab.complaints == []


async def test_pages_are_changed_without_a_reload_and_late_answers_are_dropped(busy: ServedPage, new_tab: Any) -> None:
    """What is chosen for all pages is kept; an answer for a page that was left does no harm; unknown paths are none."""
    tab = await new_tab()
    await tab.open(busy.url + "?range=15m&tz=utc&q=mod")
    await tab.until_filled()
    await tab.page.evaluate("window.isTheSame = true")
    busy.query.gate.clear()
    await eventually(lambda: busy.query.held > 0)
    await tab.page.click(".page-link:text-is('Service')")
    await tab.until("#page.is-loading")
    busy.query.gate.set()
    await tab.until("#service-list .problem")
    assert await tab.page.evaluate("window.isTheSame")
    assert parse_qs(urlsplit(tab.page.url).query) == {"range": ["15m"], "tz": ["utc"]}
    for _ in range(3):
        await tab.page.click(".page-link:text-is('Overview')")
        await tab.page.click(".page-link:text-is('Service')")
    await tab.page.click(".page-link:text-is('Overview')")
    await tab.until_filled()
    assert await tab.page.title() == "Overview · ModelWatch"
    assert tab.complaints == []


async def test_page_that_is_back_is_there_at_once_and_not_taken_for_live(busy: ServedPage, new_tab: Any) -> None:
    """It is grey, with the time of its figures, until there are new ones; of another service it is blank till then."""
    tab = await new_tab()
    await tab.open(f"{busy.url}service?name={NAME}")
    await until_drawn(tab)
    await tab.page.evaluate("window.chart = document.querySelector('#service-latency .js-plotly-plot')")
    await tab.page.click(".page-link:text-is('Overview')")
    await tab.until_filled()
    assert not await tab.page.is_visible("#service-title")
    clock = await tab.text("#clock")
    busy.query.gate.clear()
    busy.world.advance(5)
    await eventually(lambda: busy.query.held > 0)
    await tab.page.go_back()
    await tab.until("#page.is-loading")
    place = tab.page.locator("#place-service")
    assert await place.evaluate("place => getComputedStyle(place).filter") == "grayscale(1)"
    assert await tab.page.is_visible("#service-title")
    assert await tab.text("#clock") == clock
    busy.query.gate.set()
    await tab.until_open("service")
    await tab.until("#page.has-figures")
    assert await place.evaluate("place => getComputedStyle(place).filter") == "none"
    assert await tab.page.evaluate("window.chart === document.querySelector('#service-latency .js-plotly-plot')")
    await tab.page.click(".page-link:text-is('Overview')")
    await tab.until_filled()
    busy.query.gate.clear()
    await eventually(lambda: busy.query.held > 0)
    await tab.page.click(".service-name:text-is('churn-xgb')")
    await tab.until("#page.is-loading")
    assert not await tab.page.is_visible("#service-title")
    busy.query.gate.set()
    await tab.until("#service-title:text-is('churn-xgb')")
    assert await tab.page.is_visible("#service-title")
    assert tab.complaints == []


async def test_rows_and_cells_lead_to_their_requests(busy: ServedPage, new_tab: Any) -> None:
    """A row to the slowest of its group, a cell of the heatmap to those of its time and durations."""
    tab = await new_tab()
    await tab.open(busy.url + "service?name=ctr-ranker&range=15m")
    await tab.until("#service-breakdown .ag-row a.service")
    route = await tab.text("#service-breakdown .ag-row a.service .service-name >> nth=0")
    await tab.page.click("#service-breakdown .ag-row a.service >> nth=0")
    await tab.until_open("traces")
    fields = {name: found[0] for name, found in parse_qs(urlsplit(tab.page.url).query).items()}
    assert fields == {"range": "15m", "name": "ctr-ranker", "route": route, "sort": "duration"}
    await tab.page.go_back()
    await tab.until_open("service")
    await tab.until("#page-service #service-heatmap .heatmaplayer image")
    await eventually(lambda: tab.page.evaluate(_LAST_CELL), timeout_s=30)
    x, y, start_ms, low_s, high_s = await tab.page.evaluate(_LAST_CELL)
    await tab.page.mouse.move(x, y)
    await tab.page.mouse.click(x, y)
    await tab.until_open("traces")
    fields = {name: found[0] for name, found in parse_qs(urlsplit(tab.page.url).query).items()}
    assert fields["name"] == "ctr-ranker"
    assert (float(fields["min"]), float(fields["max"])) == (low_s, high_s)
    assert datetime.fromisoformat(fields["from"]).timestamp() == start_ms / 1_000
    assert datetime.fromisoformat(fields["to"]).timestamp() >= start_ms / 1_000 + 10
    assert tab.complaints == []


_LAST_CELL = """() => {
    const plot = document.querySelector('#service-heatmap .js-plotly-plot');
    if (!plot || !plot.data || !plot.data.length) return null;
    const { x, y, z } = plot.data[0];
    const found = z.flatMap((row, r) => row.map((count, c) => [count, r, c])).filter(([count]) => count);
    const [, r, c] = found.reduce((best, one) => (one[2] > best[2] ? one : best));
    const { xaxis, yaxis } = plot._fullLayout;
    const box = plot.getBoundingClientRect();
    const middle = (x[c] + x[c + 1]) / 2;
    const height = Math.sqrt(y[r] * y[r + 1]);
    const place = [box.left + xaxis._offset + xaxis.d2p(middle), box.top + yaxis._offset + yaxis.d2p(height)];
    return [...place, x[c], y[r], y[r + 1]];
}"""
"""Where the middle of the last cell with calls is, when it begins in milliseconds, and its durations."""
