"""Each request has exactly one SERVER span that says what happened; real applications, real servers, real exports."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from websockets.sync.client import connect

from tests.support.otlp_sink import Sink
from tests.support.recorded_requests import Case, Recording, check, get, record
from tests.support.watched_app import watched


def fastapi_cases() -> list[Case]:
    error = "fastapi_app.ModelError"
    return [
        get("/items/7", 200, "/items/{item_id}"),
        get("/items/7?verbose=1", 200, "/items/{item_id}"),
        get("/items/seven", 422, "/items/{item_id}"),
        get("/threaded", 200, "/threaded"),
        get("/nothing/here", 404, None),
        get("/teapot", 418, "/teapot"),
        get("/unavailable", 503, "/unavailable", error_type="503"),
        get("/broken/3", 500, "/broken/{item_id}", error_type=error, exception=error),
        get("/stream", 200, "/stream"),
        get("/stream/broken", 200, "/stream/broken", error_type=error, exception=error),
        get("/background", 200, "/background"),
        get("/v1/predict/iris", 405, "/v1/predict/{model}"),
        Case("/v1/predict/wine", 200, "POST /v1/predict/{model}", "/v1/predict/{model}", "POST"),
        Case("/v2/predict/wine", 200, "POST /v2/predict/{model}", "/v2/predict/{model}", "POST"),
        get("/mounted/items/4", 200, "/mounted/items/{item_id}"),
        get("/mounted/items/four", 422, "/mounted/items/{item_id}"),
        get("/mounted/nothing", 404, None),
        get("/mounted/broken", 500, "/mounted/broken", error_type=error, exception=error),
        get("/tenants/acme/items/4", 200, "/tenants/{tenant}/items/{item_id}"),
        get("/asgi/below/it", 200, "/asgi/{path}"),
        get("/deep/deeper/leaf/a", 200, "/deep/deeper/leaf/{name}"),
        get("/deep/nothing", 404, None),
        get("/docs", 200, "/docs"),
        get("/items/7/", 307, None),
    ]


def starlette_cases() -> list[Case]:
    return [
        get("/items/7", 200, "/items/{item_id}"),
        get("/items/seven", 404, None),
        get("/gone", 410, "/gone"),
        get("/broken", 500, "/broken", error_type="ValueError", exception="ValueError"),
        get("/handled", 409, "/handled"),
        get("/mounted/items/7", 200, "/mounted/items/{item_id}"),
        get("/mounted/nothing", 404, None),
        get("/mounted/broken", 500, "/mounted/broken", error_type="ValueError", exception="ValueError"),
    ]


def plain_cases() -> list[Case]:
    return [
        get("/any/path", 200, None),
        get("/missing", 404, None),
        get("/broken", 500, None, error_type="ValueError", exception="ValueError"),
        get("/stream/broken", 200, None, error_type="ValueError", exception="ValueError"),
    ]


@pytest.fixture(scope="module")
def fastapi_recording(sink: Sink) -> Iterator[Recording]:
    with watched("fastapi_app", sink.urls["grpc"]) as app:
        yield record(app, sink, fastapi_cases())


@pytest.fixture(scope="module")
def wrapped_recording(sink: Sink) -> Iterator[Recording]:
    with watched("wrapped_app", sink.urls["http/protobuf"], "http/protobuf") as app:
        yield record(app, sink, fastapi_cases())


@pytest.fixture(scope="module")
def standard_recording(sink: Sink) -> Iterator[Recording]:
    with watched("fastapi_app", sink.urls["grpc"], OTEL_SEMCONV_STABILITY_OPT_IN="http/dup") as app:
        yield record(app, sink, fastapi_cases())


@pytest.fixture(scope="module")
def starlette_recording(sink: Sink) -> Iterator[Recording]:
    with watched("starlette_app", sink.urls["http/protobuf"], "http/protobuf") as app:
        yield record(app, sink, starlette_cases())


@pytest.fixture(scope="module")
def plain_recording(sink: Sink) -> Iterator[Recording]:
    with watched("plain_app", sink.urls["grpc"]) as app:
        yield record(app, sink, plain_cases())


def _by_path(case: Case) -> str:
    return f"{case.method} {case.path}"


@pytest.mark.parametrize("case", fastapi_cases(), ids=_by_path)
def test_a_fastapi_request_has_one_server_span(fastapi_recording: Recording, case: Case) -> None:
    """FastAPI's own telemetry and the installed FastAPI instrumentor add nothing to the one span."""
    check(fastapi_recording, case)


