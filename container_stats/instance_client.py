"""Asks ModelWatch's API which processes services consist of, where this process has no history to read it from.

Between the API's `GET /api/v1/instances` and the sampler, as a `FindWatched`.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import httpx

from container_stats.otlp_client import endpoint_tls
from container_stats.watched_process import HEARD_OF_S, WatchedProcess, watched_process_of
from telemetry import ModelWatchError, PermanentError, RetryableError, SeenInstance, ServiceInstance

ASK_EVERY_S: Final = 20.0
"""The history notes each half minute that an instance was heard of."""
RETRY_AFTER_S: Final = 30.0
_TIMEOUT_S: Final = 5.0
_MAX_ANSWER_BYTES: Final = 32 * 1024 * 1024
"""Some 60,000 instances."""
_PATH: Final = "/api/v1/instances"


class InstanceClient:
    """`find` as often as there is a sample: it asks less often, and answers from what it was told meanwhile."""

    def __init__(
        self,
        address: str,
        token: str,
        *,
        ca_file: Path | None = None,
        cert_file: Path | None = None,
        key_file: Path | None = None,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.url = address.rstrip("/") + _PATH
        self._now_s = now_s
        self._http = httpx.AsyncClient(
            headers={"authorization": f"Bearer {token}"} if token else {},
            timeout=_TIMEOUT_S,
            verify=endpoint_tls(ca_file, cert_file, key_file) if self.url.startswith("https:") else False,
            trust_env=False,
        )
        self._ask_at_s = -float("inf")
        self._answer: Sequence[WatchedProcess] | ModelWatchError = ()

    async def find(self) -> Sequence[WatchedProcess]:
        """Return the processes that telemetry came from of late. Raises `RetryableError` or `PermanentError`."""
        if self._now_s() >= self._ask_at_s:
            try:
                self._answer = await self._ask()
            except ModelWatchError as error:
                self._answer = error
            pause_s = RETRY_AFTER_S if isinstance(self._answer, ModelWatchError) else ASK_EVERY_S
            self._ask_at_s = self._now_s() + pause_s
        if isinstance(self._answer, ModelWatchError):
            raise self._answer.with_traceback(None)  # or it would grow with each time that it is raised
        return self._answer

    async def close(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    async def _ask(self) -> Sequence[WatchedProcess]:
        try:
            async with (
                asyncio.timeout(_TIMEOUT_S),
                self._http.stream("GET", self.url, params={"window": f"{HEARD_OF_S}s"}) as response,
            ):
                if response.status_code in (401, 403):
                    setting = "MODELWATCH_CONTAINERS__INSTANCES_TOKEN"
                    raise PermanentError(
                        f"{self.url} answered {response.status_code}: {setting} must be a token for it"
                    )
                if not response.is_success:
                    raise RetryableError(f"{self.url} answered {response.status_code}")
                body = await self._read(response)
        except (httpx.HTTPError, OSError) as error:  # a `TimeoutError` is an `OSError`
            raise RetryableError(f"{self.url} does not answer ({type(error).__name__})") from error
        return await asyncio.to_thread(self._processes_from, body)

    async def _read(self, response: httpx.Response) -> bytes:
        body = bytearray()
        async for part in response.aiter_bytes():
            body += part
            if len(body) > _MAX_ANSWER_BYTES:
                raise PermanentError(f"{self.url} answered with more than {_MAX_ANSWER_BYTES} bytes")
        return bytes(body)

    def _processes_from(self, body: bytes) -> Sequence[WatchedProcess]:
        try:
            seen = [_seen(item) for item in json.loads(body)["items"]]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise PermanentError(f"{self.url} does not answer as ModelWatch does ({type(error).__name__})") from error
        return [process for process in map(watched_process_of, seen) if process is not None]


def _seen(item: dict[str, Any]) -> SeenInstance:
    host_and_pid = f"{item['host']}:{item['pid']}"  # what the API calls an instance that names no id
    instance = ServiceInstance(
        service_name=str(item["service"]),
        service_instance_id="" if item["instance"] == host_and_pid else str(item["instance"]),
        host_name=str(item["host"]),
        process_pid=str(item["pid"]),
        container_id=str(item["container_id"]),
        service_version=str(item["version"]),
        deployment_environment=str(item["environment"]),
    )
    first_s, last_s = (int(datetime.fromisoformat(item[name]).timestamp()) for name in ("first_seen", "last_seen"))
    return SeenInstance(instance, first_s, last_s)
