"""From answers to JSON: the same figures under the API's names, times as text.

Plain functions to plain dicts, since validating fifteen thousand points again would cost more than the answer itself;
that they fit `api/models.py` is what the tests hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson
from starlette.responses import Response

from api.parameters import rfc_3339
from query import RedAnswer, RedSeries, RedStep, RedTotal, ServicesAnswer, ServiceSummary

Json = dict[str, Any]


def json_response(document: Json, status: int = 200) -> Response:
    """Return a response with the document as its body."""
    return Response(orjson.dumps(document), status, media_type="application/json")


def services_document(answer: ServicesAnswer, items: Sequence[ServiceSummary], next_cursor: str | None) -> Json:
    """Return `models.Services`; `items` are those of the page."""
    return {
        "start": rfc_3339(answer.start_s),
        "end": rfc_3339(answer.end_s),
        "items": [_service(item) for item in items],
        "next_cursor": next_cursor,
        "total": {**_total(answer.total), "apdex": answer.total.apdex},
    }


def red_document(answer: RedAnswer, items: Sequence[RedSeries], next_cursor: str | None) -> Json:
    """Return `models.Red`; `items` are those of the page."""
    times: dict[int, str] = {}
    return {
        "start": rfc_3339(answer.start_s),
        "end": rfc_3339(answer.end_s),
        "step_s": answer.step_s,
        "source": answer.source,
        "items": [_series(item, times) for item in items],
        "next_cursor": next_cursor,
    }


def _service(summary: ServiceSummary) -> Json:
    problems = [
        {
            "kind": problem.kind.value,
            "status": problem.status.value,
            "value": problem.value,
            "threshold": problem.threshold,
            "evidence": problem.evidence,
        }
        for problem in summary.problems
    ]
    return {
        "service": summary.service,
        "versions": list(summary.versions),
        "environments": list(summary.environments),
        "instance_count": summary.instance_count,
        **_total(summary.total),
        "apdex": summary.total.apdex,
        "last_seen": rfc_3339(summary.last_seen_s),
        "status": summary.status.value,
        "problems": problems,
    }


def _total(total: RedTotal) -> Json:
    return {
        "calls": total.calls,
        "errors": total.errors,
        "client_errors": total.client_errors,
        "error_rate": total.error_rate,
        "rate_per_s": total.rate_per_s,
        "p50_s": total.p50_s,
        "p95_s": total.p95_s,
        "p99_s": total.p99_s,
    }


def _series(series: RedSeries, times: dict[int, str]) -> Json:
    return {
        "labels": dict(series.labels),
        "points": [_point(step, times) for step in series.steps],
        "total": _total(series.total),
    }


def _point(step: RedStep, times: dict[int, str]) -> Json:
    """All series of an answer have the same steps, so each time is written once, into `times`."""
    time = times.get(step.time_s)
    if time is None:
        time = times[step.time_s] = rfc_3339(step.time_s)
    return {
        "time": time,
        "calls": step.calls,
        "errors": step.errors,
        "client_errors": step.client_errors,
        "p50_s": step.p50_s,
        "p95_s": step.p95_s,
        "p99_s": step.p99_s,
    }
