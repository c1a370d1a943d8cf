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
from api.paging import Key, page_of, place_of
from api.repeats import refuse_repeats
from api.resource_documents import ResourcePage, instances_document, resources_document
from api.resource_examples import INSTANCES_EXAMPLE, RESOURCES_EXAMPLE
from api.resource_parameters import InstancesParameters, ResourcesParameters
from api.responses import PAGE_ERRORS, answers
from query import Resource, ResourceQuery, nice_step_s
from telemetry import NowNs, SeenInstance

_STEPS: Final = 60
_NS_PER_S: Final = 1_000_000_000


def build_resource_router(resources: ResourceQuery, now_ns: NowNs = time.time_ns) -> APIRouter:
    """Return the routes `/api/v1/resources` and `/api/v1/instances`."""
    router = APIRouter(prefix="/api/v1", dependencies=[Depends(refuse_repeats)])

    @router.get(
        "/resources",
        response_model=resource_models.Resources,
        responses={**answers(RESOURCES_EXAMPLE), **PAGE_ERRORS},
        summary="Containers and processes, and whether services are short of them",
        tags=["Resources"],
    )
    async def found(parameters: Annotated[ResourcesParameters, QueryParameters()]) -> Response:
        """CPU, memory, network and disk of every container and process that was measured, whose they are, and verdicts.

        Groups, verdicts and traffic are about all of them, and on the first page only.

        Try `GET /api/v1/resources?group_by=service` for the last five minutes, or
        `GET /api/v1/resources?service=churn-classifier&window=1h` for one service beside its traffic.
        """
        end_s = now_ns() // _NS_PER_S + 1 if parameters.end is None else parameters.end
        start_s = parameters.start_s(end_s)
        step_s = nice_step_s(max(end_s - start_s, 1), _STEPS) if parameters.step is None else parameters.step
        place = place_of(parameters, times=3)
        if place is not None:
            start_s, end_s, step_s = place.times
        answer = await resources.resources(start_s, end_s, step_s, parameters.group_by, parameters.resource_filter())
        times = (answer.start_s, answer.end_s, answer.step_s)
        page = ResourcePage(*page_of(answer.items, _resource_key, parameters, place, times))
        if place is None:
            judged, traffic = (await resources.verdicts()).items, None
            if (service := parameters.service) is not None:
                judged = tuple(item for item in judged if item.service == service)
                traffic = await resources.service(service, start_s, end_s, step_s, parameters.environment)
            page = page._replace(groups=answer.groups, verdicts=judged, traffic=traffic)
        # Even a few dozen resources have thousands of figures.
        return await anyio.to_thread.run_sync(
            lambda: json_response(resources_document(answer, page)), abandon_on_cancel=True
        )

    @router.get(
        "/instances",
        response_model=resource_models.Instances,
        responses={**answers(INSTANCES_EXAMPLE), **PAGE_ERRORS},
        summary="The instances of services",
        tags=["Resources"],
    )
    async def instances(parameters: Annotated[InstancesParameters, QueryParameters()]) -> Response:
        """Which processes services consist of, where they run, which version they are, and since when.

        Try `GET /api/v1/instances?service=churn-classifier&window=24h`.
        """
        place = place_of(parameters)
        answer = await resources.instances(parameters.window, parameters.service)
        return json_response(instances_document(answer, *page_of(answer.items, _instance_key, parameters, place)))

    return router


def _resource_key(one: Resource) -> Key:
    return one.owner.service, one.identity.name, one.identity.id, one.identity.kind


def _instance_key(seen: SeenInstance) -> Key:
    return tuple(seen.instance)
