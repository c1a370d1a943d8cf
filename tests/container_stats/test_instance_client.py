"""Asking the API whose processes there are: what its answers mean, and how often it is asked."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from container_stats.instance_client import ASK_EVERY_S, RETRY_AFTER_S, InstanceClient
from container_stats.watched_process import WatchedProcess
from telemetry import ModelWatchError, PermanentError, RetryableError, StartError
from tests.support.http_sink import HttpSink, answer
from tests.support.ports import free_port

ITEM = {
    "service": "fraud",
    "instance": "one",
    "version": "1.2",
    "environment": "prod",
    "host": "gpu-1",
    "pid": "42",
    "container_id": "c" * 64,
    "first_seen": "2026-01-01T00:00:00Z",
    "last_seen": "2026-01-01T00:01:00Z",
}
FRAUD = (
    ("service.name", "fraud"),
    ("service.version", "1.2"),
    ("service.instance.id", "one"),
    ("deployment.environment.name", "prod"),
)


def told(*items: object) -> bytes:
    return answer(200, body=json.dumps({"since": "2026-01-01T00:00:00Z", "items": items}).encode())


@asynccontextmanager
async def asking(sink: HttpSink, token: str = "", now: list[float] | None = None) -> AsyncIterator[InstanceClient]:
    clock = now if now is not None else [0.0]
    client = InstanceClient(f"http://127.0.0.1:{sink.port}/", token, now_s=lambda: clock[0])
    try:
        yield client
    finally:
        await client.close()


async def test_what_the_api_tells_becomes_processes_to_watch() -> None:
    """An instance that names host and pid is one; the name that the API makes up of both is no id of it."""
    unnamed = {**ITEM, "instance": "gpu-1:7", "pid": "7", "container_id": "", "version": "", "environment": ""}
    async with HttpSink(answers=[told(ITEM, unnamed, {**ITEM, "pid": ""})]) as sink, asking(sink, "secret") as client:
        assert await client.find() == [
            WatchedProcess("gpu-1", 42, 1_767_225_660, "c" * 64, FRAUD),
            WatchedProcess("gpu-1", 7, 1_767_225_660, "", (("service.name", "fraud"),)),
        ]
        (request,) = sink.posted
        assert request.line.startswith("GET /api/v1/instances?window=900s ")
        assert request.headers["authorization"] == "Bearer secret"


async def test_the_api_is_asked_less_often_than_there_are_samples() -> None:
    """Meanwhile the last answer holds; after a failure it is left in peace for longer, and the failure is told."""
    now = [1_000.0]
    async with HttpSink(answers=[told(ITEM), answer(503), told(ITEM)]) as sink, asking(sink, now=now) as client:
        assert len(await client.find()) == 1
        now[0] += ASK_EVERY_S - 1
        assert len(await client.find()) == 1
        assert len(sink.posted) == 1
        now[0] += 1
        for _ in range(3):
            with pytest.raises(RetryableError, match="answered 503"):
                await client.find()
        assert len(sink.posted) == 2
        now[0] += RETRY_AFTER_S
        assert len(await client.find()) == 1


@pytest.mark.parametrize(
    ("given", "error", "says"),
    [
        (answer(401), PermanentError, "401: MODELWATCH_CONTAINERS__INSTANCES_TOKEN must be a token for it"),
        (answer(403), PermanentError, "403: MODELWATCH_CONTAINERS__INSTANCES_TOKEN"),
        (answer(404), RetryableError, "answered 404"),
        (answer(303, {"Location": "/login"}), RetryableError, "answered 303"),
        (answer(200, body=b"<html>"), PermanentError, "does not answer as ModelWatch does"),
        (answer(200, body=b"[1]"), PermanentError, "does not answer as ModelWatch does"),
        (answer(200, body=b'{"items": [7]}'), PermanentError, "does not answer as ModelWatch does"),
        (told({**ITEM, "last_seen": None}), PermanentError, "does not answer as ModelWatch does"),
        (b"nothing like HTTP\r\n\r\n", RetryableError, "does not answer"),
    ],
)
async def test_an_answer_that_is_of_no_use_is_told(given: bytes, error: type[ModelWatchError], says: str) -> None:
    """In one line that names the address and what to do."""
    async with HttpSink(answers=[given]) as sink, asking(sink) as client:
        with pytest.raises(error, match=says) as raised:
            await client.find()
        assert client.url in str(raised.value)
        assert "\n" not in str(raised.value)


async def test_an_api_that_is_away_is_told() -> None:
    """Nobody listens there."""
    client = InstanceClient(f"http://127.0.0.1:{free_port()}", "")
    with pytest.raises(RetryableError, match="does not answer"):
        await client.find()
    await client.close()


def test_authorities_that_cannot_be_read_stop_the_start() -> None:
    """Before anything is asked."""
    with pytest.raises(StartError, match="certificates"):
        InstanceClient("https://127.0.0.1:1", "", ca_file=Path("/nowhere.pem"))
