"""The page of alerts: what fires and what happened, the rules and their editor, silences, channels."""

from __future__ import annotations

from dash import Dash

from alerting.channels.desk import ChannelDesk
from alerting.desk import AlertDesk
from dash_app.alerts import actions, channel_editor, editor
from dash_app.alerts.answer import answer_of
from dash_app.alerts.layout import TABS, layout
from dash_app.alerts.snapshot import AlertsView, take_snapshot
from dash_app.alerts.words import length
from dash_app.shared.joint_tasks import JointTasks
from dash_app.shell.page import Answer, Control, Page, Question
from telemetry import NowNs

CONTROLS = (
    Control("tab", "alerts-tab", default="firing", choices=tuple(TABS)),
    Control("alert"),
    Control("rule"),
    Control("of"),
    Control("before"),
)


def page(desk: AlertDesk, channels: ChannelDesk | None, now_ns: NowNs) -> Page:
    """Return the page."""

    async def take(asked: AlertsView) -> Answer:
        return answer_of(await take_snapshot(desk, channels, asked, now_ns() / 1e9))

    answers: JointTasks[AlertsView, Answer] = JointTasks(take)

    async def answer(question: Question) -> Answer:
        return await answers.of(_asked(question))

    def register(dash: Dash) -> None:
        actions.register(dash, desk, channels, now_ns)
        editor.register(dash, desk, now_ns)
        if channels is not None:
            channel_editor.register(dash, channels, desk)

    return Page(
        name="alerts",
        path="/alerts",
        title="Alerts",
        layout=layout(can_make_channels=channels is not None),
        answer=answer,
        controls=CONTROLS,
        note=lambda: f"Every change is kept for {length(desk.retention_s)}",
        register=register,
    )


def _asked(question: Question) -> AlertsView:
    fields = question.fields
    tab = fields.get("tab", "")
    return AlertsView(
        tab if tab in TABS else "firing",
        question.view.where,
        fields.get("alert", ""),
        fields.get("rule", ""),
        fields.get("of", ""),
        fields.get("before", ""),
    )
