"""Whether a container or process is live, stale or stopped.

Pure. An engine says that a container stopped; of a process nobody does, but its reporter goes on to tell of the others.
"""

from __future__ import annotations

from collections.abc import Sequence

from query.resources.answers import ResourceState
from query.resources.measuring import Measured
from query.resources.sources import STOPPED_STATES

_NS_PER_S = 1_000_000_000


def states_of(found: Sequence[Measured], end_s: int, stale_after_s: int) -> list[ResourceState]:
    """Return the state of each at `end_s`."""
    newest_ns: dict[tuple[str, str], int] = {}
    for one in found:
        reporter = one.identity.kind, one.identity.host
        newest_ns[reporter] = max(newest_ns.get(reporter, 0), one.last_ns)
    oldest_ns = (end_s - stale_after_s) * _NS_PER_S

    def state(one: Measured) -> ResourceState:
        if one.reported_state in STOPPED_STATES:
            return ResourceState.STOPPED
        if one.last_ns >= oldest_ns:
            return ResourceState.LIVE
        of_host_ns = newest_ns[one.identity.kind, one.identity.host]
        goes_on_without = of_host_ns >= oldest_ns and of_host_ns - one.last_ns > stale_after_s * _NS_PER_S
        return ResourceState.STOPPED if goes_on_without else ResourceState.STALE

    return [state(one) for one in found]
