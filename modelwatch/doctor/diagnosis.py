"""From what a model server sent to what is wrong with it, each ill with the one line that mends it.

Pure: it sees an `Observation` and nothing else. Problems make figures wrong; notes make them poorer.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from modelwatch.doctor.finding import Finding
from modelwatch.doctor.observation import Observation, SeenSpan, SentRequest
from telemetry import conventions as names

INSTALL: Final = "pip install modelwatch-instrumentation"
PROBES: Final = re.compile(
    r"^/((healthz?|healthcheck|livez?|liveness|readyz?|readiness|startupz?|ping|metrics)/?$|(v2/)?health/)"
)
"""The paths that modelwatch-instrumentation leaves out; a test holds the two together."""
_EXCLUDED: Final = re.compile(r"OTEL_PYTHON_([A-Z]+_)?EXCLUDED_URLS")
MAX_SKEW_S: Final = 2.0
"""Between the doctor's clock and that of the spans: more than scheduling, less than a clock that is wrong."""

DISTRO: Final = "modelwatch-instrumentation"
_NOT_MATCHED: Final = frozenset({404, 405})
_SAMPLERS_OF_ALL: Final = frozenset({"", "always_on", "parentbased_always_on"})


def diagnose(seen: Observation) -> list[Finding]:
    """Return what is found, the gravest first; with no SERVER span there is nothing else to judge."""
    if not seen.server_spans:
        return [_no_spans(seen)]
    found = [finding for judge in _JUDGES for finding in judge(seen)]
    return sorted(found, key=lambda finding: ("problem", "note", "ok").index(finding.state))


def is_probe(path: str) -> bool:
    """Tell whether a path is one that orchestrators and scrapers ask for."""
    return PROBES.match(path) is not None


def expected(seen: Observation) -> list[SentRequest]:
    """Return the requests that must have left a span: answered, with a context, and not left out on purpose."""
    return [one for one in seen.requests if one.trace_id and one.status and not _is_left_out(seen, one.path)]


def _is_left_out(seen: Observation, path: str) -> bool:
    return is_probe(path) or _is_excluded(seen.environ, path)


def _is_excluded(environ: Mapping[str, str], path: str) -> bool:
    """Tell whether the environment's patterns, which are searched for in whole URLs, match a path."""
    lists = [text for name, text in environ.items() if _EXCLUDED.fullmatch(name)]
    patterns = [one.strip() for text in lists for one in text.split(",") if one.strip()]
    try:
        return any(re.search(one, f"http://127.0.0.1{path}") for one in patterns)
    except re.error:
        return False


def missing(seen: Observation) -> list[SentRequest]:
    """Return those of which no SERVER span came."""
    arrived = {span.trace_id for span in seen.server_spans}
    return [one for one in expected(seen) if one.trace_id not in arrived]


def _no_spans(seen: Observation) -> Finding:
    environ = seen.environ
    answered = sum(1 for one in seen.requests if one.status)
    exporter = environ.get("OTEL_TRACES_EXPORTER", "otlp")
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        fix = "unset OTEL_SDK_DISABLED"
    elif "otlp" not in exporter:
        fix = f"set OTEL_TRACES_EXPORTER=otlp (it is {exporter or 'empty'})"
    elif answered and all(_is_excluded(environ, one.path) for one in seen.requests if one.status):
        fix = "narrow OTEL_PYTHON_EXCLUDED_URLS, which leaves out all that was asked"
    elif environ.get("OTEL_TRACES_SAMPLER", "").endswith("always_off"):
        fix = "set OTEL_TRACES_SAMPLER=parentbased_always_on"
    elif not seen.is_instrumented or not seen.has_our_distro:
        fix = f"{INSTALL} where the server's packages are, and start it under opentelemetry-instrument"
    elif environ.get("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS"):
        disabled = environ["OTEL_PYTHON_DISABLED_INSTRUMENTATIONS"]
        fix = f"unset OTEL_PYTHON_DISABLED_INSTRUMENTATIONS (it is {disabled})"
    else:
        fix = "leave the exporter's endpoint to OTEL_EXPORTER_OTLP_ENDPOINT, if the server's code sets up its own"
    others = f"; {len(seen.spans)} of other kinds did" if seen.spans else ""
    return Finding("problem", "no spans", f"{answered} requests were answered and no SERVER span came{others}: {fix}")


