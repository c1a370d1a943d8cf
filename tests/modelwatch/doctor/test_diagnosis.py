"""From what was seen to what is wrong: one ill at a time, and what mends it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from modelwatch.doctor.diagnosis import diagnose, is_probe
from modelwatch.doctor.observation import Observation, SeenSpan, SentRequest
from modelwatch.doctor.report import report
from tests.instrumentation.test_distro import PROBED, USED

NOW_S = 1_000_000.0
RESOURCE = {
    "service.name": "fraud",
    "service.version": "1.0",
    "service.instance.id": "a",
    "process.pid": 10,
    "telemetry.distro.name": "modelwatch-instrumentation",
}
ATTRIBUTES = {"http.request.method": "GET", "http.route": "/items/{id}", "http.response.status_code": 200}
SPAN = SeenSpan("SERVER", "GET /items/{id}", "", ATTRIBUTES, RESOURCE, "asgi", NOW_S, NOW_S + 0.1)
REQUEST = SentRequest("GET", "/items/1", "", 200, NOW_S, NOW_S + 0.1)


def healthy(**environ: str) -> Observation:
    """Return four requests in contexts, two without, and one span for each."""
    requests = [replace(REQUEST, trace_id=str(number), is_last=number == 3) for number in range(4)]
    requests += [replace(REQUEST, trace_id=None)] * 2
    spans = [replace(SPAN, trace_id=trace_id) for trace_id in ("0", "1", "2", "3", "x", "y")]
    return Observation(tuple(spans), tuple(requests), environ)


def changed(seen: Observation, *, span: dict[str, Any] | None = None, **resource: Any) -> Observation:
    """Return the same with attributes and resource attributes of every span changed; None takes one out."""
    return replace(
        seen,
        spans=tuple(
            replace(one, attributes=_merged(one.attributes, span or {}), resource=_merged(one.resource, resource))
            for one in seen.spans
        ),
    )


def _merged(old: Any, new: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in {**old, **new}.items() if value is not None}


def without(seen: Observation, *trace_ids: str, **rest: Any) -> Observation:
    return replace(seen, spans=tuple(one for one in seen.spans if one.trace_id not in trace_ids), **rest)


H = healthy()
OLD = {"http.request.method": None, "http.method": "GET"}
STRANGE = replace(H, spans=tuple(replace(span, trace_id="f" + span.trace_id) for span in H.spans))
PROBE = replace(REQUEST, path="/healthz", trace_id="p")
ILLS: list[tuple[str, Observation, str, str]] = [
    ("disabled", without(healthy(OTEL_SDK_DISABLED="TRUE"), *"0123xy"), "no spans", "unset OTEL_SDK_DISABLED"),
    ("console", without(healthy(OTEL_TRACES_EXPORTER="console"), *"0123xy"), "no spans", "OTEL_TRACES_EXPORTER=otlp"),
    ("sampled out", without(healthy(OTEL_TRACES_SAMPLER="always_off"), *"0123xy"), "no spans", "parentbased_always_on"),
    ("bare", without(H, *"0123xy", has_our_distro=False), "no spans", "pip install modelwatch-instrumentation"),
    ("own exporter", without(H, *"0123xy"), "no spans", "OTEL_EXPORTER_OTLP_ENDPOINT"),
    ("off", without(healthy(OTEL_PYTHON_DISABLED_INSTRUMENTATIONS="*"), *"0123xy"), "no spans", "(it is *)"),
    ("twice", replace(H, spans=(*H.spans, replace(H.spans[0], scope="fastapi"))), "doubled spans", "asgi and fastapi"),
    ("no route", changed(H, span={"http.route": None}), "missing route", "http.route"),
    ("old", changed(H, span=OLD), "old conventions", "OTEL_SEMCONV_STABILITY_OPT_IN=http"),
    ("no version", changed(H, **{"service.version": None}), "missing version", "service.version=1.2.3"),
    ("no name", changed(H, **{"service.name": "unknown_service:python"}), "service name", "OTEL_SERVICE_NAME"),
    ("fork", without(H, "0", "1", processes=3), "lost in workers", "do not preload"),
    ("one process", without(H, "0"), "lost spans", "OTEL_PYTHON_EXCLUDED_URLS"),
    ("at the end", without(H, "3", has_our_distro=False), "lost at the end", "pip install modelwatch-instrumentation"),
    (
        "probes",
        replace(H, requests=(*H.requests, PROBE), spans=(*H.spans, replace(SPAN, trace_id="p"))),
        "probe noise",
        "OTEL_PYTHON_EXCLUDED_URLS='/healthz/?$'",
    ),
    (
        "all excluded",
        without(healthy(OTEL_PYTHON_EXCLUDED_URLS="/items/"), *"0123xy"),
        "no spans",
        "narrow OTEL_PYTHON_EXCLUDED_URLS",
    ),
    ("ratio", healthy(OTEL_TRACES_SAMPLER="traceidratio"), "sampling", "parentbased_always_on"),
    ("sampled in code", without(H, "x"), "sampling", "of 2 requests without a trace 1 were recorded"),
    ("propagation", STRANGE, "trace context", "OTEL_PROPAGATORS"),
    ("clock", replace(H, spans=tuple(replace(s, start_s=NOW_S - 90) for s in H.spans)), "clock", "90 s away"),
    ("other distro", changed(H, **{"telemetry.distro.name": "other"}), "distro", "OTEL_PYTHON_DISTRO=modelwatch"),
    (
        "one id",
        replace(H, spans=(*H.spans, replace(H.spans[0], kind="INTERNAL", resource={**RESOURCE, "process.pid": 11}))),
        "instances",
        "2 workers",
    ),
    (
        "messages",
        replace(H, spans=(*H.spans, replace(SPAN, kind="INTERNAL", name="GET /items/{id} http send"))),
        "message spans",
        "1 spans are single messages",
    ),
]  # fmt: skip


def test_a_healthy_server_has_no_finding() -> None:
    """One SERVER span a request, with route, version and our distro, is all there is to ask."""
    assert diagnose(healthy()) == []


@pytest.mark.parametrize(("seen", "subject", "remedy"), [ill[1:] for ill in ILLS], ids=[ill[0] for ill in ILLS])
def test_each_ill_is_named_alone_with_its_remedy(seen: Observation, subject: str, remedy: str) -> None:
    """What is wrong is found, nothing else is, and the text says what to do."""
    (finding,) = diagnose(seen)
    assert finding.subject == subject
    assert finding.state in ("problem", "note")
    assert remedy in finding.text


def test_problems_come_before_notes() -> None:
    """What makes figures wrong is read first."""
    seen = changed(without(H, "0"), **{"service.version": None})
    assert [finding.state for finding in diagnose(seen)] == ["problem", "note"]


def test_requests_that_no_route_matches_and_excluded_probes_are_no_ill() -> None:
    """A 404 has no route by right, and a probe that leaves no span is as it should be."""
    missing = changed(H, span={"http.response.status_code": 404, "http.route": None})
    assert diagnose(replace(missing, requests=(*missing.requests, PROBE))) == []


def test_what_the_environment_excludes_is_not_lost() -> None:
    """Nor is it sampled out: the patterns of all frameworks count, as OpenTelemetry takes them; a bad one does not."""
    internal = [replace(REQUEST, path="/internal/1", trace_id=trace_id) for trace_id in ("i", None)]
    for patterns, found in {"/other/, /internal/": 0, "internal/[0-9]+$": 0, "/other/": 2, "[": 2}.items():
        seen = healthy(OTEL_PYTHON_FASTAPI_EXCLUDED_URLS=patterns)
        seen = replace(seen, requests=(*seen.requests, *internal))
        assert bool(diagnose(seen)) is bool(found), patterns


@pytest.mark.parametrize("path", [*PROBED, *USED])
def test_probes_are_those_that_the_instrumentation_leaves_out(path: str) -> None:
    """Else the doctor misses spans that never were to be."""
    assert is_probe(path.partition("?")[0]) is (path in PROBED)


@pytest.mark.parametrize(
    ("path", "expected"), [("/healthz", True), ("/metrics/", True), ("/healthy/food", False), ("/", False)]
)
def test_probes_are_known_by_their_paths(path: str, expected: bool) -> None:
    """Whole paths, not parts of them."""
    assert is_probe(path) is expected


def test_the_report_counts_spans_and_shows_no_control_characters() -> None:
    """A span's name cannot move the terminal's cursor, and a long one is cut."""
    text = report(replace(H, spans=(*H.spans, replace(SPAN, name="\x1b[2J" + "x" * 100))))
    assert "6 of 6 requests answered; 7 SERVER spans and 0 others received from 1 process" in text
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) < 160
    assert ["6", "SERVER", "GET", "/items/{id}", "/items/{id}", "200", "asgi"] in [
        line.split() for line in text.splitlines()
    ]
