"""Each page as axe-core sees it, on a real running system with real traffic: nothing that keeps somebody out."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import pytest_asyncio
from opentelemetry.proto.metrics.v1.metrics_pb2 import NumberDataPoint

from tests.support.otlp import resource, server_spans, trace_request
from tests.support.otlp_metrics import gauge, metric_request
from tests.support.people import add_users, sign_in
from tests.support.systems import System, embedded_system

pytestmark = pytest.mark.asyncio(loop_scope="module")

AXE: Final = Path(__file__).parents[1] / "clients/js/node_modules/axe-core/axe.min.js"
FILLED: Final = "#page.is-live, #page.is-empty, #page.has-figures"
PAGES: Final = {
    "": ".services .ag-center-cols-container .ag-row",
    "service?name=churn": "#service-breakdown .ag-center-cols-container .ag-row",
    "containers": "#containers-table .ag-center-cols-container .ag-row",
    "traces": ".trace-row .row-link",
    "alerts": FILLED,
    "alerts?tab=rules&rule=_new": "#alerts-rules-list .switch",
    "pipeline": "#pipeline-flows [data-flow]",
    "settings": "#settings-live .settings-live",
    "settings?show=all&q=max_series": "[data-setting='processor.max_series']",
}
"""The address of each page, and what is there once it is filled."""
_SCAN: Final = """async () => (await axe.run(document, {resultTypes: ['violations']})).violations
    .filter(found => ['serious', 'critical'].includes(found.impact))
    .map(found => found.id + ': ' + found.nodes.slice(0, 4).map(node => node.html.slice(0, 160)).join(' | '))"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    """ModelWatch with an editor, to which two services send requests all the time, those of one failing."""
    folder = tmp_path_factory.mktemp("accessibility")
    await add_users(folder, ann="editor")
    async with embedded_system(folder) as running:
        sending = asyncio.create_task(_send_for_ever(running))
        yield running
        sending.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await sending


async def _send_for_ever(system: System) -> None:
    async with httpx.AsyncClient(headers={"Content-Type": "application/x-protobuf"}, timeout=30) as client:

        async def send(signal: str, request: Any) -> None:
            url = f"http://127.0.0.1:{system.http_port}/v1/{signal}"
            (await client.post(url, content=request.SerializeToString())).raise_for_status()

        while True:
            now_ns = time.time_ns()
            for name, code in (("churn", 503), ("fraud", 200)):
                await send("traces", trace_request(server_spans(20, status_code=code, end_ns=now_ns), resource(name)))
            await send("metrics", _container(now_ns))
            await asyncio.sleep(0.5)


def _container(now_ns: int) -> Any:
    used = NumberDataPoint(time_unix_nano=now_ns, as_double=300e6)
    of = resource("churn", container__id="c" * 64, container__name="churn-1", host__name="node-1")
    return metric_request([gauge(used, name="container.memory.working_set")], of)


async def _violations(tab: Any) -> list[str]:
    """Return what axe-core finds on what is shown now, the serious and the critical."""
    if await tab.page.evaluate("typeof axe") == "undefined":
        await tab.page.add_script_tag(content=AXE.read_text())
    found: list[str] = await tab.page.evaluate(_SCAN)
    return found


@pytest.mark.parametrize(("scheme", "width"), [("dark", 1600), ("light", 390)])
async def test_no_page_keeps_anybody_out(system: System, new_tab: Any, scheme: str, width: int) -> None:
    """No page has a serious or critical violation of what axe-core knows, dark and wide, light and on a phone.

    Neither has the login, refused and not, nor one trace with an open span, nor the menu of a phone.
    """
    assert AXE.exists(), "axe-core is missing: deploy/test-servers.sh, which `make test` runs, installs it"
    tab = await new_tab(viewport={"width": width, "height": 900}, color_scheme=scheme, bypass_csp=True)
    found = {}
    await tab.open(f"{system.url}/traces")
    found["login"] = await _violations(tab)
    await tab.page.fill("#name", "nobody")
    await tab.page.fill("#password", "wrong")
    await tab.page.click("button[type=submit]")
    await tab.until(".error")
    found["login, refused"] = await _violations(tab)
    tab.complaints.clear()  # the browser says that the login was refused
    await sign_in(tab, "ann")
    await tab.until(PAGES["traces"])
    await tab.page.click(".trace-row .row-link >> nth=0")
    await tab.page.click(".span-line >> nth=0")
    await tab.until(".span-row[open]")
    found["trace"] = await _violations(tab)
    for path, filled in PAGES.items():
        await tab.open(f"{system.url}/{path}")
        await tab.until(FILLED)
        await tab.until(filled)
        found[path or "overview"] = await _violations(tab)
    if width == 390:
        await tab.page.click("#menu")
        found["menu"] = await _violations(tab)
    assert {name: violations for name, violations in found.items() if violations} == {}
    assert tab.complaints == []