def _context(seen: Observation) -> Iterator[Finding]:
    if not _is_sampled(seen) and not _takes_context(seen):
        text = "requests do not become part of the trace that they come with: set OTEL_PROPAGATORS=tracecontext,baggage"
        yield Finding("problem", "trace context", text)


def _doubled(seen: Observation) -> Iterator[Finding]:
    ours = {one.trace_id for one in seen.requests if one.trace_id}
    by_trace: defaultdict[str, list[SeenSpan]] = defaultdict(list)
    for span in seen.server_spans:
        if span.trace_id in ours:
            by_trace[span.trace_id].append(span)
    doubled = [spans for spans in by_trace.values() if len(spans) > 1]
    if doubled:
        scopes = " and ".join(sorted({span.scope for spans in doubled for span in spans}))
        fix = _ours(seen, "take the second instrumentation out of the server's code")
        text = f"{len(doubled)} of {len(by_trace)} requests have several SERVER spans (by {scopes}): {fix}"
        yield Finding("problem", "doubled spans", text)


def _lost(seen: Observation) -> Iterator[Finding]:
    lost = missing(seen) if _takes_context(seen) and not _is_sampled(seen) else []
    early, late = [one for one in lost if not one.is_last], [one for one in lost if one.is_last]
    total = len(expected(seen))
    if early:
        paths = ", ".join(sorted({one.path for one in early})[:4])
        if seen.processes > 1:
            subject, fix = "lost in workers", _ours(seen, "do not preload the application before the workers fork")
        else:
            subject, fix = "lost spans", "see OTEL_PYTHON_EXCLUDED_URLS and OTEL_BSP_MAX_QUEUE_SIZE"
        yield Finding("problem", subject, f"{len(early)} of {total} requests left no SERVER span ({paths}): {fix}")
    if late:
        fix = _ours(seen, "end the server by SIGTERM and give it two seconds")
        text = f"{len(late)} of {total} requests left none, all sent just before SIGTERM: {fix}"
        yield Finding("problem", "lost at the end", text)


