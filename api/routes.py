"""The REST routes: a URL becomes a question, its answer JSON.

Included by `api/component.py`; the shapes are in `api/models.py`, the parameters in `api/parameters.py`.
"""

from __future__ import annotations

import time
from typing import Annotated, Final

import anyio.to_thread
from fastapi import APIRouter, Depends
from fastapi import Query as QueryParameters
from starlette.responses import Response

from api import documents, models
from api.examples import PIPELINE_EXAMPLE, RED_EXAMPLE, SERVICES_EXAMPLE
from api.figures import pipeline_document
from api.paging import Key, page_of, place_of
from api.parameters import PipelineParameters, RedParameters, ServicesParameters
from api.pipeline_documents import system_document
from api.repeats import refuse_repeats
from api.responses import PAGE_ERRORS, QUESTION_ERRORS, answers
from query import Query, ResourceQuery, ServiceSummary, nice_step_s, severity_rank, with_bottlenecks
from query.pipeline import PipelineQuery
from telemetry import Counters, NowNs

_DEFAULT_RANGE_S: Final = 300
_INLINE_STEPS: Final = 2_000
"""Answers with more steps than these, about 5 ms of work, are written in a worker thread."""


def build_router(
    query: Query,
    resources: ResourceQuery,
    counters: Counters,
    now_ns: NowNs = time.time_ns,
    pipelines: PipelineQuery | None = None,
) -> APIRouter:
    """Return the routes below `/api/v1`."""
    router = APIRouter(prefix="/api/v1", dependencies=[Depends(refuse_repeats)])

    @router.get(
        "/services",
        response_model=models.Services,
        responses={**answers(SERVICES_EXAMPLE), **PAGE_ERRORS},
        summary="All services at a glance",
        tags=["RED"],
    )
    async def services(parameters: Annotated[ServicesParameters, QueryParameters()]) -> Response:
        """Rate, errors, durations and health of every service seen in the window.

        Bottlenecks of resources among the problems are those of now, so they are left out of windows that ended before.

        Try `GET /api/v1/services?window=15m`.
        """
        place = place_of(parameters, times=1)
        end_s = parameters.end if place is None else place.times[0]
        answer = await query.services(parameters.window, parameters.series_filter(), end_s)
        if parameters.end is None:
            answer = with_bottlenecks(answer, await resources.recent_verdicts())
        items, cursor = page_of(answer.items, _by_status, parameters, place, (answer.end_s,))
        return documents.json_response(documents.services_document(answer, items, cursor))

    @router.get(
        "/red",
        response_model=models.Red,
        responses={**answers(RED_EXAMPLE), **PAGE_ERRORS},
        summary="RED over time",
        tags=["RED"],
    )
    async def red(parameters: Annotated[RedParameters, QueryParameters()]) -> Response:
        """Rate, errors and durations in equal steps, one item per group.

        Try `GET /api/v1/red?group_by=service,route` for the last five minutes, or
        `GET /api/v1/red?start=2026-11-22T09:00:00Z&end=2026-11-22T10:00:00Z&step=1m&group_by=route` for an hour, or
        `GET /api/v1/red?span_kind=CLIENT&group_by=service,peer,operation` for what services ask of others.
        """
        end_s = now_ns() // 1_000_000_000 + 1 if parameters.end is None else parameters.end
        start_s = max(end_s - _DEFAULT_RANGE_S, 0) if parameters.start is None else parameters.start
        step_s = nice_step_s(end_s - start_s) if parameters.step is None else parameters.step
        place = place_of(parameters, times=3)
        if place is not None:
            start_s, end_s, step_s = place.times
        answer = await query.red(start_s, end_s, step_s, parameters.group_by, parameters.series_filter())
        times = (answer.start_s, answer.end_s, answer.step_s)
        items, cursor = page_of(answer.items, lambda item: tuple(item.labels.values()), parameters, place, times)
        if sum(len(item.steps) for item in items) > _INLINE_STEPS:
            return await anyio.to_thread.run_sync(
                lambda: documents.json_response(documents.red_document(answer, items, cursor)), abandon_on_cancel=True
            )
        return documents.json_response(documents.red_document(answer, items, cursor))

    @router.get(
        "/pipeline",
        response_model=models.Pipeline,
        responses={**answers(PIPELINE_EXAMPLE), 422: QUESTION_ERRORS[422]},
        summary="What ModelWatch counted and holds, and how fresh it is",
        tags=["ModelWatch itself"],
    )
    async def pipeline(parameters: Annotated[PipelineParameters, QueryParameters()]) -> Response:
        """Items received, stored, refused and set aside since this process started, and what it holds now.

        The same figures as in `/metrics`. Under `system` stands what all processes together say, over `window`: the
        figures of the page of the pipeline.
        """
        document = pipeline_document(counters.figures())
        if pipelines is not None:
            document["system"] = system_document(await pipelines.pipeline(parameters.window))
        return documents.json_response(document)

    return router


def _by_status(summary: ServiceSummary) -> Key:
    return severity_rank(summary.status), summary.service
