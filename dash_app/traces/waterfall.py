"""One trace: its spans on one axis of time, each with what is known of it.

Pure, from an answer to components.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from dash import html
from dash.development.base_component import Component

from dash_app.shared import formatting
from dash_app.shared.components import Fold, Moment, PageLink
from dash_app.shared.names import visible
from dash_app.traces.lists import name_of, status_flag
from query import TraceAnswer, TraceSpan

_MOST_SPANS = 500
_DEEPEST = 24
_LONGEST_VALUE = 2_000
_MOST_LINES = 200
_STACK_TRACE = "exception.stacktrace"
_NS_PER_S = 1_000_000_000
_THINNEST = 0.3


def head(answer: TraceAnswer) -> list[Component]:
    """Return what there is to say of a trace as a whole."""
    services = sorted({span.request.service_name for span in answer.spans})
    shown = ", ".join(visible(one) for one in services[:3]) + (f" and {len(services) - 3} more" * (len(services) > 3))
    length = formatting.duration((answer.end_ns - answer.start_ns) / _NS_PER_S).text
    facts: list[Component] = [
        html.H2([html.Bdi(shown), html.Small(f"{length}, {formatting.plural(len(answer.spans), 'span')}")]),
        Moment(answer.start_ns // _NS_PER_S),
        html.Code(answer.trace_id, className="mono trace-id"),
    ]
    return facts


def gaps(answer: TraceAnswer) -> list[Component]:
    """Say which spans are known to be missing."""
    words = []
    if answer.kept > len(answer.spans):
        words.append(f"{formatting.count(answer.kept)} spans are kept; the earliest {len(answer.spans)} are read.")
    if len(answer.spans) > _MOST_SPANS:
        words.append(f"The first {_MOST_SPANS} are shown.")
    if answer.missing_parents:
        missing = formatting.plural(len(answer.missing_parents), "span")
        words.append(f"{missing} that others name as their parent: not kept, or not sent to ModelWatch.")
    return [html.Div(" ".join(words), className="trace-gaps", role="note")] if words else []


def spans(answer: TraceAnswer) -> list[Component]:
    """Return a row for each span, below its parent, which opens to what is known of it."""
    length_ns = max(answer.end_ns - answer.start_ns, 1)
    return [_row(span, answer.start_ns, length_ns) for span in answer.spans[:_MOST_SPANS]]


def _row(span: TraceSpan, start_ns: int, length_ns: int) -> Component:
    request = span.request
    left = min(100 * (request.start_ns - start_ns) / length_ns, 100 - _THINNEST)
    width = min(max(100 * request.duration_ns / length_ns, _THINNEST), 100 - left)
    tone = "is-critical" if request.is_error else "is-accent"
    is_model = bool(request.model_name) and request.span_kind == "INTERNAL"
    duration = formatting.duration(request.duration_s).text
    bar = html.Div(
        style={"marginLeft": f"{left:.3f}%", "width": f"{width:.3f}%"},
        className=f"span-bar {tone}" + (" is-model" if is_model else ""),
    )
    name = html.Div(
        [
            html.Bdi(visible(name_of(request) if request.span_kind != "INTERNAL" else request.name)),
            html.Small([html.Bdi(visible(request.service_name)), f" {request.span_kind.lower()}"]),
        ],
        className="span-name",
        style={"paddingLeft": f"{12 * min(span.depth, _DEEPEST)}px"},
    )
    line = [name, html.Div(bar, className="span-track"), html.Span(duration, className="mono row-value")]
    return Fold(
        "span",
        request.span_id,
        html.Div(line, className="span-line"),
        html.Div(_details(span, start_ns), className="span-details"),
        "span-row",
    )


def _details(span: TraceSpan, start_ns: int) -> list[Component]:
    request = span.request
    facts: dict[str, Any] = {
        "name": request.name,
        "service": request.service_name,
        "version": request.service_version,
        "instance": request.service_instance_id,
        "model": " ".join(filter(None, (request.model_name, request.model_version))),
        "asked": request.peer,
        "status": span.status_message,
        "span id": request.span_id,
    }
    parent = " (not kept)" if span.is_parent_missing else ""
    if span.parent_span_id:
        facts["parent"] = span.parent_span_id + parent
    links: list[Component] = [
        status_flag(request),
        PageLink("/service", "Service", "link-button", {"name": request.service_name}),
    ]
    parts: list[Component] = [
        html.Div(links, className="span-links"),
        _table({name: value for name, value in facts.items() if value}),
    ]
    if span.attributes:
        parts += [html.H3("Attributes"), _table(span.attributes)]
    for event in span.events:
        after = formatting.duration(max(event.time_ns - start_ns, 0) / _NS_PER_S).text
        parts += [html.H3([html.Bdi(visible(event.name)), f" after {after}"]), _table(event.attributes)]
    if span.links:
        parts.append(html.H3("Links"))
        parts += [
            PageLink("/traces", one.trace_id, "link-button mono", {"trace": one.trace_id, "span": None})
            for one in span.links
        ]
    if span.dropped_count:
        parts.append(html.Div(f"{span.dropped_count} more were too many or too large to keep.", className="row-note"))
    return parts


def _table(values: Mapping[str, Any]) -> Component:
    return html.Dl(
        [html.Div([html.Dt(html.Bdi(visible(key))), html.Dd(_value(key, value))]) for key, value in values.items()],
        className="span-facts",
    )


def _value(key: str, value: Any) -> Component:
    if key == _STACK_TRACE and isinstance(value, str):
        return html.Pre(_shown(value))
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return html.Bdi(_shown(text[:_LONGEST_VALUE]) if text else "(empty)")


def _shown(text: str) -> str:
    """Return a text of which every letter is seen, line by line."""
    lines = text.splitlines()[:_MOST_LINES]
    return "\n".join(visible(line) if line.strip() else "" for line in lines) if len(lines) > 1 else visible(text)
