"""Names that do harm, sent over OTLP to `modelwatch up`, on all pages: they are letters, and the pages hold.

Whatever a sender may name: services, versions, instances, environments, models, routes, attributes, containers.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
import pytest_asyncio
from google.protobuf.message import Message

from tests.support.otlp import key_values, resource, server_span, span, trace_request
from tests.support.otlp_metrics import gauge, metric_request, number_point, total
from tests.support.systems import System, embedded_system
from tests.support.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

MARKUP = '<img src=x onerror="document.title=1">'
NAMES = (MARKUP, "\u202etxet 🦊 &amp; %{y}", "nul\u0000l\u200b", "long" + "g" * 9_996, "   ")
PHONE = {"width": 390, "height": 844}
_SPANS = 12
_FIRST_S = 60


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    """ModelWatch, which services with all of these names in all places have sent to."""
    async with embedded_system(tmp_path_factory.mktemp("hostile")) as running:
        async with httpx.AsyncClient(headers={"Content-Type": "application/x-protobuf"}, timeout=30) as client:
            for number, name in enumerate(NAMES):
                for signal, request in (("traces", _requests(number, name)), ("metrics", _container(number, name))):
                    url = f"http://127.0.0.1:{running.http_port}/v1/{signal}"
                    (await client.post(url, content=request.SerializeToString())).raise_for_status()
        yield running


def _resource(number: int, name: str) -> Any:
    fields = {
        "service__version": name,
        "service__instance__id": name,
        "deployment__environment__name": name,
        "container__id": f"{number:064x}",
        "container__name": name,
        "host__name": name,
        "container__image__name": name,
        name: name,
    }
    return resource(name, **fields)


def _requests(number: int, name: str) -> Message:
    """Return failing requests of one service, each with a step of a model and a question to another service."""
    spans = []
    for index in range(_SPANS):
        end_ns = time.time_ns() - 10**9 * (_FIRST_S - 4 * index)
        trace_id = (1 + 100 * number + index).to_bytes(16, "big")
        more = {"ml.model.name": name, "ml.model.version": name, name: name, "exception.message": name}
        request = server_span(
            name, f"/{name}", 503, 2 * 10**9, end_ns, method="POST", attributes=more, trace_id=trace_id, index=index
        )
        request.events.add(name=name, time_unix_nano=end_ns, attributes=key_values({name: name}))
        request.status.message = name
        parent = {"trace_id": trace_id, "parent_span_id": request.span_id, "end_ns": end_ns, "index": index}
        step = span(name, attributes={"ml.operation.name": name, "ml.model.name": name}, **parent)  # type: ignore[arg-type]
        asked = span(name, kind=3, attributes={"server.address": name, "rpc.method": name}, **parent)  # type: ignore[arg-type]
        spans += [request, step, asked]
    return trace_request(spans, _resource(number, name), scope=name)


def _container(number: int, name: str) -> Message:
    """Return what a container of that name used in the last minute."""
    cpu, memory = [], []
    for age_s in range(_FIRST_S, 0, -5):
        time_ns = time.time_ns() - 10**9 * age_s
        for points, value in ((cpu, 1_000.0 - age_s / 2), (memory, 3e8)):
            point = number_point(value)
            point.time_unix_nano = time_ns
            points.append(point)
    metrics = [total(*cpu, name="container.cpu.time"), gauge(*memory, name="container.memory.working_set")]
    return metric_request(metrics, _resource(number, name))


def _addresses(system: System) -> list[str]:
    first = f"{1:032x}"
    found = ["/", "/containers", "/traces", f"/traces?trace={first}", "/alerts", "/pipeline", "/settings"]
    for name in NAMES:
        short = name[:1_024]  # what a store keeps of a name, and an address of it
        found.append("/service?" + urlencode({"name": short}))
    everywhere = (dict.fromkeys(("service", "env", "version", "model"), one) for one in (MARKUP, NAMES[3][:1_024]))
    found += ["/?" + urlencode(fields) for fields in everywhere]
    markup = {"name": MARKUP}
    found += ["/service?" + urlencode({**markup, "by": by}) for by in ("instance", "dependency", "step")]
    found += ["/traces?" + urlencode({**markup, "route": f"/{MARKUP}"}), "/traces?" + urlencode({"trace": MARKUP})]
    found += ["/containers?" + urlencode({"by": "service"}), "/?" + urlencode({"q": MARKUP, "tz": MARKUP})]
    return [system.url + address for address in found]


_MARKUP_FOUND = """() => {
    const harm = ':is(#page, .top) :is(img:not([src="/assets/logo.svg"]), iframe, script, a[href^="javascript"])';
    return [...document.querySelectorAll(harm)].map(found => found.outerHTML.slice(0, 200));
}"""
_FITS = "document.documentElement.scrollWidth <= window.innerWidth"
_OVERHANGING = """() => [...document.querySelectorAll('#page .card, #page .kpi, #page h1, .top')]
    .filter(found => found.getBoundingClientRect().width && found.getBoundingClientRect().right > window.innerWidth + 1)
    .map(found => found.outerHTML.slice(0, 160))"""


_SQUEEZED = """() => [...document.querySelectorAll('#page .kpi')].map(card => card.getBoundingClientRect().width)
    .filter(width => width && width < 150)"""


async def test_no_name_does_anything_on_any_page(system: System, new_tab: Any, artifacts: Path) -> None:
    """No markup, no complaint, no request elsewhere, nothing wider than a phone."""
    tab = await new_tab(viewport=PHONE)
    troubles = {}
    for number, url in enumerate(_addresses(system)):
        await tab.open(url)
        await tab.until("#page.has-figures, #page.is-empty")
        await tab.until("#content > *")
        found = [
            *await tab.page.evaluate(_MARKUP_FOUND),
            *await tab.page.evaluate(_OVERHANGING),
            *await tab.page.evaluate(_SQUEEZED),
            *([] if await tab.page.evaluate(_FITS) else ["wider than the screen"]),
            *([] if (await tab.page.title()).endswith("· ModelWatch") else ["the title was changed"]),
            *tab.complaints,
        ]
        tab.complaints.clear()
        if found:
            troubles[url[:120]] = found
            await tab.page.screenshot(path=artifacts / f"hostile-{number}.png")
    assert troubles == {}
    assert tab.outside == []


async def test_every_name_is_shown_where_it_belongs(system: System, new_tab: Any, artifacts: Path) -> None:
    """Each service, each container and each request is there and can be told apart from the others."""
    tab = await new_tab()
    await tab.open(system.url)
    await tab.until_filled()
    await eventually(lambda: _count(tab, ".services .ag-center-cols-container .ag-row", len(NAMES)), timeout_s=30)
    names = await tab.page.evaluate("[...document.querySelectorAll('.services .service-name')].map(n => n.textContent)")
    assert MARKUP in names
    assert any(name.startswith("\ufffdtxet 🦊 &amp; %{y}") for name in names)
    assert any(name.startswith("nul\ufffdl") for name in names)
    assert "(blank)" in names
    await tab.page.screenshot(path=artifacts / "hostile-overview.png", full_page=True)
    await tab.open(f"{system.url}/traces?name={MARKUP.replace('=', '%3D').replace('#', '%23')}&range=15m")
    await tab.until(".trace-row .row-link")
    await tab.page.click(".trace-row .row-link >> nth=0")
    await tab.until(".span-row")
    await tab.page.click(".span-line >> nth=0")
    await tab.until(".span-row[open] .span-facts")
    assert MARKUP in await tab.text(".span-row[open] .span-details")
    await tab.page.screenshot(path=artifacts / "hostile-trace.png", full_page=True)
    await tab.open(f"{system.url}/containers")
    await tab.until("#containers-table .ag-row, #page.is-empty")
    await eventually(lambda: _count(tab, "#containers-table .ag-center-cols-container .ag-row", len(NAMES)))
    await tab.page.screenshot(path=artifacts / "hostile-containers.png", full_page=True)
    assert tab.complaints == []


async def _count(tab: Any, selector: str, least: int) -> bool:
    return int(await tab.page.locator(selector).count()) >= least
