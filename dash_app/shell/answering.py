"""What an open page asks, and everything that it is told: the page's answer, the bar, and how it went.

Between the pages and the two ways to the browser: pushed (`push/`), or asked for (`callbacks.py`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import structlog

from dash_app.shell.filters import filter_of
from dash_app.shell.page import Answer, Filling, Page, Question
from dash_app.shell.receipt import STALE_AFTER_S, Receipt, receipt_of, receipt_of_failure
from dash_app.shell.view import NotBegunError, View, fields_of, view_of
from telemetry import ModelWatchError, NowNs

log = structlog.get_logger(__name__)

Document = dict[str, Any]
"""`{"page", "receipt"}`, with figures also `{"filling", "figures"}`, and the bar's `bar`."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A question to the page of that name; equal ones have equal answers."""

    page: str
    view: View
    fields: tuple[tuple[str, str], ...]


class Answering:
    """Answers questions to any of the pages.

    `bar` is what the bar shows of a view on every page, whatever comes of the page. `refresh_interval_s` and
    `stale_after_s` are asked each time, as they may change.
    """

    def __init__(
        self,
        pages: Sequence[Page],
        refresh_interval_s: Callable[[], float],
        now_ns: NowNs,
        bar: Callable[[View], Awaitable[Filling]] | None = None,
        stale_after_s: Callable[[], float] = lambda: STALE_AFTER_S,
    ) -> None:
        self._pages = {page.name: page for page in pages}
        self._refresh_interval_s = refresh_interval_s
        self._now_ns = now_ns
        self._bar = bar
        self._stale_after_s = stale_after_s

    def asked(self, page: str, search: str, width_px: int) -> Asked | None:
        """Return the question of a page whose address ends in `search`; nothing if there is no such page."""
        if page not in self._pages:
            return None
        view = view_of(search, width_px, self._pages[page].filters)
        return Asked(page, view, tuple(sorted(fields_of(search).items())))

    async def answer(self, asked: Asked, number: int = 0) -> Document:
        """Return all that the page shows; never raises for what goes wrong with the answer, but says so in it."""
        if self._bar is None:
            return await self._document(asked, number)
        whole = replace(asked.view, where=filter_of(dict(asked.fields)))
        document, bar = await asyncio.gather(self._document(asked, number), self._bar(whole))
        return {**document, "bar": bar}

    async def prepare(self, path: str, search: str) -> None:
        """Answer what the page at this path is going to ask; most of the work is kept, and not done again then."""
        name = next((name for name, page in self._pages.items() if page.path == path), "")
        if (asked := self.asked(name, search, 0)) is not None:
            await self.answer(asked)

    async def _document(self, asked: Asked, number: int) -> Document:
        page, view = self._pages[asked.page], asked.view
        try:
            found = await _found(page, Question(view, dict(asked.fields)))
            now_s, stale_after_s = self._now_ns() / 1e9, self._stale_after_s()
            receipt = receipt_of(number, found, view, now_s, self._refresh_interval_s(), stale_after_s)
            return _filled(page, receipt, found)
        except Exception as error:
            is_known = isinstance(error, ModelWatchError)
            log.warning("page not answered", page=page.name, view=str(view), error=repr(error), exc_info=not is_known)
            failure = receipt_of_failure(number, _words(error), self._now_ns() / 1e9, self._refresh_interval_s())
            return {"page": page.name, "receipt": failure}


async def _found(page: Page, question: Question) -> Answer:
    try:
        return await page.answer(question)
    except NotBegunError as error:
        return Answer({}, end_s=error.now_s, why_empty=str(error))


def _filled(page: Page, receipt: Receipt, answer: Answer) -> Document:
    document: Document = {"page": page.name, "receipt": receipt}
    if receipt["state"] == "filled":
        note = {"figures-note": {"children": page.note if isinstance(page.note, str) else page.note()}}
        document |= {"filling": {**answer.filling, **note}, "figures": answer.figures}
    return document


def _words(error: Exception) -> str:
    """Return what a reader may see: our own errors are written for people, others go to the log only."""
    if not isinstance(error, ModelWatchError):
        return "ModelWatch made a mistake; its log says more."
    message = str(error)
    return f"{message[:1].upper()}{message[1:]}{'' if message.endswith(('.', '?', '!')) else '.'}"