def _ours(seen: Observation, otherwise: str) -> str:
    """Return how to have modelwatch-instrumentation mend an ill, or what else to do if it is fully at work."""
    disabled = seen.environ.get("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "")
    if not seen.has_our_distro:
        return f"{INSTALL}, which sees to it"
    if "modelwatch" in disabled or disabled.strip() == "*":
        return f"unset OTEL_PYTHON_DISABLED_INSTRUMENTATIONS (it is {disabled})"
    return otherwise


def _sampling(seen: Observation) -> Iterator[Finding]:
    sent = sum(1 for one in seen.requests if one.trace_id is None and one.status and not _is_left_out(seen, one.path))
    known = {one.trace_id for one in seen.requests if one.trace_id}
    came = len({span.trace_id for span in seen.server_spans if span.trace_id not in known})
    if _is_sampled(seen) or (_takes_context(seen) and came < sent and not missing(seen)):
        text = f"of {sent} requests without a trace {came} were recorded, and figures count what is recorded"
        yield Finding("problem", "sampling", f"{text}: set OTEL_TRACES_SAMPLER=parentbased_always_on")


def _instances(seen: Observation) -> Iterator[Finding]:
    pids: defaultdict[object, set[object]] = defaultdict(set)
    for span in seen.spans:
        if (pid := span.resource.get("process.pid")) is not None:
            pids[span.resource.get(names.SERVICE_INSTANCE_ID)].add(pid)
    shared = max((len(found) for found in pids.values()), default=0)
    if shared > 1:
        text = f"{shared} workers call themselves by the same service.instance.id: {INSTALL}"
        if "service.instance.id" in seen.environ.get("OTEL_RESOURCE_ATTRIBUTES", ""):
            text = f"{shared} workers share one: take service.instance.id out of OTEL_RESOURCE_ATTRIBUTES"
        yield Finding("problem", "instances", text)


def _clock(seen: Observation) -> Iterator[Finding]:
    sent = {one.trace_id: one for one in seen.requests if one.trace_id}
    skews = [
        max(sent[span.trace_id].sent_s - span.start_s, span.start_s - sent[span.trace_id].answered_s, key=abs)
        for span in seen.server_spans
        if span.trace_id in sent and not _lies_within(span, sent[span.trace_id])
    ]
    if skews:
        text = f"spans are stamped {max(map(abs, skews)):.0f} s away from this machine's clock"
        yield Finding("problem", "clock", f"{text}: let the server's machine keep its time by NTP")


def _lies_within(span: SeenSpan, request: SentRequest) -> bool:
    return request.sent_s - MAX_SKEW_S <= span.start_s <= request.answered_s + MAX_SKEW_S


def _service(seen: Observation) -> Iterator[Finding]:
    name = str(seen.resource.get(names.SERVICE_NAME, names.UNKNOWN_SERVICE))
    if name.startswith(names.UNKNOWN_SERVICE):
        yield Finding("problem", "service name", f"it is {name}: set OTEL_SERVICE_NAME to the model API's name")
    if not seen.resource.get(names.SERVICE_VERSION):
        text = "releases cannot be told apart: set OTEL_RESOURCE_ATTRIBUTES=service.version=1.2.3"
        yield Finding("note", "missing version", text)


def _distro(seen: Observation) -> Iterator[Finding]:
    if _is_ours(seen):
        return
    other = seen.resource.get("telemetry.distro.name") or "another distro"
    if seen.has_our_distro:
        fix = "set OTEL_PYTHON_DISTRO=modelwatch OTEL_PYTHON_CONFIGURATOR=modelwatch"
        yield Finding("problem", "distro", f"{DISTRO} is installed but {other} took its place: {fix}")
    else:
        yield Finding("note", "distro", f"this is standard OpenTelemetry; {INSTALL} makes it cheaper and more complete")


def _routes(seen: Observation) -> Iterator[Finding]:
    answered = [span for span in seen.server_spans if _status(span) not in _NOT_MATCHED and _is_http(span)]
    bare = [span for span in answered if not span.attributes.get(names.HTTP_ROUTE)]
    if bare:
        by_hand = 'trace.get_current_span().set_attribute("http.route", "/a/{id}") where the server handles it'
        text = f"{len(bare)} of {len(answered)} SERVER spans have no http.route, such as {bare[0].name!r}"
        yield Finding("problem", "missing route", f"{text}: {_ours(seen, by_hand)}")


def _conventions(seen: Observation) -> Iterator[Finding]:
    old = [s for s in seen.server_spans if names.HTTP_METHOD_OLD in s.attributes]
    if old and not any(names.HTTP_REQUEST_METHOD in span.attributes for span in old):
        yield Finding(
            "note", "old conventions", "HTTP attributes have old names: set OTEL_SEMCONV_STABILITY_OPT_IN=http"
        )


def _noise(seen: Observation) -> Iterator[Finding]:
    ids = {one.trace_id: one.path for one in seen.requests if one.trace_id and is_probe(one.path)}
    probes = sorted({ids[span.trace_id] for span in seen.server_spans if span.trace_id in ids})
    if probes:
        kept = seen.environ.get("OTEL_PYTHON_EXCLUDED_URLS", "").strip()
        patterns = ",".join([*filter(None, [kept]), *(f"{path.rstrip('/')}/?$" for path in probes)])
        text = f"{', '.join(probes)} leave spans at every probe: set OTEL_PYTHON_EXCLUDED_URLS='{patterns}'"
        yield Finding("note", "probe noise", text)
    parts = sum(span.name.endswith(("http send", "http receive")) for span in seen.spans)
    if parts:
        fix = _ours(seen, "pass exclude_spans to the middleware that the server's code adds")
        text = f"{parts} spans are single messages of requests: {fix}"
        yield Finding("note", "message spans", text)


def _is_ours(seen: Observation) -> bool:
    return seen.resource.get("telemetry.distro.name") == DISTRO


def _is_sampled(seen: Observation) -> bool:
    """Tell whether the environment names a sampler that leaves requests out."""
    return seen.environ.get("OTEL_TRACES_SAMPLER", "").strip() not in _SAMPLERS_OF_ALL


def _takes_context(seen: Observation) -> bool:
    """Tell whether any request became part of the trace that it came with."""
    return not expected(seen) or len(missing(seen)) < len(expected(seen))


def _is_http(span: SeenSpan) -> bool:
    return names.HTTP_REQUEST_METHOD in span.attributes or names.HTTP_METHOD_OLD in span.attributes


def _status(span: SeenSpan) -> object:
    return span.attributes.get(names.HTTP_RESPONSE_STATUS_CODE, span.attributes.get(names.HTTP_STATUS_CODE_OLD))


_JUDGES: Final[tuple[Callable[[Observation], Iterator[Finding]], ...]] = (
    _distro,
    _context,
    _doubled,
    _lost,
    _sampling,
    _instances,
    _clock,
    _service,
    _routes,
    _conventions,
    _noise,
)
