"""The distro's defaults give way to the user's environment, and the entry points fit together."""

from __future__ import annotations

import os
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.util.http import parse_excluded_urls

from modelwatch_instrumentation.distro import PROBES, ModelWatchDistro, set_defaults
from tests.support.otlp_sink import Received, Sink
from tests.support.watched_app import watched


def environment(**user: str) -> dict[str, str]:
    """Return what an environment becomes under the distro."""
    environ = dict(user)
    set_defaults(environ)
    return environ


def one_request(sink: Sink, **user: str) -> list[Received]:
    """Return the spans of one request to the FastAPI application under a user's environment."""
    with watched("fastapi_app", sink.urls["grpc"], None, **user) as app:
        assert app.request("GET", "/items/7")[1] == 200
        app.stop()
        return sink.spans(app.service)


def test_the_defaults_export_traces_alone_and_soon() -> None:
    """Traces over gRPC once a second in small batches, in the stable HTTP conventions; no metrics, no logs."""
    assert environment() == {
        "OTEL_TRACES_EXPORTER": "otlp",
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_LOGS_EXPORTER": "none",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
        "OTEL_SEMCONV_STABILITY_OPT_IN": "http",
        "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT": "16384",
        "OTEL_BSP_SCHEDULE_DELAY": "1000",
        "OTEL_BSP_MAX_QUEUE_SIZE": "8192",
        "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "64",
        "OTEL_PYTHON_EXCLUDED_URLS": ",".join(PROBES),
        "OTEL_EXPERIMENTAL_RESOURCE_DETECTORS": "modelwatch",
        "GRPC_VERBOSITY": "ERROR",
    }


PROBED = [
    *("/health", "/healthz", "/healthcheck", "/live", "/livez", "/ready", "/readyz", "/readyz/"),
    *("/startupz", "/liveness", "/readiness"),
    *("/health/live", "/v2/health/ready", "/ping", "/metrics", "/metrics?name[]=up"),
]
USED = ["/", "/predict", "/healthy", "/live/scores", "/v1/models/ready", "/metrics/drift", "/pingpong", "/items/health"]


@pytest.mark.parametrize(("path", "is_excluded"), [(path, True) for path in PROBED] + [(path, False) for path in USED])
def test_probes_are_left_out_and_nothing_that_resembles_them(path: str, is_excluded: bool) -> None:
    """The default excludes the paths that orchestrators and scrapers ask for, as whole paths."""
    excluded = parse_excluded_urls(environment()["OTEL_PYTHON_EXCLUDED_URLS"])
    assert excluded.url_disabled(f"http://model:8000{path}") == is_excluded


@pytest.mark.parametrize("name", sorted(environment()))
def test_a_variable_of_the_user_stays(name: str) -> None:
    """Whatever the user set is not touched."""
    assert environment(**{name: "7"})[name] == "7"


@pytest.mark.parametrize("name", sorted(environment()))
def test_an_empty_variable_is_one_that_is_unset(name: str) -> None:
    """OpenTelemetry says so, and compose files set variables to nothing; two of them mean something."""
    kept = ("OTEL_PYTHON_EXCLUDED_URLS", "OTEL_SEMCONV_STABILITY_OPT_IN")
    assert environment(**{name: ""})[name] == ("" if name in kept else environment()[name])


def test_the_batch_is_never_larger_than_the_users_queue() -> None:
    """The SDK refuses to start with a batch larger than its queue."""
    assert environment(OTEL_BSP_MAX_QUEUE_SIZE="10")["OTEL_BSP_MAX_EXPORT_BATCH_SIZE"] == "10"
    assert environment(OTEL_BSP_MAX_QUEUE_SIZE="many")["OTEL_BSP_MAX_EXPORT_BATCH_SIZE"] == "64"


@pytest.mark.parametrize("group", ["distro", "configurator", "instrumentor"])
def test_every_entry_point_loads(group: str) -> None:
    """`opentelemetry-instrument` finds the classes that the package names."""
    ours = [one for one in entry_points(group=f"opentelemetry_{group}") if one.name.startswith("modelwatch")]
    assert ours
    assert all(isinstance(one.load(), type) for one in ours)


class RecordingEntryPoint(EntryPoint):
    """An entry point whose instrumentor fails, so that loading it is seen."""

    def load(self) -> Any:
        raise LookupError(self.name)


