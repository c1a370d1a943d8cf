"""A service's traffic and resources in the same steps, and what the two say together.

Pure, from the RED of a service and its resources to the steps of a `ServiceResources`.
"""

from __future__ import annotations

from collections.abc import Sequence

from query.answers import RedAnswer
from query.resources.answers import ServiceStep
from query.resources.summing import Limited, sum_of


def service_steps(red: RedAnswer, start_s: int, step_s: int, resources: Sequence[Limited]) -> list[ServiceStep]:
    """Return a step for each of the resources' steps; traffic is added from all items of `red`.

    `p99_s` is that of the whole service, as `red` is asked without groups.
    """
    traffic = {step.time_s: step for item in red.items for step in item.steps}
    step_count = max((len(one.resource.steps) for one in resources), default=len(traffic))
    steps = []
    for number in range(step_count):
        time_s = start_s + number * step_s
        usage = sum_of([(one, one.resource.steps[number]) for one in resources])
        shares = [share for one in resources if (share := one.resource.steps[number].memory_share) is not None]
        of_traffic = traffic.get(time_s)
        calls = of_traffic.calls if of_traffic else 0
        seconds = min(step_s, max(red.end_s - time_s, 1))
        cpu_s = usage.cpu_cores * seconds if usage.cpu_cores else 0.0
        steps.append(
            ServiceStep(
                time_s,
                calls,
                of_traffic.p99_s if of_traffic else None,
                usage,
                calls / cpu_s if calls and cpu_s else None,
                max(shares, default=None),
            )
        )
    return steps
