"""The list of requests that were kept, and what is said above and below it.

Pure, from a `Snapshot` to components.
"""

from __future__ import annotations

from dash import html
from dash.development.base_component import Component

from dash_app.shared import formatting
from dash_app.shared.components import Moment, PageLink, csv_row
from dash_app.shared.names import visible
from dash_app.traces.choice import LINKED, Choice
from query import KeptRequest, TracesAnswer

_KEPT_AS = {
    "error": ("error", "Kept because it failed"),
    "slow": ("slow", "Kept because it was the slowest of its route for a while"),
    "beside": ("related", "Kept because it belongs to the trace of an error or of a slow request"),
    "sample": ("", ""),
}
NS_PER_S = 1_000_000_000
_NS_PER_MS = 1_000_000
ROW_COLUMNS = (
    *("time", "service", "version", "instance", "environment", "kind", "name", "duration_s", "status", "is_error"),
    *("model", "kept_as", "trace_id", "span_id"),
)


def rows(choice: Choice, answer: TracesAnswer) -> list[Component]:
    """Return a row for each request."""
    return [_row(item) for item in answer.items] or [html.Div(_why_none(choice, answer), className="alerts-none")]


def kept_words(choice: Choice, answer: TracesAnswer) -> str:
    """Say how many were kept of how many."""
    count = answer.count
    if count is None:
        return "further ones"
    if not count.kept and not count.calls:
        return ""
    kept = ("more than " if count.is_more else "") + formatting.count(count.kept)
    if count.calls is None or choice.kind != "request":
        return f"{kept} kept"
    return f"kept {kept} of {formatting.plural(max(count.calls, count.kept), 'request')}"


def more(choice: Choice, answer: TracesAnswer) -> list[Component]:
    """Return the ways on and back."""
    links: list[Component] = []
    if choice.after:
        links.append(PageLink("/traces", "First", "link-button", {"after": None}))
    if answer.is_cut_short:
        links.append(html.Span("Few match: the search has not come to the end yet.", className="row-note"))
    if answer.next_cursor is not None:
        words = "Search on" if answer.is_cut_short else "Earlier" if choice.order == "time" else "Shorter"
        links.append(PageLink("/traces", words, "link-button", {"after": answer.next_cursor}))
    return links


def filters(choice: Choice) -> list[Component]:
    """Return what links have narrowed the list to, each with the way to be rid of it."""
    where = choice.where
    chosen = {
        "version": where.version,
        "instance": where.instance,
        "model": where.model,
        "operation": where.operation,
        "status": where.status_class,
    }
    return [
        html.Span(
            [
                f"{LINKED[field]}: ",
                html.Bdi(visible(value)),
                PageLink("/traces", "✕", "link-button", {field: None, "after": None}),
            ],
            className="flag is-accent",
        )
        for field, value in chosen.items()
        if value is not None
    ]


def status_flag(request: KeptRequest) -> Component:
    """Return the outcome of a request."""
    tone = "is-critical" if request.is_error else "is-healthy"
    code = request.http_status_code
    if code is not None and 400 <= code < 500 and not request.is_error:
        tone = "is-degraded"
    words = str(code) if code is not None else "error" if request.is_error else "ok"
    return html.Span(words, className=f"flag {tone}", title="Counts as an error" if request.is_error else "")


def name_of(request: KeptRequest) -> str:
    """Return what was called."""
    if request.http_route:
        return " ".join(filter(None, (request.http_method, request.http_route)))
    return request.operation or request.name


def _row(request: KeptRequest) -> Component:
    short, why = _KEPT_AS.get(request.kept_as, ("", ""))
    leads = {"trace": request.trace_id, "span": None}
    tags = [html.Bdi(visible(text)) for text in (request.model_name, request.service_version) if text]
    return html.Div(
        [
            Moment(request.end_ns // NS_PER_S),
            html.Span(formatting.duration(request.duration_s).text, className="mono row-value"),
            status_flag(request),
            html.Div(
                [
                    PageLink("/traces", visible(name_of(request)), "row-link", leads),
                    html.Span([html.Bdi(visible(request.service_name)), *tags], className="alert-tags trace-tags"),
                ]
            ),
            html.Span(short, className="row-note", title=why),
        ],
        className="table-row trace-row",
        key=f"{request.trace_id}{request.span_id}",
        **csv_row(
            *(request.end_ns // _NS_PER_MS, request.service_name, request.service_version),
            *(request.service_instance_id, request.deployment_environment, request.span_kind, name_of(request)),
            *(request.duration_s, request.http_status_code, request.is_error, request.model_name),
            *(request.kept_as, request.trace_id, request.span_id),
        ),
    )


def _why_none(choice: Choice, answer: TracesAnswer) -> str:
    if choice.is_contradiction:
        return "No duration is within the bounds: raise the upper one or lower the least."
    if answer.kept_since_s is None:
        return "No request is kept: none came yet, or keeping is turned off (docs/traces.md)."
    if answer.end_s <= answer.kept_since_s:
        return "Requests of that time are not kept any more."
    return "No request that was kept matches. Choose a longer range, or clear filters."
