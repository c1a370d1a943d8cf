"""The route of metrics: a URL becomes a question, its answer JSON.

Included by `api/component.py`; the shapes are in `api/metric_models.py`, the parameters in `api/metric_parameters.py`.
"""

from __future__ import annotations

import time
from typing import Annotated, Final

import anyio.to_thread
from fastapi import APIRouter, Depends
from fastapi import Query as QueryParameters
from starlette.responses import Response

from api import metric_models
from api.documents import json_response
from api.metric_documents import metric_document, metrics_document
from api.metric_examples import METRIC_EXAMPLE
from api.metric_parameters import MetricsParameters
from api.paging import Key, page_of, place_of
from api.repeats import refuse_repeats
from api.responses import PAGE_ERRORS, answers
from query import MetricInfo, MetricQuery, nice_step_s
from telemetry import NowNs

_DEFAULT_RANGE_S: Final = 3_600
_INLINE_VALUES: Final = 2_000
_NS_PER_S: Final = 1_000_000_000


def build_metric_router(metrics: MetricQuery, now_ns: NowNs = time.time_ns) -> APIRouter:
    """Return the route `/api/v1/metrics`."""
    router = APIRouter(prefix="/api/v1", dependencies=[Depends(refuse_repeats)])

    @router.get(
        "/metrics",
        response_model=metric_models.Metric | metric_models.Metrics,
        responses={**answers(METRIC_EXAMPLE), **PAGE_ERRORS},
        summary="Metrics over time, or which there are",
        tags=["Metrics"],
    )
    async def metric(parameters: Annotated[MetricsParameters, QueryParameters()]) -> Response:
        """The metrics that services, Collectors and ModelWatch's own agents send, in equal steps, one item per group.

        Try `GET /api/v1/metrics` for what there is, and then
        `GET /api/v1/metrics?name=container.cpu.time&group_by=container.name&aggregation=rate` for the last hour.
        """
        end_s = now_ns() // _NS_PER_S + 1 if parameters.end is None else parameters.end
        start_s = max(end_s - _DEFAULT_RANGE_S, 0) if parameters.start is None else parameters.start
        place = place_of(parameters, times=3)
        step_s = nice_step_s(end_s - start_s) if parameters.step is None else parameters.step
        if place is not None:
            start_s, end_s, step_s = place.times
        where = parameters.metric_filter()
        if parameters.name is None:
            known = await metrics.metrics(start_s, end_s, where)
            infos, cursor = page_of(known.items, _by_name, parameters, place, (start_s, end_s, step_s))
            return json_response(metrics_document(known, infos, cursor))
        answer = await metrics.metric(start_s, end_s, step_s, where, parameters.group_by, parameters.aggregation)
        times = (answer.start_s, answer.end_s, answer.step_s)
        items, cursor = page_of(answer.items, lambda item: tuple(item.labels.values()), parameters, place, times)
        if sum(len(item.values) for item in items) > _INLINE_VALUES:
            return await anyio.to_thread.run_sync(
                lambda: json_response(metric_document(answer, items, cursor)), abandon_on_cancel=True
            )
        return json_response(metric_document(answer, items, cursor))

    return router


def _by_name(info: MetricInfo) -> Key:
    return info.name, info.unit, info.type
