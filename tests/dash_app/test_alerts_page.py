"""The page of alerts in a real browser against `modelwatch up`, a real process that real spans are sent to."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from tests.support.http_sink import HttpSink, answer
from tests.support.otlp import resource, server_spans, trace_request
from tests.support.systems import System, embedded_system
from tests.support.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

HOSTILE = "<img src=x onerror=alert(1)> \u202eevil"
SECRET = "s3cr3t-Wert"
SHOWN = HOSTILE.replace("\u202e", "\ufffd")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sink() -> AsyncIterator[HttpSink]:
    """Where the one channel posts to, which is for no alert of these tests."""
    async with HttpSink() as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(tmp_path_factory: pytest.TempPathFactory, sink: HttpSink) -> AsyncIterator[System]:
    """ModelWatch with a channel, to which two services send failing requests all the time."""
    channels = f"[{{name: hook, url: 'http://127.0.0.1:{sink.port}/{SECRET}', labels: {{service: 'nobody'}}}}]"
    told = {"MODELWATCH_ALERTS__CHANNELS": channels, "MODELWATCH_ALERTS__ALLOWED_NETWORKS": "127.0.0.1/32"}
    async with embedded_system(tmp_path_factory.mktemp("alerts"), **told) as running:
        traffic = asyncio.create_task(_send_for_ever(running))
        yield running
        traffic.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await traffic


async def _send_for_ever(system: System) -> None:
    async with httpx.AsyncClient() as client:
        # The test of a rule looks at whole minutes.
        for minutes in range(20, 0, -1):
            await _send(client, system, "churn", time.time_ns() - 60_000_000_000 * minutes)
        while True:
            for name in ("churn", HOSTILE):
                await _send(client, system, name, time.time_ns())
            await asyncio.sleep(0.5)


async def _send(client: httpx.AsyncClient, system: System, name: str, end_ns: int) -> None:
    body = trace_request(server_spans(20, status_code=503, end_ns=end_ns), resource(name)).SerializeToString()
    headers = {"Content-Type": "application/x-protobuf"}
    answer = await client.post(
        f"http://127.0.0.1:{system.http_port}/v1/traces", content=body, headers=headers, timeout=30
    )
    answer.raise_for_status()


async def _alerts(system: System) -> list[dict[str, Any]]:
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"{system.url}/api/v1/alerts?state=firing", timeout=30)
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


async def _is_badge_right(tab: Any, system: System) -> bool:
    return await tab.text("#alert-badge-number") == str(len(await _alerts(system)))


async def _is_empty(tab: Any, field: str) -> bool:
    return str(await tab.page.input_value(field)) == ""


async def _opened(new_tab: Any, system: System, search: str = "", **options: Any) -> Any:
    tab = await new_tab(**options)
    await tab.open(f"{system.url}/alerts{search}")
    await tab.until("#page.has-figures", 40)
    return tab


async def _write_rule(tab: Any, rule_id: str) -> None:
    await tab.until("#alerts-editor:not([hidden])")
    for field, text in {
        "name": "Slow <b>at all</b>",
        "rule-id": rule_id,
        "warning": "0.001",
        "critical": "60",
        "for-s": "1",
        "interval-s": "1",
        "min-requests": "1",
    }.items():
        if field == "interval-s":
            await tab.page.click(".form-more summary")
        await tab.page.fill(f"#rule-{field}", text)


async def test_a_rule_made_on_the_page_is_tested_saved_fires_and_is_dealt_with(
    system: System, new_tab: Any, artifacts: Path
) -> None:
    """Mistakes are shown at their fields, the test shows when it would have fired; saved, it fires with real traffic;
    it is acknowledged and silenced from the page; the API says the same all the way; names are never markup."""
    tab = await _opened(new_tab, system, "?tab=rules&rule=_new")
    await tab.until("#alerts-editor:not([hidden])")
    await tab.page.click("#rule-save")
    await tab.until("#rule-rule-id-error")
    await _write_rule(tab, "slow-at-all")
    await tab.page.fill("#rule-critical", "many")
    await tab.page.click("#rule-backtest")
    await tab.until("#rule-critical-error:has-text('a number')")
    await tab.page.fill("#rule-critical", "60")
    await tab.page.fill("#rule-channels", "hok")
    await tab.page.click("#rule-backtest")
    await tab.until("#rule-tested:not([hidden])")
    assert "It would have fired" in await tab.text("#rule-note")
    assert "no channel 'hok', so it is told to all channels" in await tab.text("#rule-note")
    await tab.until("#rule-chart .lines path")
    assert await tab.page.locator("#rule-chart .shapelayer path").count() > 0
    await tab.page.screenshot(path=artifacts / "alerts-editor-dark.png", full_page=True)

    await tab.page.click("#rule-save")
    await tab.until("#alerts-outcome.is-good:has-text('no channel')")
    await eventually(lambda: tab.page.url.endswith("/alerts?tab=rules"))
    await tab.page.click("#alerts-tab >> text=Firing")
    entry = ".alert-entry:has-text('churn'):has-text('Slow <b>at all</b>')"
    await tab.until(f"{entry}:has(.pill:text-is('Warning'))", 40)
    assert SHOWN in await tab.text("#alerts-list")
    assert await tab.page.locator("#alerts-list img").count() == 0
    await eventually(lambda: _is_badge_right(tab, system), timeout_s=30, what="the badge shows what the API counts")
    alert = next(
        one for one in await _alerts(system) if one["rule_id"] == "slow-at-all" and one["labels"]["service"] == "churn"
    )

    await tab.page.click(entry)
    await tab.until("#alerts-detail:not([hidden]) .alert-facts")
    assert alert["alert_id"] in tab.page.url
    await tab.until("#alerts-detail-body:has-text('Evidence')")
    assert "P95 50" in await tab.text("#alerts-detail-body")
    await tab.page.fill("#alerts-ack-by", "ann")
    await tab.page.fill("#alerts-ack-note", "looking at <i>it</i>")
    await tab.page.click("#alerts-ack")
    await tab.until(f"{entry} .flag:has-text('Acknowledged by ann')")
    await tab.page.click("#alerts-quiet")
    await tab.until("#alerts-outcome.is-bad:has-text('Say why')")
    await tab.page.fill("#alerts-quiet-why", "known")
    await tab.page.click("#alerts-quiet")
    await tab.until(f"{entry} .flag:has-text('Silenced')")
    await tab.page.screenshot(path=artifacts / "alerts-firing-dark.png", full_page=True)
    await tab.page.click(f".alert-entry:has-text('{SHOWN[:8]}'):has-text('Slow')")
    await eventually(lambda: _is_empty(tab, "#alerts-ack-note"), what="what was written of another alert is gone")
    assert await tab.text("#alerts-outcome") == ""
    now = next(one for one in await _alerts(system) if one["alert_id"] == alert["alert_id"])
    assert now["ack"]["note"] == "looking at <i>it</i>"
    assert now["silenced_until"]

    await tab.page.click("#alerts-tab >> text=Silences")
    await tab.until(".silence-row:has-text('known')")
    await tab.page.click(".silence-row .act")
    await tab.page.click(".silence-row .act.is-asking")
    await tab.until("#alerts-silences-list:has-text('Nothing is silenced')")
    await tab.page.click("#alerts-tab >> text=History")
    await tab.until(".history-row:has-text('churn')")
    await tab.open(f"{system.url}/alerts?tab=history&service=churn")
    await tab.until("#alerts-history-note:has-text('of the service churn')")
    await tab.until(f"#alerts-history-list:has-text('churn'):not(:has-text('{SHOWN[:8]}'))")
    assert tab.complaints == []
    assert tab.outside == []


async def test_a_rule_is_turned_off_and_changed_by_nobody_else(system: System, new_tab: Any) -> None:
    """The switch holds for everybody; a form that somebody else overtook is refused with words, and loses nothing."""
    tab = await _opened(new_tab, system, "?tab=rules&rule=restarting")
    await tab.until("#rule-rule-id:disabled")
    await eventually(lambda: tab.page.input_value("#rule-warning"), what="the rule is in the form")
    row = ".rule-row:has-text('Restarting')"
    await tab.page.click(f"{row} .switch")
    await tab.until(f"{row} .switch[aria-pressed=false]")
    async with httpx.AsyncClient() as client:
        known = (await client.get(f"{system.url}/api/v1/alert-rules/restarting", timeout=30)).json()
    assert known["rule"]["is_enabled"] is False
    await tab.page.fill("#rule-warning", "2")
    await tab.page.click("#rule-save")
    await tab.until("#rule-note.is-bad:has-text('changed by somebody else')")
    assert await tab.page.input_value("#rule-warning") == "2"
    await tab.page.click(f"{row} .act")
    await tab.page.click(f"{row} .act.is-asking")
    await tab.until(f"{row} .switch[aria-pressed=true]")
    await tab.page.click(".rule-editor >> text=Close")
    await tab.until("#alerts-editor[hidden]")
    assert tab.complaints == []


async def test_a_channel_is_tested_by_a_button(system: System, sink: HttpSink, new_tab: Any, artifacts: Path) -> None:
    """It says how that ended, also when it is pressed again at once, the target got it once, marked as a test,
    deliveries are listed, and nothing shows the URL."""
    tab = await _opened(new_tab, system, "?tab=channels")
    await tab.page.dblclick(".channel-row:has-text('hook') .act")
    await tab.until("#alerts-outcome.is-good:has-text('hook took the test')", 40)
    bodies = [json.loads(posted.body) for posted in sink.posted]
    assert [body["channel"] for body in bodies if body["is_test"]] == ["hook"]
    assert sink.posted[0].line.startswith(f"POST /{SECRET}")
    await tab.until("#alerts-told-list:has-text('Test'):has(.pill:text-is('Sent'))", 40)
    sink.answers = [answer(404)]
    await eventually(lambda: _is_test_refused(tab), timeout_s=90, interval_s=6, what="another test, a moment later")
    assert SECRET not in await tab.page.content()
    await tab.page.screenshot(path=artifacts / "alerts-channels-dark.png", full_page=True)
    assert tab.complaints == []


async def _is_test_refused(tab: Any) -> bool:
    """Look how the last test ended, and else test again."""
    if "Hook did not take the test: it answered 404" in await tab.text("#alerts-outcome"):
        return True
    await tab.page.click(".channel-row:has-text('hook') .act")
    return False


async def test_a_channel_is_made_tested_changed_and_removed_on_the_page(
    system: System, sink: HttpSink, new_tab: Any, artifacts: Path
) -> None:
    """What is wrong is said at its field; no secret comes back into the page; one of the configuration stays."""
    sink.answers = []
    tab = await _opened(new_tab, system, "?tab=channels")
    row = ".channel-row:has(.alert-name:text-is('chat'))"
    assert "by the configuration" in await tab.text(".channel-row:has(.alert-name:text-is('hook'))")
    assert await tab.page.locator(".channel-row:has(.alert-name:text-is('hook')) >> text=Remove").count() == 0
    await tab.page.fill("#channel-name", "chat")
    await tab.page.fill("#channel-url", "nonsense")
    await tab.page.click("#channel-save")
    await tab.until("#channel-url-error:has-text('one URL')")
    await tab.page.fill("#channel-url", f"http://127.0.0.1:{sink.port}/{SECRET}")
    await tab.page.fill("#channel-labels", "service=nobody")
    await tab.page.click(".channel-states >> text=no data")
    await tab.page.click("#channel-save")
    await tab.until("#alerts-outcome.is-good:has-text('chat is made')", 40)
    assert await _is_empty(tab, "#channel-url")
    await tab.page.click(f"{row} >> text=Test")
    await tab.until("#alerts-outcome.is-good:has-text('chat took the test')", 60)
    await tab.page.click(f"{row} >> text=Change")
    await tab.until("#channel-title:text-is('Change chat')")
    assert await tab.text("#channel-kept") == "Kept and not shown: url. Where nothing is written they stay."
    await tab.page.screenshot(path=artifacts / "alerts-channel-dark.png", full_page=True)
    assert await _is_empty(tab, "#channel-url")
    await tab.page.fill("#channel-max-per-minute", "many")
    await tab.page.click("#channel-save")
    await tab.until("#channel-max-per-minute-error:has-text('a number')")
    await tab.page.fill("#channel-max-per-minute", "3")
    await tab.page.click("#channel-save")
    await tab.until("#alerts-outcome.is-good:has-text('chat is changed')", 40)
    await tab.until("#channel-title:text-is('New channel')")
    async with httpx.AsyncClient() as client:
        found = (await client.get(f"{system.url}/api/v1/alert-channels/chat", timeout=30)).json()
    assert (found["max_per_minute"], found["labels"], found["kind"]) == (3, {"service": "nobody"}, "webhook")
    assert found["states"] == ["firing", "resolved"]
    assert SECRET not in await tab.page.content()
    await tab.until(f"{row}:has-text('at most 3 a minute')")
    await tab.page.click(f"{row} >> text=Remove")
    await tab.page.click(f"{row} .act.is-asking")
    await eventually(lambda: _is_gone(tab, row), timeout_s=40, what="the channel is gone")
    assert tab.complaints == []


async def _is_gone(tab: Any, row: str) -> bool:
    return int(await tab.page.locator(row).count()) == 0


async def test_every_page_tells_of_alerts_and_marks_them_where_they_belong(
    system: System, new_tab: Any, artifacts: Path
) -> None:
    """The badge counts what fires; the charts of errors have a band from when the alert fired."""
    tab = await new_tab()
    await tab.open(system.url)
    await tab.until("#alert-badge:not([hidden])", 60)
    await tab.until("#errors .shapelayer path", 60)
    assert "critical" in await tab.text("#alert-badge-words")
    await tab.page.screenshot(path=artifacts / "overview-marked.png")
    assert tab.complaints == []


@pytest.mark.parametrize("scheme", ["dark", "light"])
async def test_each_tab_fits_a_phone_and_has_names_for_readers(
    system: System, new_tab: Any, artifacts: Path, scheme: str
) -> None:
    """No tab needs sideways scrolling; whatever can be used has a name."""
    tab = await _opened(new_tab, system, viewport={"width": 390, "height": 844}, color_scheme=scheme)
    searches = {
        "firing": "",
        "history": "?tab=history",
        "rules": "?tab=rules&rule=_new",
        "silences": "?tab=silences",
        "channels": "?tab=channels",
    }
    for name, search in searches.items():
        await tab.open(f"{system.url}/alerts{search}")
        await tab.until(f"#alerts-{name}:not([hidden])", 40)
        assert await tab.page.evaluate("() => document.documentElement.scrollWidth") <= 390, name
        assert await tab.page.evaluate(_UNNAMED) == [], name
        await tab.page.screenshot(path=artifacts / f"alerts-{name}-phone-{scheme}.png", full_page=True)
    assert tab.complaints == []


_UNNAMED = """() => [...document.querySelectorAll('.alerts button, .alerts input, .alerts textarea, .alerts a')].filter(
    part => part.offsetParent && !part.textContent.trim() && !part.getAttribute('aria-label') &&
        !(part.labels && part.labels.length)).map(part => part.outerHTML)"""
"""What has no name that a screen reader could say."""