@pytest.mark.parametrize("case", fastapi_cases(), ids=_by_path)
def test_fastapi_within_a_plain_asgi_function_is_traced_once(wrapped_recording: Recording, case: Case) -> None:
    """The span opened for the outer function gets the route and the error from the application within; sent by HTTP."""
    check(wrapped_recording, case)


@pytest.mark.parametrize("case", starlette_cases(), ids=_by_path)
def test_a_starlette_request_has_one_server_span(starlette_recording: Recording, case: Case) -> None:
    """The route reaches the span even where middleware copies the scope."""
    check(starlette_recording, case)


@pytest.mark.parametrize("case", plain_cases(), ids=_by_path)
def test_a_plain_asgi_request_has_one_server_span(plain_recording: Recording, case: Case) -> None:
    """Without a framework there is no route, and a raw path never takes its place."""
    check(plain_recording, case)


@pytest.mark.parametrize("case", fastapi_cases(), ids=_by_path)
def test_opentelemetrys_own_middleware_leaves_the_same_spans(standard_recording: Recording, case: Case) -> None:
    """It is used where old conventions, headers or metrics are asked for."""
    check(standard_recording, case)


def test_both_ways_write_the_same_attributes(fastapi_recording: Recording, standard_recording: Recording) -> None:
    """All that the stable conventions know, but for the port in the address."""
    (ours,) = fastapi_recording.of("/items/7?verbose=1")
    (theirs,) = standard_recording.of("/items/7?verbose=1")
    differing = {"client.port", "server.port", "server.address", "user_agent.original"}
    stable = {key: value for key, value in ours.attributes.items() if key not in differing}
    assert stable.items() <= theirs.attributes.items()
    assert ours.attributes["server.address"] == "127.0.0.1"
    assert set(theirs.attributes) - set(ours.attributes) == {
        *("http.scheme", "http.host", "http.flavor", "http.target", "http.url", "http.method", "http.server_name"),
        *("http.status_code", "net.host.port", "net.peer.ip", "net.peer.port"),
    }


def test_nothing_but_the_requests_is_recorded(fastapi_recording: Recording) -> None:
    """An application sends as many spans as it answered requests: none doubled, none lost, none beside."""
    assert len(fastapi_recording.spans) == len(fastapi_cases())


def test_a_streams_span_covers_the_whole_stream(fastapi_recording: Recording) -> None:
    """The span ends with the last chunk, not with the headers."""
    (span,) = fastapi_recording.of("/stream")
    assert 0.2 <= span.duration_s < 2


def test_a_background_task_is_no_part_of_the_request(fastapi_recording: Recording) -> None:
    """The span ends when the client has its answer."""
    (span,) = fastapi_recording.of("/background")
    assert span.duration_s < 0.4


def test_the_route_of_requests_and_websockets_includes_the_servers_root_path(sink: Sink) -> None:
    """The prefix is a part of every route; a WebSocket is one span, however many messages go through it."""
    with watched("fastapi_app", sink.urls["grpc"], "grpc", "--root-path", "/models") as app:
        app.request("GET", "/items/7")
        app.request("GET", "/mounted/items/7")
        with connect(f"{app.url.replace('http', 'ws')}/socket/lobby") as socket:
            socket.send("hello")
            assert socket.recv() == "hello"
        app.stop()
        spans = [(span.kind, span.name) for span in sink.spans(app.service)]
    assert spans == [
        ("SERVER", "GET /models/items/{item_id}"),
        ("SERVER", "GET /models/mounted/items/{item_id}"),
        ("SERVER", "WS /models/socket/{room}"),
    ]


def test_an_application_that_calls_the_instrumentor_itself_is_traced_once(sink: Sink) -> None:
    """The application's own code counts: ours stands back, and there is still one SERVER span."""
    with watched("manual_app", sink.urls["grpc"]) as app:
        app.request("GET", "/items/7")
        app.stop()
        servers = [span for span in sink.spans(app.service) if span.kind == "SERVER"]
    assert [(span.name, span.scope) for span in servers] == [
        ("GET /items/{item_id}", "opentelemetry.instrumentation.fastapi")
    ]


def test_an_unsampled_request_leaves_no_span(sink: Sink) -> None:
    """With a sampler that takes nothing, applications within applications do not start traces of their own."""
    with watched("fastapi_app", sink.urls["grpc"], OTEL_TRACES_SAMPLER="always_off") as app:
        assert app.request("GET", "/mounted/items/7")[1] == 200
        app.stop()
        assert sink.spans(app.service) == []
