"""The routes of traces: requests that were kept, and all that is kept of one trace.

Included by `api/component.py`; the shapes are in `api/trace_models.py`, the parameters in `api/trace_parameters.py`.
"""

from __future__ import annotations

import time
from typing import Annotated, Final

import anyio.to_thread
from fastapi import APIRouter, Depends, Path
from fastapi import Query as QueryParameters
from starlette.responses import Response

from api import trace_models
from api.documents import json_response
from api.parameters import NoParameters
from api.problems import problem
from api.repeats import refuse_repeats
from api.responses import CHANGE_ERRORS, PAGE_ERRORS, QUESTION_ERRORS, answers
from api.trace_documents import trace_document, traces_document
from api.trace_examples import TRACE_EXAMPLE, TRACES_EXAMPLE
from api.trace_parameters import TracesParameters
from query import TraceQuery
from telemetry import NowNs

_DEFAULT_RANGE_S: Final = 3_600
_NS_PER_S: Final = 1_000_000_000


def build_trace_router(traces: TraceQuery, now_ns: NowNs = time.time_ns) -> APIRouter:
    """Return the routes `/api/v1/traces` and those below."""
    router = APIRouter(prefix="/api/v1", dependencies=[Depends(refuse_repeats)])

    @router.get(
        "/traces",
        response_model=trace_models.Traces,
        responses={**answers(TRACES_EXAMPLE), **PAGE_ERRORS},
        summary="Requests that were kept",
        tags=["Traces"],
    )
    async def found(parameters: Annotated[TracesParameters, QueryParameters()]) -> Response:
        """Single requests, the latest or the longest first. Errors and the slowest are kept of every route.

        Try `GET /api/v1/traces?error=true`, or `GET /api/v1/traces?order=duration&limit=10`.
        """
        end_s = now_ns() // _NS_PER_S + 1 if parameters.end is None else parameters.end
        start_s = max(end_s - _DEFAULT_RANGE_S, 0) if parameters.start is None else parameters.start
        where, limit = parameters.trace_filter(), parameters.limit
        answer = await traces.traces(start_s, end_s, where, parameters.order, limit, parameters.cursor)
        return json_response(traces_document(answer))

    @router.get(
        "/traces/{trace_id}",
        response_model=trace_models.Trace,
        responses={**answers(TRACE_EXAMPLE), 404: CHANGE_ERRORS[404], **QUESTION_ERRORS},
        summary="One trace",
        tags=["Traces"],
    )
    async def one(
        trace_id: Annotated[
            str, Path(description="32 hexadecimal digits.", examples=["5b8efff798038103d269b633813fc60c"])
        ],
        parameters: Annotated[NoParameters, QueryParameters()],
    ) -> Response:
        """All spans of it that are kept, below their parents, with attributes and events; gaps are told."""
        answer = await traces.trace(trace_id)
        if answer is None:
            return problem(404, f"no span of the trace {trace_id} is kept: it was not chosen, or is deleted by now")
        return await anyio.to_thread.run_sync(lambda: json_response(trace_document(answer)), abandon_on_cancel=True)

    return router
