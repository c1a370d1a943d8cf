"""Frameworks × servers × workers: one span for each request, none lost at the end, each worker under its own id."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pytest
from websockets.sync.client import connect

from tests.support.otlp_sink import Received, Sink
from tests.support.recorded_requests import Case, check, get, record
from tests.support.watched_app import NEVER_MS, PORT, WatchedApp, served

ASGI_SERVERS = {
    "uvicorn": ("uvicorn", "APP", "--port", PORT),
    "uvicorn with workers": ("uvicorn", "APP", "--port", PORT, "--workers", "2"),
    "hypercorn": ("hypercorn", "APP", "-b", f"127.0.0.1:{PORT}", "-w", "0"),
    "hypercorn with workers": ("hypercorn", "APP", "-b", f"127.0.0.1:{PORT}", "-w", "2"),
    "granian": ("granian", "--interface", "asgi", "APP", "--port", PORT, "--workers", "2"),
    "granian with threads": ("granian", "--interface", "asginl", "APP", "--port", PORT, "--runtime-mode", "mt"),
    "gunicorn": ("gunicorn", "-k", "asgi", "-w", "2", "APP", "-b", f"127.0.0.1:{PORT}"),
    "gunicorn, preloaded": ("gunicorn", "-k", "asgi", "-w", "2", "--preload", "APP", "-b", f"127.0.0.1:{PORT}"),
    "gunicorn with uvicorn": (
        *("gunicorn", "-k", "uvicorn.workers.UvicornWorker", "-w", "2", "APP", "-b", f"127.0.0.1:{PORT}"),
    ),
}
WSGI_SERVERS = {
    "gunicorn": ("gunicorn", "-w", "2", "APP", "-b", f"127.0.0.1:{PORT}"),
    "gunicorn, preloaded, with threads": (
        *("gunicorn", "-w", "2", "--threads", "4", "--preload", "APP", "-b", f"127.0.0.1:{PORT}"),
    ),
    "granian": ("granian", "--interface", "wsgi", "APP", "--port", PORT, "--workers", "2"),
}
ERROR = "fastapi_app.ModelError"
CASES: dict[str, Sequence[Case]] = {
    "fastapi_app": [
        get("/items/7", 200, "/items/{item_id}"),
        get("/items/seven", 422, "/items/{item_id}"),
        get("/nothing/here", 404, None),
        get("/broken/3", 500, "/broken/{item_id}", error_type=ERROR, exception=ERROR),
        get("/stream", 200, "/stream"),
        get("/background", 200, "/background"),
        Case("/v1/predict/wine", 200, "POST /v1/predict/{model}", "/v1/predict/{model}", "POST"),
        get("/mounted/items/4", 200, "/mounted/items/{item_id}"),
    ],
    "silent_app": [
        get("/items/7", 200, "/items/{item_id}"),
        get("/broken/3", 500, "/broken/{item_id}", error_type="ValueError", exception="ValueError"),
    ],
    "starlette_app": [
        get("/items/7", 200, "/items/{item_id}"),
        get("/broken", 500, "/broken", error_type="ValueError", exception="ValueError"),
        get("/mounted/items/7", 200, "/mounted/items/{item_id}"),
    ],
    "plain_app": [
        get("/any/path", 200, None),
        get("/missing", 404, None),
        get("/broken", 500, None, error_type="ValueError", exception="ValueError"),
    ],
    "flask_app": [
        get("/items/7", 200, "/items/<int:item_id>"),
        get("/nothing/here", 404, None),
        get("/gone/x", 410, "/gone/<name>"),
        get("/broken/3", 500, "/broken/<int:item_id>", error_type="500", exception="ValueError"),
        get("/stream", 200, "/stream"),
    ],
}
CELLS = [
    *((app, server) for server in ASGI_SERVERS for app in ("fastapi_app", "plain_app")),
    *((app, server) for server in ("uvicorn", "granian") for app in ("starlette_app", "silent_app")),
]
PROBES = ["/health", "/metrics", "/v2/health/ready"]
PID = {"plain_app": None}
"""The route of the page of process ids, where it is not /pid."""


def workers_of(command: Sequence[str]) -> int:
    flags = [flag for flag in ("-w", "--workers") if flag in command]
    return max(1, int(command[command.index(flags[0]) + 1])) if flags else 1


def assert_each_request_has_its_span(sink: Sink, app: WatchedApp, module: str, workers: int) -> list[Received]:
    """Make every case's request, ask each worker for its id, stop; compare what arrived with what was answered."""
    for path in PROBES:
        app.request("GET", path)
    answers = app.answering_pids(workers=workers, path="/pid")
    recording = record(app, sink, CASES[module])
    for case in CASES[module]:
        check(recording, case)
    others = [span for span in recording.spans if span.trace_id not in recording.traces.values()]
    assert Counter(str(span.resource["process.pid"]) for span in others) == answers
    assert {span.route for span in others} == {PID.get(module, "/pid")}
    by_process = {span.resource["process.pid"]: span.resource["service.instance.id"] for span in recording.spans}
    assert len(set(by_process.values())) == len(by_process) >= workers
    return recording.spans


@pytest.mark.parametrize(("module", "server"), CELLS)
def test_every_asgi_server_leaves_one_span_for_each_request(sink: Sink, module: str, server: str) -> None:
    """Only the end of the processes exports anything here: what arrives was not lost at SIGTERM."""
    command = [f"{module}:app" if word == "APP" else word for word in ASGI_SERVERS[server]]
    with served(command, sink.urls["grpc"], OTEL_BSP_SCHEDULE_DELAY=NEVER_MS) as app:
        assert_each_request_has_its_span(sink, app, module, workers_of(command))


@pytest.mark.parametrize("server", WSGI_SERVERS)
def test_every_wsgi_server_leaves_one_span_for_each_request(sink: Sink, server: str) -> None:
    """Flask's spans are those of OpenTelemetry's instrumentor, in processes that are forked."""
    command = ["flask_app:app" if word == "APP" else word for word in WSGI_SERVERS[server]]
    with served(command, sink.urls["grpc"], OTEL_BSP_SCHEDULE_DELAY=NEVER_MS) as app:
        assert_each_request_has_its_span(sink, app, "flask_app", workers_of(command))


@pytest.mark.parametrize("server", ["uvicorn", "hypercorn", "granian", "gunicorn"])
def test_a_websocket_is_one_span_and_a_stream_says_when_it_began(sink: Sink, server: str) -> None:
    """However many messages go through the socket; the stream's first of four chunks comes long before its end."""
    command = ["fastapi_app:app" if word == "APP" else word for word in ASGI_SERVERS[server]]
    with served(command, sink.urls["http/protobuf"], "http/protobuf") as app:
        with connect(f"{app.url.replace('http', 'ws')}/socket/lobby") as socket:
            socket.send("hello")
            assert socket.recv() == "hello"
        app.get("/stream")
        app.get("/items/7")
        app.stop()
        spans = {span.name: span for span in sink.spans(app.service)}
    assert set(spans) == {"WS /socket/{room}", "GET /stream", "GET /items/{item_id}"}
    stream = spans["GET /stream"]
    assert 0 < stream.attributes["modelwatch.response.first_byte_s"] < stream.duration_s - 0.1
    assert "modelwatch.response.first_byte_s" not in spans["GET /items/{item_id}"].attributes
