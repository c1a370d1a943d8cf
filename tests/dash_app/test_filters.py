"""The filters in the bar: the same on every page, in the address, and honest about where they do not apply."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from dash_app.overview.snapshot import take_snapshot
from dash_app.service.snapshot import ServiceView
from dash_app.service.snapshot import take_snapshot as take_service_snapshot
from dash_app.shared import formatting
from dash_app.shell.filter_choices import MOST_CHOICES, FilterChoices, choices_of
from dash_app.shell.filters import may_be_of, words_of
from dash_app.shell.view import RANGES, View
from query import SeriesFilter
from telemetry import SeriesKey
from tests.support.dash_pages import RANGE_S, ServedPage, Tab, WatchedQuery, calls
from tests.support.query_world import NOW_S, World, make_world
from tests.support.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

HOSTILE = "<img src=x onerror=alert(1)> \u202etxet 🦠"


def key(service: str, environment: str, model: str, version: str) -> SeriesKey:
    return SeriesKey(service, version, deployment_environment=environment, model_name=model)


SERIES = (
    key("shop", "prod", "iris", "1"),
    key("shop", "prod", "rose", "2"),
    key("shop", "test", "rose", "2"),
    key("bank", "prod", "iris", "7"),
)


async def filtered_world() -> World:
    world = make_world()
    for number, series in enumerate(SERIES, 1):
        await world.commit(*(calls(series, NOW_S - 10 - second, [0.1] * number) for second in range(10)))
    return world


def offered(world_choices: Any, name: str) -> list[str]:
    return [choice["value"] for choice in world_choices[f"filter-{name}"]["data"]]


async def test_filters_offer_what_was_seen_beside_the_others() -> None:
    """Each offers the values that were seen with what the other filters let through, and always what is chosen."""
    choices = FilterChoices((await filtered_world()).query)
    nothing_chosen = await choices.beside({}, View())
    assert [offered(nothing_chosen, name) for name in ("env", "service", "model", "version")] == [
        ["prod", "test"],
        ["bank", "shop"],
        ["iris", "rose"],
        ["1", "2", "7"],
    ]
    chosen = await choices.beside({}, View(where=SeriesFilter("shop", "test", "iris")))
    assert [offered(chosen, name) for name in ("env", "service", "model", "version")] == [
        ["prod", "test"],
        ["shop"],
        ["rose", "iris"],
        [],
    ]
    assert chosen["filter-version-box"] == {"hidden": True}
    assert chosen["filter-model-box"] == {"hidden": False}


async def test_very_many_values_are_cut_and_named_visibly() -> None:
    """No sender can make the bar endless, nor write in it what cannot be seen."""
    seen = [("", f"s{number:05}", "", "") for number in range(3_000)]
    shown = choices_of([*seen, ("", "\u202ea", "", "")], SeriesFilter("zzz"))["filter-service"]["data"]
    assert len(shown) == MOST_CHOICES + 1
    assert shown[-1] == {"value": "zzz", "label": "zzz"}
    assert choices_of([("", "\u202ea", "", "")], SeriesFilter())["filter-service"]["data"] == [
        {"value": "\u202ea", "label": "\ufffda"}
    ]


async def test_pages_are_there_when_choices_are_not() -> None:
    """A question about filters that hangs or fails leaves what was known last, and the page is not kept back."""
    world = await filtered_world()
    gate = asyncio.Event()

    class Hesitating(WatchedQuery):
        async def totals(self, *args: Any) -> Any:
            await gate.wait()
            if self.error is not None:
                raise self.error
            return await super().totals(*args)

    query = Hesitating(world.query)
    choices = FilterChoices(query, lambda: world.clock.now_s)  # type: ignore[arg-type]
    assert await choices.seen(RANGES["5m"]) == ()
    gate.set()
    await eventually(lambda: choices._latest, what="the choices are known")
    query.error = RuntimeError("no")
    world.advance(60)
    assert len(await choices.seen(RANGES["5m"])) == len(SERIES)


async def test_pages_show_what_the_filter_lets_through() -> None:
    """Overview and Service answer with the figures of `query` for the same filter."""
    world = await filtered_world()
    for where in (SeriesFilter(model_name="rose"), SeriesFilter("shop", "prod"), SeriesFilter(service_version="7")):
        snapshot = await take_snapshot(world.query, world.resources, View(where=where))
        wanted = await world.query.services(RANGE_S, where, snapshot.end_s)
        assert snapshot.services.total == wanted.total
        assert sum(item.total.calls for item in snapshot.by_service.items) == wanted.total.calls
    rose = View(where=SeriesFilter(model_name="rose"))
    details = (await take_service_snapshot(world.query, world.resources, ServiceView(rose, "shop"))).details
    assert details is not None
    assert details.summary.total.calls == 10 * (2 + 3)
    assert details.summary.versions == ("2",)


async def test_what_has_no_label_is_not_left_out() -> None:
    """An alert about a whole service is shown whatever model is chosen; one about another model is not."""
    where = SeriesFilter("shop", model_name="iris")
    assert may_be_of(where, {"service": "shop"})
    assert may_be_of(where, {})
    assert not may_be_of(where, {"service": "shop", "model": "rose"})
    assert words_of(SeriesFilter("shop", "prod", "iris", "1")) == (
        " of the service shop with the model iris of version 1 in the environment prod"
    )


async def choose(tab: Tab, name: str, text: str) -> None:
    """Choose a value as people do: type a part of it, take what is found."""
    await tab.page.click(f"#filter-{name}")
    await tab.page.keyboard.type(text)
    await tab.page.click(f"[role=option]:visible:has-text('{text}')")


async def test_filters_go_along_from_page_to_page(served: ServedPage, new_tab: Any, artifacts: Path) -> None:
    """What is chosen in the bar is in the address and on the next page; a page that it does not fit says so."""
    for number, series in enumerate((*SERIES, key(HOSTILE, "prod", HOSTILE, HOSTILE)), 1):
        await served.publish([calls(series, NOW_S - 10 - second, [0.1] * number) for second in range(8)])
    tab = await new_tab()
    await tab.open(served.url)
    await tab.until_filled()
    await choose(tab, "model", "iris")
    await choose(tab, "version", "7")
    await eventually(lambda: urlsplit(tab.page.url).query == "model=iris&version=7")
    where = SeriesFilter(model_name="iris", service_version="7")
    wanted = (await served.world.query.services(RANGE_S, where, served.world.query.settled_end_s())).total
    rate = formatting.rate(wanted.rate_per_s).number
    await tab.until(f"[data-kpi=requests] .kpi-number:text-is('{rate}')")
    assert await tab.page.locator(".services .ag-center-cols-container .ag-row").count() == 1
    await tab.page.screenshot(path=artifacts / "filters.png")
    await tab.page.click("nav >> text=Containers")
    await tab.until("#filter-note:has-text('Model and version do not filter this page')")
    assert await tab.page.is_disabled("#filter-model")
    assert not await tab.page.is_disabled("#filter-service")
    await tab.page.screenshot(path=artifacts / "filters-elsewhere.png")
    await tab.page.click("nav >> text=Service")
    await tab.until("#filter-note:text-is('')")
    assert urlsplit(tab.page.url).query == "model=iris&version=7"
    assert await tab.page.input_value("#filter-model") == "iris"
    await tab.open(f"{served.url}service?service=shop")
    await tab.until("#service-title:text-is('shop')")
    assert not await tab.page.is_disabled("#filter-service"), "it is what chooses the service that is shown"
    assert await tab.text("#filter-note") == ""
    await tab.page.evaluate("modelwatch.address.go('/service?service=shop&name=shop')")
    await tab.until("#filter-note:has-text('Service does not filter this page')")
    assert tab.complaints == []


async def test_hostile_values_are_only_text(served: ServedPage, new_tab: Any) -> None:
    """A value of a filter may be anything: it is offered and shown letter by letter, and leads nowhere else."""
    await served.publish([calls(key(HOSTILE, "prod", HOSTILE, HOSTILE), NOW_S - 10, [0.1])])
    await served.publish([calls(SERIES[0], NOW_S - 10, [0.1])])
    tab = await new_tab(viewport={"width": 390, "height": 844})
    await tab.open(served.url)
    await tab.until_filled()
    await choose(tab, "model", "onerror")
    await eventually(lambda: parse_qs(urlsplit(tab.page.url).query).get("model") == [HOSTILE])
    await tab.until("[data-kpi=unhealthy] .kpi-unit:text-is('of 1 service')")
    other = await new_tab()
    await other.open(f"{served.url}?version=%00%3Cscript%3E&env=prod")
    await other.until("#page.is-empty")
    words = "No calls of version \ufffd<script> in the environment prod in the last 5 minutes."
    await other.until(f"#empty-reason:has-text('{words}')")
    assert await tab.page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    assert tab.complaints == other.complaints == []
    assert tab.outside == other.outside == []
