"""The routes of channels: how deliveries stand, a test of each, and those that are made while ModelWatch runs.

Included by `api/component.py`; everything is done by `alerting.channels.desk`, which the page uses as well.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi import Query as QueryParameters
from starlette.responses import Response

from access.identity import LOCAL_NAME, name_of_writer
from alerting.channels.book import ChannelConflictError, UnknownChannelError
from alerting.channels.desk import ChannelDesk, ChannelState, TooManyTestsError
from alerting.channels.given import GivenChannel, files_of, secrets_of
from api import channel_models as models
from api.alert_documents import moment
from api.documents import Json, json_response
from api.examples import NEXT_CURSOR
from api.paging import PageParameters, page_of, place_of
from api.parameters import NoParameters
from api.repeats import refuse_repeats
from api.responses import CHANGE_ERRORS, PAGE_ERRORS, QUESTION_ERRORS, Responses, answers
from api.revisions import conflict_status, expected_revision, revised_response

CHANNELS_EXAMPLE: Final[dict[str, Any]] = {
    "items": [
        {
            "name": "on-call",
            "kind": "pagerduty",
            "is_configured": True,
            "is_editable": True,
            "revision": 1_795_341_600_000,
            "failure": "",
            "secrets": ["url"],
            "files": {},
            "min_severity": "critical",
            "states": ["firing", "resolved"],
            "labels": {"environment": "production"},
            "max_per_minute": 10,
            "waiting": 2,
            "waiting_reason": "it answered 503",
            "last_sent": "2026-11-22T10:00:00.000Z",
            "last_failed": "2026-11-20T03:12:00.000Z",
            "last_failed_reason": "it answered 403: the message was refused",
        }
    ],
    "next_cursor": NEXT_CURSOR,
}
TEST_EXAMPLE: Final[dict[str, Any]] = {
    "notification_id": "test-5f0c4a1de8a5b1c2",
    "status": "failed",
    "detail": "it answered 404: the message was refused",
    "took_s": 0.41,
}
_TOO_SOON: Final[Responses] = {
    429: {
        **CHANGE_ERRORS[404],
        "description": "The channel was tested a moment ago; again after `Retry-After` seconds.",
    }
}


def build_channel_router(desk: ChannelDesk) -> APIRouter:
    """Return the routes of channels below `/api/v1`."""
    router = APIRouter(prefix="/api/v1", dependencies=[Depends(refuse_repeats)], tags=["Alerts"])

    @router.get(
        "/alert-channels",
        response_model=models.AlertChannels,
        responses={**answers(CHANNELS_EXAMPLE), **PAGE_ERRORS},
        summary="Where notifications go, and how deliveries stand",
    )
    async def channels(parameters: Annotated[PageParameters, QueryParameters()]) -> Response:
        """Those of `MODELWATCH_ALERTS__CHANNELS`, and those that were made here. Targets are secrets and told nowhere.

        Try `GET /api/v1/alert-channels`.
        """
        numbered = list(enumerate(await desk.channels()))
        shown, cursor = page_of(numbered, lambda one: (one[0],), parameters, place_of(parameters))
        return json_response({"items": [_document(state) for _, state in shown], "next_cursor": cursor})

    @router.post(
        "/alert-channels/{name}/test",
        response_model=models.AlertChannelTest,
        responses={**answers(TEST_EXAMPLE), **CHANGE_ERRORS, **_TOO_SOON},
        summary="Send a test",
    )
    async def test(name: str, parameters: Annotated[NoParameters, QueryParameters()]) -> Response:
        """It goes the way of every notification, is tried once, and is marked as a test.

        Answers when it is known how that ended, or after half a minute.
        """
        try:
            with _as_statuses():
                found = await desk.test(name)
        except TooManyTestsError as error:
            headers = {"Retry-After": str(math.ceil(error.retry_after_s))}
            raise HTTPException(429, str(error), headers) from error
        return json_response({**found._asdict(), "took_s": round(found.took_s, 3)})

    _add_changing(router, desk)
    return router


def _add_changing(router: APIRouter, desk: ChannelDesk) -> None:
    changes: dict[str, Any] = {"responses": CHANGE_ERRORS}

    @router.post(
        "/alert-channels", status_code=201, response_model=models.AlertChannel, summary="Make a channel", **changes
    )
    async def create(request: models.NewChannel, parameters: Annotated[NoParameters, QueryParameters()]) -> Response:
        """Counts within seconds in every process. It is looked at as at a start; nothing is sent.

        Its secrets are kept in the database and never told again.
        """
        with _as_statuses():
            await desk.book.add(request.name, request, _writer())
            answer = revised_response(_document(await desk.channel(request.name)), 201)
        answer.headers["Location"] = f"/api/v1/alert-channels/{request.name}"
        return answer

    @router.get(
        "/alert-channels/{name}",
        response_model=models.AlertChannel,
        responses={404: CHANGE_ERRORS[404], **QUESTION_ERRORS},
        summary="One channel",
    )
    async def channel(name: str, parameters: Annotated[NoParameters, QueryParameters()]) -> Response:
        """With its revision as the ETag."""
        with _as_statuses():
            return revised_response(_document(await desk.channel(name)))

    @router.put("/alert-channels/{name}", response_model=models.AlertChannel, summary="Change a channel", **changes)
    async def change(
        name: str, given: GivenChannel, request: Request, parameters: Annotated[NoParameters, QueryParameters()]
    ) -> Response:
        """The whole of it, but for secrets: those that are left out stay, `null` takes one away.

        Where the URL changes, the others must be given anew. With `If-Match`, only if it is still what was read.
        """
        with _as_statuses(request):
            await desk.book.change(name, given, expected_revision(request), _writer())
            return revised_response(_document(await desk.channel(name)))

    @router.delete("/alert-channels/{name}", status_code=204, summary="Remove a channel", **changes)
    async def remove(name: str, request: Request, parameters: Annotated[NoParameters, QueryParameters()]) -> Response:
        """With its secrets; what still waits for it is given up, which is said."""
        with _as_statuses(request):
            await desk.book.remove(name, expected_revision(request), _writer())
        return Response(status_code=204)


def _writer() -> str:
    return name_of_writer("") or LOCAL_NAME


@contextmanager
def _as_statuses(request: Request | None = None) -> Iterator[None]:
    try:
        yield
    except UnknownChannelError as error:
        raise HTTPException(404, str(error)) from error
    except ChannelConflictError as error:
        raise HTTPException(409 if request is None else conflict_status(request), str(error)) from error


def _document(state: ChannelState) -> Json:
    settings = state.settings
    return {
        "name": state.name,
        "kind": state.kind,
        "is_configured": state.is_known,
        "is_editable": state.revision > 0,
        "revision": state.revision,
        "failure": state.failure,
        "secrets": secrets_of(settings) if settings else [],
        "files": files_of(settings) if settings and state.revision else {},
        "min_severity": settings.min_severity.value if settings else None,
        "states": [one.value for one in settings.states] if settings else [],
        "labels": dict(settings.labels) if settings else {},
        "max_per_minute": settings.max_per_minute if settings else None,
        "waiting": state.waiting,
        "waiting_reason": state.waiting_reason,
        "last_sent": moment(state.last_sent_s),
        "last_failed": moment(state.last_failed_s),
        "last_failed_reason": state.last_failed_reason,
    }
