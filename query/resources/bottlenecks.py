"""The bottlenecks among the problems of a service, beside high latency and high error rate.

Pure, from the answers about services and about their resources to one answer.
"""

from __future__ import annotations

from dataclasses import replace

from query.answers import Problem, ProblemKind, ServicesAnswer, ServiceSummary, Status
from query.health import severity_rank
from query.resources.answers import Verdict, VerdictsAnswer


def with_bottlenecks(answer: ServicesAnswer, verdicts: VerdictsAnswer | None) -> ServicesAnswer:
    """Return the answer with the bottlenecks of its services, which count for their status like any other problem.

    A service without calls stays one of which nothing is known. Without verdicts the answer is as it was.
    """
    found = {item.service: item.verdicts for item in verdicts.items} if verdicts is not None else {}
    items = [_with_problems(item, found.get(item.service, ())) for item in answer.items]
    items.sort(key=lambda item: (severity_rank(item.status), item.service))
    return replace(answer, items=tuple(items))


def _with_problems(item: ServiceSummary, verdicts: tuple[Verdict, ...]) -> ServiceSummary:
    problems = [
        Problem(
            ProblemKind.RESOURCE_BOTTLENECK,
            verdict.status,
            verdict.value or 0.0,
            verdict.threshold or 0.0,
            verdict.evidence,
        )
        for verdict in verdicts
        if verdict.is_problem
    ]
    if not problems:
        return item
    everything = sorted((*item.problems, *problems), key=lambda problem: severity_rank(problem.status))
    status = item.status
    if status is not Status.NO_DATA:
        status = min((status, *(problem.status for problem in problems)), key=severity_rank)
    return replace(item, problems=tuple(everything), status=status)
