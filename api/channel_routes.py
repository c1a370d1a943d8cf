"""The routes of channels: how deliveries stand, and a test of each.

Included by `api/component.py`; everything is done by `alerting.channels.desk`, which the page uses as well.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, HTTPException
from fastapi import Query as QueryParameters
from starlette.responses import Response

from alerting.channels.desk import ChannelDesk, ChannelState, TooManyTestsError, UnknownChannelError
from api import channel_models as models
from api.alert_documents import moment
from api.documents import Json, json_response
from api.examples import NEXT_CURSOR
from api.paging import PageParameters, page_of, place_of
from api.parameters import NoParameters
from api.repeats import refuse_repeats
from api.responses import CHANGE_ERRORS, PAGE_ERRORS, Responses, answers

CHANNELS_EXAMPLE: Final[dict[str, Any]] = {
    "items": [
        {
            "name": "on-call",
            "kind": "pagerduty",
            "is_configured": True,
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
        """Channels are set in `MODELWATCH_ALERTS__CHANNELS`; their targets are secrets and told nowhere.

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
            found = await desk.test(name)
        except UnknownChannelError as error:
            raise HTTPException(404, str(error)) from error
        except TooManyTestsError as error:
            headers = {"Retry-After": str(math.ceil(error.retry_after_s))}
            raise HTTPException(429, str(error), headers) from error
        return json_response({**found._asdict(), "took_s": round(found.took_s, 3)})

    return router


def _document(state: ChannelState) -> Json:
    settings = state.settings
    return {
        "name": state.name,
        "kind": state.kind,
        "is_configured": settings is not None,
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
