"""The page of settings: what may be changed while ModelWatch runs, and what the rest is set to."""

from __future__ import annotations

from collections.abc import Sequence

from dash_app.configuration.answer import answer_of
from dash_app.configuration.known_setting import KnownSetting
from dash_app.configuration.layout import layout
from dash_app.shell.page import Answer, Control, Page, Question
from telemetry import NowNs

CONTROLS = (
    Control("q", "settings-filter", default=""),
    Control("show", "settings-show", default="changed", choices=("changed", "all")),
)


def page(settings: Sequence[KnownSetting], now_ns: NowNs) -> Page:
    """Return the page; settings do not change while the process runs."""

    async def answer(question: Question) -> Answer:
        fields = question.fields
        is_all = fields.get("show") == "all"
        return answer_of(settings, fields.get("q", ""), now_ns() // 1_000_000_000, is_all=is_all)

    return Page(
        name="settings",
        path="/settings",
        title="Settings",
        layout=layout(),
        answer=answer,
        controls=CONTROLS,
        filters=(),
        note="Of the process that serves this page; secrets are never shown",
    )
