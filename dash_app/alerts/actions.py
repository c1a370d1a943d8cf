"""What people do on the page: take note, silence, end, turn rules on and off, delete them.

Everything goes to the desk that the API goes to as well, with its checks and its words.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import structlog
from dash import Dash, Input, Output, State
from pydantic import ValidationError

from access.identity import LOCAL_NAME, name_of_writer, require_editor
from alerting.channels.desk import ChannelDesk, ChannelTest, TooManyTestsError
from alerting.desk import AlertDesk, OpenAlert, UnknownAlertError
from alerting.silences import Silence
from dash_app.alerts.form import FormError, labels_of
from dash_app.shared.joint_tasks import JointTasks
from dash_app.shell.view import fields_of
from telemetry import ModelWatchError, NowNs

log = structlog.get_logger(__name__)

Outcome = tuple[str, str]
"""What to say, and the class that tells whether it went well."""

_LONGEST_NOTE: Final = 2_000
_LONGEST_NAME: Final = 200
_OUTCOME: Final = ("alerts-outcome", "children"), ("alerts-outcome", "className")


def register(dash: Dash, desk: AlertDesk, channels: ChannelDesk | None, now_ns: NowNs) -> None:
    """Give the page its callbacks."""

    async def act(action: dict[str, Any] | None) -> Outcome:
        return await outcome_of(lambda: _act(desk, channels, action or {}))

    async def test(action: dict[str, Any] | None) -> Outcome:
        return await outcome_of(lambda: tests.outcome_of(str((action or {}).get("channel", ""))))

    async def acknowledge(clicks: int | None, by: str | None, note: str | None, address: str | None) -> Outcome:
        return await outcome_of(lambda: _acknowledge(desk, _chosen_in(address), by, note))

    async def quiet(
        clicks: int | None, what: str, for_s: str, why: str | None, by: str | None, address: str | None
    ) -> Outcome:
        return await outcome_of(lambda: _silence_from(desk, _chosen_in(address), what, for_s, why, by, now_ns() / 1e9))

    async def silence(clicks: int | None, *fields: str | None) -> Outcome:
        return await outcome_of(lambda: _silence(desk, fields, now_ns() / 1e9))

    address = State("address", "data")
    _add(dash, act, Input("alerts-action", "data"))
    if channels is not None:
        # By itself: what else is done meanwhile must not have Dash drop how a test ended.
        tests = ChannelTests(channels)
        _add(dash, test, Input("alerts-test", "data"))
    _add(dash, acknowledge, Input("alerts-ack", "n_clicks"), *_values("alerts-ack-by", "alerts-ack-note"), address)
    _add(
        dash,
        quiet,
        Input("alerts-quiet", "n_clicks"),
        *_values("alerts-quiet-what", "alerts-quiet-for", "alerts-quiet-why", "alerts-ack-by"),
        address,
    )
    names = ("labels", "rule", "severity", "starts", "for", "why", "by")
    _add(dash, silence, Input("alerts-silence", "n_clicks"), *_values(*(f"alerts-silence-{name}" for name in names)))


def _values(*names: str) -> list[State]:
    return [State(name, "value") for name in names]


def _add(dash: Dash, function: Callable[..., Awaitable[Outcome]], *arguments: Input | State) -> None:
    outputs = [Output(name, prop, allow_duplicate=True) for name, prop in _OUTCOME]
    dash.callback(*outputs, *arguments, prevent_initial_call=True)(function)


async def outcome_of(work: Callable[[], Awaitable[str]]) -> Outcome:
    """Let an editor change something and tell how that ended, in words for people; the log says who did it."""

    async def change() -> str:
        require_editor()
        done = await work()
        log.info("changed on the page of alerts", user=name_of_writer("local"), what=done)
        return done

    return await told_of(change)


async def told_of(work: Callable[[], Awaitable[str]]) -> Outcome:
    """Do what anybody may and tell how that ended, in words for people."""
    try:
        return await work(), "alerts-outcome is-good"
    except FormError as error:
        return _sentence(str(error)), "alerts-outcome is-bad"
    except ModelWatchError as error:
        return _sentence(str(error)), "alerts-outcome is-bad"
    except Exception:
        log.exception("nothing came of what was asked for on the page of alerts")
        return "ModelWatch made a mistake; its log says more.", "alerts-outcome is-bad"


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith(('.', '!', '?')) else '.'}"


def _chosen_in(address: str | None) -> str:
    return fields_of((address or "").partition("?")[2]).get("alert", "")


async def _act(desk: AlertDesk, channels: ChannelDesk | None, action: Mapping[str, Any]) -> str:
    """Do what a button in a list says; what it says comes from a browser and may be anything."""
    rule_id, revision = str(action.get("rule", "")), action.get("revision")
    expected = revision if isinstance(revision, int) else None
    match action.get("do"):
        case "turn":
            known = await desk.rules.rule(rule_id)
            is_enabled = bool(action.get("is_enabled"))
            await desk.rules.replace(known.rule.model_copy(update={"is_enabled": is_enabled}), expected)
            return f"{known.rule.name} is {'on' if is_enabled else 'off'}."
        case "delete":
            known = await desk.rules.rule(rule_id)
            await desk.rules.delete(rule_id, expected)
            return f"{known.rule.name} is {'as it came' if known.is_built_in else 'deleted'}."
        case "end-silence":
            ended = await desk.silences.end(str(action.get("silence", "")))
            return f"The silence has ended: {ended.comment}"
        case "remove-channel" if channels is not None:
            name, by = str(action.get("channel", "")), name_of_writer("") or LOCAL_NAME
            await channels.book.remove(name, expected, by)
            return f"{name} is removed. What waits for it is given up."
    raise FormError({"": "there is nothing like that to do"})


class ChannelTests:
    """Tests of channels by a button, which may be pressed again at once: Dash tells the outcome of the last press.

    So every press is told how the latest test ended.
    """

    def __init__(self, channels: ChannelDesk) -> None:
        self._channels = channels
        self._running: JointTasks[str, ChannelTest] = JointTasks(channels.test)
        self._ended: dict[str, ChannelTest] = {}

    async def outcome_of(self, channel: str) -> str:
        """Test a channel, unless that was just done. Raises `FormError` where it did not arrive."""
        try:
            self._ended[channel] = found = await self._running.of(channel)
        except TooManyTestsError as error:
            if channel not in self._ended:
                raise
            told = _told(channel, self._ended[channel])
            return f"{told} That was a moment ago: again in {math.ceil(error.retry_after_s)} s."
        return _told(channel, found)


def _told(channel: str, test: ChannelTest) -> str:
    """Return how a test ended. Raises `FormError` where it did not arrive."""
    if test.status == "sent":
        return f"{channel} took the test within {test.took_s:.1f} s."
    what = "did not take the test" if test.status == "failed" else "has not taken the test yet"
    raise FormError({"": f"{channel} {what}: {test.detail}"})


async def _acknowledge(desk: AlertDesk, alert_id: str, by: str | None, note: str | None) -> str:
    name, text = (by or "").strip(), (note or "").strip()
    if len(name) > _LONGEST_NAME or len(text) > _LONGEST_NOTE:
        raise FormError({"note": f"a name has at most {_LONGEST_NAME} characters, a note {_LONGEST_NOTE:,}"})
    ack = await desk.acknowledge(alert_id, name_of_writer(name), text)
    return f"Acknowledged. It is not told again{' unless it becomes critical' if ack.severity == 'warning' else ''}."


async def _silence_from(
    desk: AlertDesk, alert_id: str, what: str, for_s: str, why: str | None, by: str | None, now_s: float
) -> str:
    one = next((one for one in await desk.open_alerts() if one.alert.alert_id == alert_id), None)
    if one is None:
        raise UnknownAlertError("this alert is over: there is nothing to silence")
    rule, labels = _matchers(one, what)
    made = await desk.silences.add(
        silence_of(rule, labels, None, now_s, now_s + _seconds(for_s), (why or "").strip(), (by or "").strip())
    )
    return f"Silenced: {made.comment}"


def _matchers(one: OpenAlert, what: str) -> tuple[str, Mapping[str, str]]:
    """Return the rule and the labels of a silence that begins at an alert."""
    alert = one.alert
    if what == "rule":
        return alert.rule_id, {}
    if what == "service":
        service = alert.labels.get("service")
        if service is None:
            raise FormError({"what": "this alert is of no service"})
        return "*", {"service": service}
    return alert.rule_id, dict(alert.labels)


async def _silence(desk: AlertDesk, fields: tuple[str | None, ...], now_s: float) -> str:
    labels, rule, severity, starts, for_s, why, by = fields
    try:
        wanted = labels_of(labels or "")
    except ValueError as error:
        raise FormError({"labels": f"labels: {error}"}) from None
    starts_s = now_s + _seconds(starts or "0")
    ends_s = starts_s + _seconds(for_s or "")
    made = await desk.silences.add(
        silence_of((rule or "*").strip(), wanted, severity, starts_s, ends_s, (why or "").strip(), (by or "").strip())
    )
    return f"Silenced: {made.comment}"


def _seconds(text: str) -> float:
    try:
        return float(int(text))
    except ValueError:
        raise FormError({"for": "choose how long"}) from None


def silence_of(
    rule: str, labels: Mapping[str, str], severity: str | None, starts_s: float, ends_s: float, why: str, by: str
) -> Silence:
    """Return the silence that a form says. Raises `FormError`."""
    if not why:
        raise FormError({"why": "say why: everybody sees it"})
    try:
        return Silence.model_validate(
            {
                "rule": rule,
                "labels": labels,
                "severity": severity or None,
                "starts_s": starts_s,
                "ends_s": ends_s,
                "comment": why,
                "created_by": name_of_writer(by),
            }
        )
    except ValidationError as error:
        raise FormError({"": str(error.errors(include_url=False)[0]["msg"]).removeprefix("Value error, ")}) from None