@pytest.mark.parametrize(("disabled", "loaded"), [("", False), ("modelwatch_starlette", True), ("redis, x", False)])
def test_instrumentors_of_the_same_frameworks_are_loaded_only_in_place_of_ours(
    monkeypatch: pytest.MonkeyPatch, disabled: str, loaded: bool
) -> None:
    """FastAPI's and Starlette's contrib instrumentors would trace each request a second time."""
    monkeypatch.setitem(os.environ, "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", disabled)
    for name in ("fastapi", "starlette"):
        point = RecordingEntryPoint(name, "x:X", "opentelemetry_instrumentor")
        if loaded:
            with pytest.raises(LookupError):
                ModelWatchDistro().load_instrumentor(point)
        else:
            ModelWatchDistro().load_instrumentor(point)
    with pytest.raises(LookupError, match="redis"):
        ModelWatchDistro().load_instrumentor(RecordingEntryPoint("redis", "x:X", "opentelemetry_instrumentor"))


def test_the_users_resource_and_conventions_are_kept(sink: Sink) -> None:
    """The user's attributes stand beside those that tell who instrumented; `http/dup` writes old names as well."""
    (span,) = one_request(
        sink,
        OTEL_RESOURCE_ATTRIBUTES="service.version=2.1,deployment.environment.name=test",
        OTEL_SEMCONV_STABILITY_OPT_IN="http/dup",
    )
    assert span.resource["telemetry.distro.name"] == "modelwatch-instrumentation"
    assert span.resource["service.version"] == "2.1"
    assert span.resource["deployment.environment.name"] == "test"
    assert len(span.resource["service.instance.id"]) == 36
    assert (span.attributes["http.status_code"], span.status_code) == (200, 200)
    assert span.attributes["http.method"] == "GET"


def test_the_users_exporter_overrides_ours(sink: Sink) -> None:
    """Without a traces exporter nothing is sent, and the application serves."""
    assert one_request(sink, OTEL_TRACES_EXPORTER="none") == []


def test_a_disabled_sdk_leaves_the_application_alone(sink: Sink) -> None:
    """OTEL_SDK_DISABLED stops all telemetry; the application serves."""
    assert one_request(sink, OTEL_SDK_DISABLED="true") == []


def test_excluded_urls_leave_no_span(sink: Sink) -> None:
    """Probes can be kept out, also those of mounted applications; FastAPI's own telemetry stays silent."""
    with watched("fastapi_app", sink.urls["grpc"], OTEL_PYTHON_EXCLUDED_URLS="threaded,mounted") as app:
        for path in ("/threaded", "/mounted/items/1", "/items/7"):
            assert app.request("GET", path)[1] == 200
        app.stop()
        assert [span.route for span in sink.spans(app.service)] == ["/items/{item_id}"]


def test_with_ours_disabled_the_contrib_instrumentor_takes_over(sink: Sink) -> None:
    """The way back to standard OpenTelemetry is one variable, and there is one SERVER span on it too."""
    spans = one_request(sink, OTEL_PYTHON_DISABLED_INSTRUMENTATIONS="modelwatch_starlette")
    assert [(span.scope, span.name) for span in spans if span.kind == "SERVER"] == [
        ("opentelemetry.instrumentation.fastapi", "GET /items/{item_id}")
    ]


OTHER_DISTRO = """
import os
from opentelemetry.instrumentation.distro import BaseDistro
from opentelemetry.sdk._configuration import _OTelSDKConfigurator

class Distro(BaseDistro):
    def _configure(self, **kwargs):
        os.environ.setdefault("OTEL_TRACES_EXPORTER", "otlp")

class Configurator(_OTelSDKConfigurator):
    pass
"""
OTHER_ENTRY_POINTS = """
[opentelemetry_distro]
another = another_distro:Distro

[opentelemetry_configurator]
another = another_distro:Configurator
"""


@pytest.mark.parametrize("is_ours_named", [False, True])
def test_where_another_distro_is_found_first_there_is_still_one_span(
    sink: Sink, tmp_path: Path, is_ours_named: bool
) -> None:
    """Its defaults hold and a line says how to choose ours; no instrumentor that ours supersedes adds a span."""
    (tmp_path / "another_distro.py").write_text(OTHER_DISTRO)
    metadata = tmp_path / "another_distro-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: another-distro\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(OTHER_ENTRY_POINTS)
    ours = {"OTEL_PYTHON_DISTRO": "modelwatch", "OTEL_PYTHON_CONFIGURATOR": "modelwatch"} if is_ours_named else {}
    with watched("fastapi_app", sink.urls["grpc"], PYTHONPATH=str(tmp_path), **ours) as app:
        app.request("GET", "/items/7")
        app.stop()
        ((kind, name, scope),) = [(span.kind, span.name, span.scope) for span in sink.spans(app.service)]
        assert (kind, name) == ("SERVER", "GET /items/{item_id}")
        assert scope == "opentelemetry.instrumentation.asgi"
        assert ("OTEL_PYTHON_DISTRO=modelwatch OTEL_PYTHON_CONFIGURATOR=modelwatch" in app.log) is not is_ours_named
