"""The answer about the pipeline as JSON.

Pure; the shapes are `models.PipelineSystem` and its parts.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from api.parameters import rfc_3339
from query.pipeline import PipelineAnswer, ProcessStatus


def system_document(answer: PipelineAnswer) -> dict[str, Any]:
    """Return `models.PipelineSystem`."""
    return {
        "start": rfc_3339(answer.start_s),
        "end": rfc_3339(answer.end_s),
        "since": rfc_3339(answer.since_s),
        "flows": [asdict(flow) for flow in answer.flows],
        "gauges": dict(answer.gauges),
        "tiers": [asdict(one) for one in answer.tiers],
        "canary_lost": answer.canary_lost,
        "processes": [_process(one) for one in answer.processes],
    }


def _process(status: ProcessStatus) -> dict[str, Any]:
    report = status.report
    return {
        "process_id": report.process_id,
        "role": report.role,
        "version": report.version,
        "host": report.host,
        "pid": report.pid,
        "started": rfc_3339(report.started_ms // 1000),
        "address": report.address,
        "state": status.state,
        "age_s": round(status.age_s, 3),
        "failures": {name: message for name, message in report.failures.items() if message},
    }
