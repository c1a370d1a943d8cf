"""The routes of alerts: what fires, what happened, the rules, the silences, and what became of notifications.

Included by `api/component.py`; the shapes are in `api/alert_models.py`. Everything is done by `alerting.desk`, which
the page uses as well.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi import Query as QueryParameters
from pydantic import ValidationError
from starlette.responses import Response

from access.identity import name_of_writer
from alerting.desk import AlertDesk, UnknownAlertError, gravity_of
from alerting.rulebook import KnownRule, RuleConflictError, TooManyRulesError, UnknownRuleError
from alerting.rules import Rule
from alerting.silences import Silence, TooManySilencesError, UnknownSilenceError
from api import alert_documents as documents
from api import alert_models as models
from api.alert_examples import (
    ALERTS_EXAMPLE,
    BACKTEST_EXAMPLE,
    HISTORY_EXAMPLE,
    NOTIFICATIONS_EXAMPLE,
    RULES_EXAMPLE,
    SILENCES_EXAMPLE,
)
from api.alert_parameters import (
    AlertDeliveriesParameters,
    AlertHistoryParameters,
    OpenAlertsParameters,
    cursor_of,
    delivery_key,
    history_key,
)
from api.documents import Json, json_response
from api.paging import PageParameters, page_of, place_of
from api.parameters import NoParameters
from api.repeats import refuse_repeats
from api.responses import CHANGE_ERRORS, PAGE_ERRORS, QUESTION_ERRORS, answers
from api.revisions import conflict_status, expected_revision, revised_response
from query import QuestionError
from telemetry import NowNs

_NS_PER_S: Final = 1_000_000_000
_DAY_S: Final = 86_400
_STATUSES: Final = {
    UnknownRuleError: 404,
    UnknownAlertError: 404,
    UnknownSilenceError: 404,
    RuleConflictError: 409,
    TooManyRulesError: 409,
    TooManySilencesError: 409,
}


@contextmanager
def _as_statuses() -> Iterator[None]:
    try:
        yield
    except tuple(_STATUSES) as error:
        raise HTTPException(_STATUSES[type(error)], str(error)) from error


def build_alert_router(desk: AlertDesk, now_ns: NowNs = time.time_ns) -> APIRouter:
    """Return the routes of alerts below `/api/v1`."""
    router = APIRouter(prefix="/api/v1", dependencies=[Depends(refuse_repeats)], tags=["Alerts"])
    _add_alerts(router, desk)
    _add_rules(router, desk, now_ns)
    _add_silences(router, desk, now_ns)
    return router


def _add_alerts(router: APIRouter, desk: AlertDesk) -> None:
    @router.get(
        "/alerts",
        response_model=models.OpenAlerts,
        responses={**answers(ALERTS_EXAMPLE), **PAGE_ERRORS},
        summary="What is pending, firing or without data now",
    )
    async def alerts(parameters: Annotated[OpenAlertsParameters, QueryParameters()]) -> Response:
        """The gravest first, and how fresh that is.

        Try `GET /api/v1/alerts?state=firing`.
        """
        place = place_of(parameters)
        known = await desk.open_alerts()
        found = [
            one
            for one in known
            if parameters.service in (None, one.alert.labels.get("service"))
            and parameters.rule in (None, one.alert.rule_id)
            and parameters.severity in (None, one.alert.state.severity)
            and parameters.state in (None, one.alert.state.phase)
        ]
        report = await desk.report()
        page = page_of(found, gravity_of, parameters, place)
        return json_response(documents.open_alerts_document(known, found, page, report))

    @router.get(
        "/alerts/history",
        response_model=models.AlertHistory,
        responses={**answers(HISTORY_EXAMPLE), **PAGE_ERRORS},
        summary="Every change of an alert",
    )
    async def history(parameters: Annotated[AlertHistoryParameters, QueryParameters()]) -> Response:
        """With its value and reason, latest first, a page at a time.

        Try `GET /api/v1/alerts/history?limit=20`.
        """
        found = await desk.history(
            parameters.limit + 1,
            before=None if parameters.cursor is None else history_key(parameters.cursor),
            since_s=parameters.start or 0,
            until_s=parameters.end,
            rule_id=parameters.rule,
            alert_id=parameters.alert,
        )
        shown = found[: parameters.limit]
        return json_response(documents.history_document(shown, shown[-1].key if len(found) > len(shown) else None))

    @router.post(
        "/alerts/{alert_id}/ack",
        response_model=models.AlertAck,
        responses=CHANGE_ERRORS,
        summary="Take note of an alert",
    )
    async def acknowledge(
        alert_id: str, request: models.AckRequest, parameters: Annotated[NoParameters, QueryParameters()]
    ) -> Response:
        """It is not told again, unless it becomes graver; that it is over is told all the same."""
        with _as_statuses():
            ack = await desk.acknowledge(alert_id, name_of_writer(request.by), request.note)
        at = documents.moment(ack.at_s)
        return json_response({"by": ack.by, "note": ack.note, "severity": ack.severity.value, "at": at})

    @router.get(
        "/alert-notifications",
        response_model=models.AlertDeliveries,
        responses={**answers(NOTIFICATIONS_EXAMPLE), **PAGE_ERRORS},
        summary="What was told to which channel, and whether it arrived",
    )
    async def deliveries(parameters: Annotated[AlertDeliveriesParameters, QueryParameters()]) -> Response:
        """Latest first, a page at a time. Try `GET /api/v1/alert-notifications?limit=20`."""
        before = None if parameters.cursor is None else delivery_key(parameters.cursor)
        found = await desk.deliveries(parameters.limit + 1, before=before, channel=parameters.channel)
        shown = found[: parameters.limit]
        cursor = cursor_of(shown[-1].key) if len(found) > len(shown) else None
        return json_response({"items": [documents.delivery_document(one) for one in shown], "next_cursor": cursor})


def _add_rules(router: APIRouter, desk: AlertDesk, now_ns: NowNs) -> None:
    changes: dict[str, Any] = {"responses": CHANGE_ERRORS}

    @router.get(
        "/alert-rules",
        response_model=models.AlertRules,
        responses={**answers(RULES_EXAMPLE), **PAGE_ERRORS},
        summary="All alert rules",
    )
    async def rules(parameters: Annotated[PageParameters, QueryParameters()]) -> Response:
        """Those that were written and the built-in ones, those that are turned off included."""
        place, report = place_of(parameters), await desk.report()
        shown, cursor = page_of(await desk.rules.rules(), lambda one: (one.rule.rule_id,), parameters, place)
        troubles = await desk.channel_troubles([one.rule for one in shown])
        items = [documents.rule_document(one, report, troubles[one.rule.rule_id]) for one in shown]
        return json_response({"items": items, "next_cursor": cursor})

    @router.post("/alert-rules", status_code=201, response_model=models.AlertRule, summary="Add a rule", **changes)
    async def create(rule: Rule, parameters: Annotated[NoParameters, QueryParameters()]) -> Response:
        """Refused with 409 if there is a rule of its id."""
        with _as_statuses():
            known = await desk.rules.create(rule)
        answer = revised_response(await _document(desk, known), 201)
        answer.headers["Location"] = f"/api/v1/alert-rules/{rule.rule_id}"
        return answer

    @router.post(
        "/alert-rules/backtest",
        response_model=models.Backtest,
        responses={**answers(BACKTEST_EXAMPLE), **CHANGE_ERRORS},
        summary="When a rule would have fired",
    )
    async def backtest(
        request: models.BacktestRequest, parameters: Annotated[NoParameters, QueryParameters()]
    ) -> Response:
        """Replays the rule over the past 24 hours, or the time that is given; nothing is saved and nobody is told.

        `grace_s` has no part in it: which groups were new at that time is not known.
        """
        end_s = now_ns() // _NS_PER_S if request.end is None else request.end
        start_s = max(end_s - _DAY_S, 0) if request.start is None else request.start
        found = await desk.backtester.backtest(request.rule, start_s, end_s)
        return json_response(documents.backtest_document(found))

    @router.get(
        "/alert-rules/{rule_id}",
        response_model=models.AlertRule,
        responses={404: CHANGE_ERRORS[404], **QUESTION_ERRORS},
        summary="One rule",
    )
    async def rule(rule_id: str, parameters: Annotated[NoParameters, QueryParameters()]) -> Response:
        """With its revision as the ETag."""
        with _as_statuses():
            known = await desk.rules.rule(rule_id)
        return revised_response(await _document(desk, known))

    @router.put("/alert-rules/{rule_id}", response_model=models.AlertRule, summary="Change a rule", **changes)
    async def replace(
        rule_id: str, rule: Rule, request: Request, parameters: Annotated[NoParameters, QueryParameters()]
    ) -> Response:
        """The whole rule. With `If-Match`, only if it is still what was read: otherwise 412, and nothing is lost."""
        if rule.rule_id != rule_id:
            raise QuestionError("rule_id", f"must be {rule_id!r}, as in the address: an id cannot be changed")
        with _as_statuses(), _precondition(request):
            known = await desk.rules.replace(rule, expected_revision(request))
        return revised_response(await _document(desk, known))

    @router.delete("/alert-rules/{rule_id}", status_code=204, summary="Delete a rule", **changes)
    async def delete(
        rule_id: str, request: Request, parameters: Annotated[NoParameters, QueryParameters()]
    ) -> Response:
        """A built-in rule becomes what it was at first; to be rid of it, turn it off."""
        with _as_statuses(), _precondition(request):
            await desk.rules.delete(rule_id, expected_revision(request))
        return Response(status_code=204)


async def _document(desk: AlertDesk, known: KnownRule) -> Json:
    return documents.rule_document(known, await desk.report(), await desk.channel_trouble(known.rule))


def _add_silences(router: APIRouter, desk: AlertDesk, now_ns: NowNs) -> None:
    changes: dict[str, Any] = {"responses": CHANGE_ERRORS}

    @router.get(
        "/silences",
        response_model=models.AlertSilences,
        responses={**answers(SILENCES_EXAMPLE), **PAGE_ERRORS},
        summary="Silences and maintenance windows",
    )
    async def silences(parameters: Annotated[PageParameters, QueryParameters()]) -> Response:
        """Those that have not ended, also those that have not begun."""
        place, now_s = place_of(parameters), now_ns() / _NS_PER_S
        found = await desk.silences.silences()
        shown, cursor = page_of(found, lambda one: (one.ends_s, one.silence_id), parameters, place)
        items = [documents.silence_document(one, now_s) for one in shown]
        return json_response({"items": items, "next_cursor": cursor})

    @router.post("/silences", status_code=201, response_model=models.AlertSilence, summary="Add a silence", **changes)
    async def add(request: models.SilenceRequest, parameters: Annotated[NoParameters, QueryParameters()]) -> Response:
        """Alerts that match are not told until it ends; they are evaluated and shown all the same."""
        now_s = now_ns() / _NS_PER_S
        with _as_statuses():
            made = await desk.silences.add(_silence_of(request, now_s))
        return json_response(documents.silence_document(made, now_s), 201)

    @router.delete("/silences/{silence_id}", status_code=204, summary="End a silence now", **changes)
    async def end(silence_id: str, parameters: Annotated[NoParameters, QueryParameters()]) -> Response:
        """What still fires is told."""
        with _as_statuses():
            await desk.silences.end(silence_id)
        return Response(status_code=204)


def _silence_of(request: models.SilenceRequest, now_s: float) -> Silence:
    starts_s = now_s if request.starts is None else float(request.starts)
    ends_s = float(request.ends) if request.ends is not None else starts_s + (request.duration or 0)
    if ends_s <= now_s:
        raise QuestionError("ends", "must be in the future")
    try:
        return Silence(
            rule=request.rule,
            labels=request.labels,
            severity=request.severity,
            starts_s=starts_s,
            ends_s=ends_s,
            comment=request.comment,
            created_by=name_of_writer(request.created_by),
        )
    except ValidationError as error:
        message = str(error.errors(include_url=False)[0]["msg"]).removeprefix("Value error, ")
        field, _, text = message.partition(": ")
        raise QuestionError(field if text else "silence", text or message) from None


@contextmanager
def _precondition(request: Request) -> Iterator[None]:
    try:
        yield
    except RuleConflictError as error:
        raise HTTPException(conflict_status(request), str(error)) from error
