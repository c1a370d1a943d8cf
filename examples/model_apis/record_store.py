"""A stand-in for the remote store that a model API reads its inputs from, with an admin route that makes it misbehave.

Two of the APIs look records up here. The admin route belongs to the demo alone: it lets traffic cause a slow or a
failing store on purpose, for a limited time, so that what follows in the API is real.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

Record = TypeVar("Record")


class StoreUnreachableError(ConnectionError):
    """The store did not take the connection."""


class StoreCondition(BaseModel, frozen=True, extra="forbid"):
    """How the store behaves for the next `for_s` seconds; after that it is healthy again by itself."""

    delay_s: float = Field(default=0.0, ge=0, le=5, description="added to each look-up, give or take 30 %")
    failure_rate: float = Field(default=0.0, ge=0, le=1, description="share of look-ups whose connection is refused")
    for_s: float = Field(default=60.0, gt=0, le=600, description="how long this lasts")


class RecordStore(Generic[Record]):
    """Records by number, each a few milliseconds away. A healthy store answers in 3 to 12 ms."""

    def __init__(self, records: Mapping[int, Record], now_s: Callable[[], float] = time.monotonic) -> None:
        self._records = records
        self._now_s = now_s
        self._condition = StoreCondition()
        self._ends_s = 0.0
        self._random = random.Random(0)

    async def fetch(self, number: int) -> Record:
        """Return the record. Raises `KeyError` if there is none, `StoreUnreachableError` if the store refuses."""
        condition = self.condition
        await asyncio.sleep(self._random.uniform(0.003, 0.012))
        if self._random.random() < condition.failure_rate:
            raise StoreUnreachableError("the record store refused the connection")
        await asyncio.sleep(condition.delay_s * self._random.uniform(0.7, 1.3))
        return self._records[number]

    @property
    def condition(self) -> StoreCondition:
        """The condition in force now."""
        return self._condition if self._now_s() < self._ends_s else StoreCondition()

    def become(self, condition: StoreCondition) -> None:
        """Put the condition in force from now on."""
        self._condition = condition
        self._ends_s = self._now_s() + condition.for_s


router = APIRouter(prefix="/demo", tags=["demo only"])


@router.get("/store")
async def read_condition(request: Request) -> StoreCondition:
    """How the record store behaves now."""
    store: RecordStore[object] = request.state.store
    return store.condition


@router.put("/store")
async def change_condition(request: Request, condition: StoreCondition) -> StoreCondition:
    """Make the record store slow or unreachable for a while."""
    store: RecordStore[object] = request.state.store
    store.become(condition)
    return condition
