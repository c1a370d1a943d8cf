"""The pages behind a login, in a real browser against `modelwatch up`, a real process with two users."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from storage.component import build_access_store, build_sqlite_history
from storage.settings import StorageSettings
from tests.support.people import add_users, sign_in
from tests.support.systems import System, embedded_system
from tests.support.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

RULES = "/alerts?tab=rules&rule=high-latency"
_ASKS_BY_HTTP = "window.WebSocket = class { constructor() { setTimeout(() => this.onclose && this.onclose(), 10); } };"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    """ModelWatch with an editor and a viewer."""
    folder = tmp_path_factory.mktemp("people")
    await add_users(folder, ann="editor", bob="viewer")
    async with embedded_system(folder) as running:
        yield running


async def _signed_in(new_tab: Any, system: System, name: str, place: str) -> Any:
    tab = await new_tab()
    await tab.open(system.url + place)
    await sign_in(tab, name)
    await tab.until("#account")
    return tab


def _place(tab: Any) -> str:
    url = httpx.URL(tab.page.url)
    return url.raw_path.decode()


async def _end_sessions_of(system: System, name: str) -> None:
    """As `modelwatch users password` does in another process."""
    history = build_sqlite_history(StorageSettings(), f"sqlite:///{system.folder / 'modelwatch.db'}")
    await history.start()
    store = build_access_store(history)
    user = next(user for user in (await store.rows()).users if user.name == name)
    await store.set_password(name, user.password)
    await history.stop()


async def test_the_way_in_leads_to_where_it_was_asked_for_and_the_bar_says_who_is_there(
    system: System, new_tab: Any
) -> None:
    """And the way out leads to the login page, from where the back button shows nothing any more."""
    tab = await _signed_in(new_tab, system, "ann", "/alerts?range=1h&tab=rules")
    assert _place(tab) == "/alerts?range=1h&tab=rules"
    await tab.until("#alerts-rules-list .switch:enabled")
    assert await tab.text("#account summary") == "ann\neditor"
    await tab.page.click("#account summary")
    await tab.page.keyboard.press("Escape")
    await tab.until("#account:not([open])")
    await tab.page.click("#account summary")
    await tab.page.click("text=Log out")
    await tab.until("#password")
    assert "You are signed out." in await tab.text("main")
    assert tab.complaints == tab.outside == []
    await tab.page.go_back()
    await tab.until("#password")


async def test_a_viewer_sees_everything_and_can_change_nothing(system: System, new_tab: Any) -> None:
    """What would change something is disabled and says why; what only shows something goes on working."""
    tab = await _signed_in(new_tab, system, "bob", RULES)
    await tab.until("#alerts-rules-list .switch")
    assert await tab.text(".why-disabled") == "Your role is viewer: only editors change things."
    await eventually(lambda: tab.page.evaluate("document.querySelector('#rule-name').value !== ''"), what="the rule")
    for tab_name, controls in (
        ("rules", ("#alerts-rules-list .switch", "#rule-save", "#rule-backtest", "#rule-name", "#rule-signal")),
        ("silences", ("#alerts-silence", "#alerts-silence-why", "#alerts-silence-for")),
    ):
        await tab.page.click(f"#alerts-tab input[value={tab_name}] + label")
        await tab.until(f"#alerts-{tab_name}:not([hidden])")
        for control in controls:
            await tab.until(f"{control}:disabled")
            why = await tab.page.locator(control).first.evaluate("found => found.closest('fieldset.for-editors').title")
            assert why == "Your role is viewer: only editors change things."
    await tab.page.click("#alerts-tab input[value=rules] + label")
    assert await tab.page.locator("#alerts-rules .card-head >> text=New rule").last.get_attribute("href") is None
    await tab.page.click("#alerts-rules-list .row-link:not(:has-text('High latency')) >> nth=0")
    await eventually(lambda: "high-latency" not in tab.page.url, what="another rule is open")
    assert tab.complaints == []


async def test_what_a_viewer_sends_all_the_same_is_refused(system: System, new_tab: Any) -> None:
    """By the server, whatever the page lets them do."""
    tab = await _signed_in(new_tab, system, "bob", "/alerts?tab=rules")
    await tab.until("#alerts-rules-list .switch")
    await tab.page.evaluate("document.querySelectorAll('fieldset').forEach((group) => (group.disabled = false))")
    await tab.page.click("#alerts-rules-list .switch >> nth=0")
    await tab.until("#alerts-outcome.is-bad:has-text('only editors')")


async def test_an_editor_changes_a_setting_while_it_runs_and_a_viewer_cannot(
    system: System, new_tab: Any, artifacts: Path
) -> None:
    """It holds at once, is told with who did it, and can be put back; what is refused is said and nothing is lost."""
    tab = await _signed_in(new_tab, system, "ann", "/settings")
    row = "[data-setting='query.p95_degraded_s'].settings-live"
    await tab.page.fill(f"{row} input", "2s")
    await tab.page.keyboard.press("Enter")
    await tab.until("#settings-outcome.is-bad:has-text('p95_critical_s must not be below p95_degraded_s.')")
    assert await tab.page.input_value(f"{row} input") == "2s"
    await tab.page.fill(f"{row} input", "0.75")
    await tab.page.click(f"{row} >> text=Save")
    await tab.until("#settings-outcome.is-good:has-text('query.p95_degraded_s is 750ms.')")
    await tab.until(f"{row}.is-changed .settings-origin:has-text('started with 500ms; changed by ann')")
    await tab.until("#settings-changes tr[data-csv]:has-text('ann')")
    await tab.page.screenshot(path=artifacts / "settings-changed.png", full_page=True)
    viewer = await _signed_in(new_tab, system, "bob", "/settings")
    await viewer.until(f"{row}.is-changed input:disabled")
    assert await viewer.text(".why-disabled") == "Your role is viewer: only editors change things."
    await viewer.page.evaluate("document.querySelectorAll('fieldset').forEach((group) => (group.disabled = false))")
    await viewer.page.fill(f"{row} input", "0.8")
    await viewer.page.keyboard.press("Enter")
    await viewer.until("#settings-outcome.is-bad:has-text('only editors')")
    await tab.page.click(f"{row} >> text=Reset")
    await tab.page.click(f"{row} >> text=Sure?")
    await tab.until("#settings-outcome.is-good:has-text('query.p95_degraded_s is 500ms again.')")
    await viewer.until(f"{row}:not(.is-changed)")
    assert tab.complaints == viewer.complaints == []


async def test_what_deletes_for_good_is_asked_first(system: System, new_tab: Any, artifacts: Path) -> None:
    """Enter does not answer the question, however often; the button that asks it does. What keeps more asks nothing."""
    tab = await _signed_in(new_tab, system, "ann", "/settings")
    row = "[data-setting='storage.traces_retention_s'].settings-live"
    for text, why in (("junk", "write a number"), ("", "write a number"), ("-5", "greater than"), ("3x", "write a")):
        await tab.page.fill(f"{row} input", text)
        await tab.page.keyboard.press("Enter")
        await tab.until(f"#settings-outcome.is-bad:has-text('{why}')")
        assert await tab.page.query_selector(f"{row} .is-asking") is None, "what is refused anyhow needs no question"
        await tab.page.evaluate("dash_clientside.set_props('settings-outcome', { children: '' })")
    await tab.until("#settings-outcome:text-is('')")
    for text in (" 1h ", "+1h", "1.0E0 H", "60m\x1c"):
        await tab.page.fill(f"{row} input", text)
        await tab.page.keyboard.press("Enter")
        await tab.until(f"{row} .is-asking")
    await tab.page.fill(f"{row} input", "1h")
    for _ in range(3):
        await tab.page.keyboard.press("Enter")
    await tab.until(f"{row} .is-asking:text-is('Sure? Deletes what is older than 1h, of 3d')")
    await tab.page.screenshot(path=artifacts / "settings-asking.png")
    await tab.page.fill(f"{row} input", "2h")
    await tab.until(f"{row} >> text=Save")
    await tab.page.click(f"{row} >> text=Save")
    assert await tab.text("#settings-outcome") == ""
    await tab.page.click(f"{row} .is-asking")
    await tab.until("#settings-outcome.is-good:has-text('storage.traces_retention_s is 2h.')")
    await tab.until(f"{row}.is-changed")
    await tab.page.fill(f"{row} input", "180m")
    await tab.page.keyboard.press("Enter")
    await tab.until("#settings-outcome.is-good:has-text('storage.traces_retention_s is 3h.')")
    await tab.page.click(f"{row} >> text=Reset")
    await tab.page.click(f"{row} >> text=Sure?")
    await tab.until(f"{row}:not(.is-changed)")
    assert tab.complaints == []


async def test_what_is_saved_after_the_session_has_ended_is_said_to_be_lost(
    system: System, new_tab: Any, artifacts: Path
) -> None:
    """Beside the value, which stands as it was written; there is no way to try it again but to sign in."""
    tab = await _signed_in(new_tab, system, "ann", "/settings")
    row = "[data-setting='query.p95_degraded_s'].settings-live"
    await tab.page.fill(f"{row} input", "0.7")
    await tab.page.context.clear_cookies()
    await tab.page.click(f"{row} >> text=Save")
    await tab.until(f"{row} [role=alert]:text-is('Not saved: you are signed out.')")
    await tab.until(f"{row} .is-main:disabled")
    await tab.until("#notice:has-text('What is written and not saved is lost.')")
    assert await tab.page.input_value(f"{row} input") == "0.7"
    await tab.page.screenshot(path=artifacts / "settings-signed-out.png", full_page=True)
    assert [one for one in tab.complaints if "401" not in one] == []


@pytest.mark.parametrize("way", ["websocket", "http"])
async def test_a_page_whose_session_has_ended_says_so_and_keeps_its_address(
    system: System, new_tab: Any, way: str
) -> None:
    """It asks no more, and a link leads to the login and back to the very same view."""
    tab = await new_tab()
    if way == "http":
        await tab.page.add_init_script(_ASKS_BY_HTTP)
    await tab.open(f"{system.url}/alerts?range=15m&tab=silences")
    await sign_in(tab, "ann")
    await tab.until("#alerts-silences:not([hidden])")
    await tab.until("#alerts-silence-why:enabled")
    await _end_sessions_of(system, "ann")
    await tab.until("#notice a")
    for control in ("#alerts-silence-why", "#alerts-silence"):
        await tab.until(f"{control}:disabled")
    assert await tab.text("#live-state") == "Signed out"
    asked: list[str] = []
    tab.page.on("request", lambda request: asked.append(request.url))
    tab.page.on("websocket", lambda socket: asked.append(socket.url))
    await tab.page.wait_for_timeout(2_500)
    assert asked == []
    await tab.page.click("#notice a")
    await sign_in(tab, "ann")
    await tab.until("#alerts-silences:not([hidden])")
    assert _place(tab) == "/alerts?range=15m&tab=silences"
