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

from tests.support.otlp import resource, server_spans, trace_request
from tests.support.systems import System, embedded_system

pytestmark = pytest.mark.asyncio(loop_scope="module")

AXE: Final = Path(__file__).parents[1] / "clients/js/node_modules/axe-core/axe.min.js"
PATHS: Final = ("", "service?name=churn", "containers", "traces", "alerts", "alerts?tab=rules&rule=_new", "pipeline")
_SCAN: Final = """async () => (await axe.run(document, {resultTypes: ['violations']})).violations
    .filter(found => ['serious', 'critical'].includes(found.impact))
    .map(found => found.id + ': ' + found.nodes.slice(0, 4).map(node => node.html.slice(0, 160)).join(' | '))"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    """ModelWatch, to which two services send requests all the time, those of one failing."""
    async with embedded_system(tmp_path_factory.mktemp("accessibility")) as running:
        sending = asyncio.create_task(_send_for_ever(running))
        yield running
        sending.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await sending


async def _send_for_ever(system: System) -> None:
    async with httpx.AsyncClient(headers={"Content-Type": "application/x-protobuf"}, timeout=30) as client:
        while True:
            for name, code in (("churn", 503), ("fraud", 200)):
                spans = server_spans(20, status_code=code, end_ns=time.time_ns())
                body = trace_request(spans, resource(name)).SerializeToString()
                (await client.post(f"http://127.0.0.1:{system.http_port}/v1/traces", content=body)).raise_for_status()
            await asyncio.sleep(0.5)


@pytest.mark.parametrize("width", [1600, 390])
@pytest.mark.parametrize("scheme", ["dark", "light"])
async def test_no_page_keeps_anybody_out(system: System, new_tab: Any, scheme: str, width: int) -> None:
    """No page has a serious or critical violation of what axe-core knows, dark and light, wide and on a phone."""
    assert AXE.exists(), "axe-core is missing: deploy/test-servers.sh, which `make test` runs, installs it"
    tab = await new_tab(viewport={"width": width, "height": 900}, color_scheme=scheme, bypass_csp=True)
    found = {}
    for path in PATHS:
        await tab.open(f"{system.url}/{path}")
        await tab.until("#page.is-live, #page.is-empty, #page.has-figures")
        await tab.page.add_script_tag(content=AXE.read_text())
        if violations := await tab.page.evaluate(_SCAN):
            found[path or "overview"] = violations
    assert found == {}
    assert tab.complaints == []
