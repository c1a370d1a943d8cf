"""The routes of settings that may be changed while ModelWatch runs.

Included by `api/component.py`; everything is done by `tuning.desk`, which the page uses as well.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, HTTPException
from fastapi import Query as QueryParameters
from pydantic import Field
from starlette.responses import Response

from access.identity import LOCAL_NAME, name_of_writer
from api import setting_models as models
from api.alert_documents import moment
from api.documents import Json, json_response
from api.paging import PageParameters
from api.parameters import NoParameters
from api.repeats import refuse_repeats
from api.responses import CHANGE_ERRORS, PAGE_ERRORS, QUESTION_ERRORS, Responses, answers
from query import QuestionError
from tuning.desk import SettingChange, TunedSetting, TuningDesk, value_of
from tuning.tunable import BadValueError, UnknownSettingError

SETTING_EXAMPLE: Final[dict[str, Any]] = {
    "name": "query.apdex_target_s",
    "variable": "MODELWATCH_QUERY__APDEX_TARGET_S",
    "value": 0.25,
    "start_value": 0.5,
    "is_changed": True,
    "value_schema": {"type": "number", "minimum": 0.001, "maximum": 3600},
    "description": "Seconds within which an answer satisfies: the T of Apdex; up to four times that it is tolerated.",
    "honoured_by": ["dashboard", "alerts"],
    "changed_by": "mei",
    "changed": "2026-11-22T10:00:00.000Z",
    "failure": "",
}
CHANGES_EXAMPLE: Final[dict[str, Any]] = {
    "items": [
        {
            "name": "query.apdex_target_s",
            "before": 0.5,
            "value": 0.25,
            "is_reset": False,
            "by": "mei",
            "at": "2026-11-22T10:00:00.000Z",
        }
    ],
    "next_cursor": "41",
}
_CURSOR: Final = re.compile(r"\d{1,18}", re.ASCII)
_UNKNOWN: Final[Responses] = {404: CHANGE_ERRORS[404]}
_ERRORS: Final[Responses] = {status: CHANGE_ERRORS[status] for status in (403, 404, 422, 503)}


class ChangesParameters(PageParameters, extra="forbid"):
    """The parameters of `/api/v1/setting-changes`."""

    limit: int = Field(100, ge=1, le=1_000, description="Most items of one page.", examples=[20])


def build_setting_router(desk: TuningDesk) -> APIRouter:
    """Return the routes of settings below `/api/v1`."""
    router = APIRouter(prefix="/api/v1", dependencies=[Depends(refuse_repeats)], tags=["Settings"])
    _add_reading(router, desk)
    _add_changing(router, desk)
    return router


def _add_reading(router: APIRouter, desk: TuningDesk) -> None:
    @router.get(
        "/settings",
        response_model=models.Settings,
        responses={**answers({"items": [SETTING_EXAMPLE]}), **QUESTION_ERRORS},
        summary="Settings that may be changed while ModelWatch runs",
    )
    async def settings(parameters: Annotated[NoParameters, QueryParameters()]) -> Response:
        """All other settings need a restart; the page of settings shows them. Try `GET /api/v1/settings`."""
        return json_response({"items": [_document(one) for one in desk.settings()]})

    @router.get(
        "/setting-changes",
        response_model=models.SettingChanges,
        responses={**answers(CHANGES_EXAMPLE), **PAGE_ERRORS},
        summary="Who changed which setting when",
    )
    async def changes(parameters: Annotated[ChangesParameters, QueryParameters()]) -> Response:
        """Latest first, a page at a time. Try `GET /api/v1/setting-changes?limit=20`."""
        before = None if parameters.cursor is None else _change_id(parameters.cursor)
        found = await desk.changes(parameters.limit + 1, before)
        shown = found[: parameters.limit]
        cursor = str(shown[-1].change_id) if len(found) > len(shown) else None
        return json_response({"items": [_change(one) for one in shown], "next_cursor": cursor})

    @router.get(
        "/settings/{name}",
        response_model=models.Setting,
        responses={**answers(SETTING_EXAMPLE), **_UNKNOWN, **QUESTION_ERRORS},
        summary="One setting",
    )
    async def setting(name: str, parameters: Annotated[NoParameters, QueryParameters()]) -> Response:
        """By its path, such as `query.apdex_target_s`."""
        with _as_statuses():
            return json_response(_document(desk.setting(name)))


def _add_changing(router: APIRouter, desk: TuningDesk) -> None:
    @router.put(
        "/settings/{name}",
        response_model=models.Setting,
        responses={**answers(SETTING_EXAMPLE), **_ERRORS},
        summary="Change a setting",
    )
    async def change(
        name: str, request: models.NewValue, parameters: Annotated[NoParameters, QueryParameters()]
    ) -> Response:
        """Holds in every process with the database within seconds, over what it was started with, also after a restart.

        Refused with 422 if the value is out of bounds, or does not fit another setting.
        """
        with _as_statuses():
            return json_response(_document(await desk.change(name, request.value, _writer(request.by))))

    @router.delete(
        "/settings/{name}",
        response_model=models.Setting,
        responses={**answers({**SETTING_EXAMPLE, "value": 0.5, "is_changed": False}), **_ERRORS},
        summary="Put a setting back",
    )
    async def reset(name: str, parameters: Annotated[NoParameters, QueryParameters()]) -> Response:
        """Every process goes back to what it was started with. Without a change nothing happens."""
        with _as_statuses():
            return json_response(_document(await desk.reset(name, _writer(""))))


def _change_id(cursor: str) -> int:
    if not _CURSOR.fullmatch(cursor):
        raise QuestionError("cursor", "it is not the `next_cursor` of an answer")
    return int(cursor)


def _writer(said: str) -> str:
    return name_of_writer(said) or LOCAL_NAME


@contextmanager
def _as_statuses() -> Iterator[None]:
    try:
        yield
    except UnknownSettingError as error:
        raise HTTPException(404, str(error)) from error
    except BadValueError as error:
        raise HTTPException(422, str(error)) from error


def _document(one: TunedSetting) -> Json:
    change = one.change
    return {
        "name": one.tunable.name,
        "variable": one.tunable.variable,
        "value": one.value,
        "start_value": one.start_value,
        "is_changed": one.is_changed,
        "value_schema": one.schema,
        "description": " ".join(filter(None, (one.description, one.tunable.warning))),
        "honoured_by": list(one.tunable.honoured_by),
        "changed_by": change.changed_by if change else None,
        "changed": moment(change.changed_ms / 1e3) if change else None,
        "failure": one.failure,
    }


def _change(one: SettingChange) -> Json:
    return {
        "name": one.name,
        "before": value_of(one.before),
        "value": value_of(one.value),
        "is_reset": one.value is None,
        "by": one.changed_by,
        "at": moment(one.changed_ms / 1e3),
    }
