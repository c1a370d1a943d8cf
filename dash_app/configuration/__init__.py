"""The page of settings: what may be changed while ModelWatch runs, and what the rest is set to."""

from __future__ import annotations

from collections.abc import Sequence

from dash import Dash

from dash_app.configuration import actions
from dash_app.configuration.answer import Standing, answer_of
from dash_app.configuration.known_setting import KnownSetting
from dash_app.configuration.layout import layout
from dash_app.shell.page import Answer, Control, Page, Question
from telemetry import ModelWatchError, NowNs
from tuning.desk import SettingChange, TuningDesk

CONTROLS = (
    Control("q", "settings-filter", default=""),
    Control("show", "settings-show", default="changed", choices=("changed", "all")),
)
_CHANGES = 20


def page(settings: Sequence[KnownSetting], tuning: TuningDesk | None, now_ns: NowNs) -> Page:
    """Return the page; without `tuning` there is nothing to change."""

    async def answer(question: Question) -> Answer:
        fields = question.fields
        is_all = fields.get("show") == "all"
        live = tuning.settings() if tuning is not None else []
        stand = Standing(settings, live, await _changes(tuning))
        return answer_of(stand, fields.get("q", ""), now_ns() // 1_000_000_000, is_all=is_all)

    def register(dash: Dash) -> None:
        if tuning is not None:
            actions.register(dash, tuning)

    return Page(
        name="settings",
        path="/settings",
        title="Settings",
        layout=layout(can_change=tuning is not None),
        answer=answer,
        controls=CONTROLS,
        filters=(),
        note="Of the process that serves this page; secrets are never shown",
        register=register,
    )


async def _changes(tuning: TuningDesk | None) -> Sequence[SettingChange] | None:
    """Return the latest changes, `None` while the database is away: what is set can be read all the same."""
    try:
        return await tuning.changes(_CHANGES) if tuning is not None else ()
    except ModelWatchError:
        return None
