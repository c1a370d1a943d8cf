"""A service's traffic and resources in the same steps, and what the two say together.

Pure, from the RED of a service and its resources to the steps of a `ServiceResources`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from query.answers import RedAnswer
from query.resources.answers import ServiceStep
from query.resources.summing import Limited, sum_of


def service_steps(
    red: RedAnswer, start_s: int, step_s: int, resources: Sequence[Limited], settled_end_s: int
) -> list[ServiceStep]:
    """Return a step for each of the resources' steps; traffic is added from all items of `red`.

    `p99_s` is that of the whole service, as `red` is asked without groups. What a second of CPU time served is told of
    steps that are over: until `settled_end_s` calls are counted in full, and of the rest only some are known.
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
        is_over = time_s + step_s <= settled_end_s
        cpu_s = usage.cpu_cores * step_s if usage.cpu_cores and is_over else 0.0
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


def calls_per_cpu_s(steps: Sequence[ServiceStep], step_s: int, settled_end_s: int) -> float | None:
    """Return what a second of CPU time served over all steps that are over and of which the CPU is known."""
    known = [step for step in steps if step.time_s + step_s <= settled_end_s and step.usage.cpu_cores is not None]
    cpu_s = step_s * math.fsum(step.usage.cpu_cores or 0.0 for step in known)
    return sum(step.calls for step in known) / cpu_s if cpu_s else None
