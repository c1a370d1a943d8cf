"""The routes of resources: a URL becomes questions, their answers JSON.

Included by `api/component.py`; the shapes are in `api/resource_models.py`, the parameters in
`api/resource_parameters.py`.
"""

from __future__ import annotations

import time
from typing import Annotated, Final

import anyio.to_thread
from fastapi import APIRouter, Depends
from fastapi import Query as QueryParameters
from starlette.responses import Response

from api import resource_models
from api.documents import json_response
from api.parameters import refuse_repeats
from api.resource_documents import instances_document, resources_document
from api.resource_examples import INSTANCES_EXAMPLE, RESOURCES_EXAMPLE
from api.resource_parameters import InstancesParameters, ResourcesParameters
from api.responses import QUESTION_ERRORS, answers
from query import ResourceQuery, nice_step_s
from telemetry import NowNs

_STEPS: Final = 60
_NS_PER_S: Final = 1_000_000_000


def build_resource_router(resources: ResourceQuery, now_ns: NowNs = time.time_ns) -> APIRouter:
    """Return the routes `/api/v1/resources` and `/api/v1/instances`."""
    router = APIRouter(prefix="/api/v1", dependencies=[Depends(refuse_repeats)])

    @router.get(
        "/resources",
        response_model=resource_models.Resources,
        responses={**answers(RESOURCES_EXAMPLE), **QUESTION_ERRORS},
        summary="Containers and processes, and whether services are short of them",
        tags=["Resources"],
    )
    async def found(parameters: Annotated[ResourcesParameters, QueryParameters()]) -> Response:
        """CPU, memory, network and disk of every container and process that was measured, whose they are, and verdicts.

        Try `GET /api/v1/resources?group_by=service` for the last five minutes, or
        `GET /api/v1/resources?service=churn-classifier&window=1h` for one service beside its traffic.
        """
        end_s = now_ns() // _NS_PER_S + 1 if parameters.end is None else parameters.end
        start_s = parameters.start_s(end_s)
        step_s = nice_step_s(max(end_s - start_s, 1), _STEPS) if parameters.step is None else parameters.step
        answer = await resources.resources(start_s, end_s, step_s, parameters.group_by, parameters.resource_filter())
        judged = (await resources.verdicts()).items
        service, traffic = parameters.service, None
        if service is not None:
            judged = tuple(item for item in judged if item.service == service)
            traffic = await resources.service(service, start_s, end_s, step_s, parameters.environment)
        # Even a few dozen resources have thousands of figures.
        return await anyio.to_thread.run_sync(
            lambda: json_response(resources_document(answer, judged, traffic)), abandon_on_cancel=True
        )

    @router.get(
        "/instances",
        response_model=resource_models.Instances,
        responses={**answers(INSTANCES_EXAMPLE), **QUESTION_ERRORS},
        summary="The instances of services",
        tags=["Resources"],
    )
    async def instances(parameters: Annotated[InstancesParameters, QueryParameters()]) -> Response:
        """Which processes services consist of, where they run, which version they are, and since when.

        Try `GET /api/v1/instances?service=churn-classifier&window=24h`.
        """
        return json_response(instances_document(await resources.instances(parameters.window, parameters.service)))

    return router
