"""Joining the states of short times into that of a long one, for roll-ups, without losing what began anew in between.

Totals that do not say since when they count begin anew whenever they become less. From the first, the last and the peak
of an hour it cannot be told how often. So a roll-up, which has all parts of its bucket at once and knows their times,
keeps a stretch for each time that a total only grew: several `Start`s of one `start_ms`, in time order. What they grew
by, each and from one to the next, is what the parts grew by. Commits cannot do so, as points come to them in any order.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain

from telemetry.metric_states import MAX_STARTS, Running, Snapshot, Start, State, merge_starts, merge_states


def join_states(states: Iterable[State]) -> State:
    """Return what stands for all of them, in any order; there is at least one, and all are of one series.

    Totals must be of different times: where they are of the same, one reset in it can be told, as in `merge_states`.
    """
    states = list(states)
    running = [state for state in states if isinstance(state, Running)]
    if len(running) < len(states):
        return merge_states(states)
    by_start: dict[int, list[Start]] = {}
    for state in running:
        for start in state.starts:
            by_start.setdefault(start.start_ms, []).append(start)
    joined = [stretch for start_ms in sorted(by_start) for stretch in _folded(_stretches(by_start[start_ms]))]
    return Running(tuple(joined[-MAX_STARTS:]))


def _stretches(parts: Iterable[Start]) -> list[Start]:
    stretches: list[Start] = []
    for part in sorted(chain.from_iterable(map(_split, parts))):
        if stretches and _is_one(stretches[-1], part):
            stretches[-1:] = _split(merge_starts(stretches[-1], part))
        else:
            stretches.append(part)
    return stretches


def _split(part: Start) -> Sequence[Start]:
    """Return a part of a sum whose peak tells of a reset as what it was before and what it was after."""
    start_ms, first, last, peak = part
    if not _is_sum(last) or peak <= last.value:
        return [part]
    top = Snapshot(max(last.time_ns - 1, first.time_ns), peak)
    return [Start(start_ms, first, top, peak), Start(start_ms, last, last, last.value)]


def _is_one(before: Start, after: Start) -> bool:
    """Tell whether a total only grew over two parts, or whether they overlap, so that it cannot be told."""
    if after.first.time_ns <= before.last.time_ns:
        return True
    if _is_sum(before.last) and _is_sum(after.first):
        return before.last.value <= after.first.value
    return before.last.observations <= after.first.observations


def _folded(stretches: Sequence[Start]) -> Sequence[Start]:
    """Return at most `MAX_STARTS` stretches of a sum that grow by as much as all of them; histograms are left as is.

    All that came before the last ones becomes one that ends where it would have got to had it never begun anew. Every
    one of these ended above the beginning of the next, so that one does all the more.
    """
    if len(stretches) <= MAX_STARTS or not all(_is_sum(stretch.last) for stretch in stretches):
        return stretches
    folded, kept = stretches[: 1 - MAX_STARTS], stretches[1 - MAX_STARTS :]
    reached = sum(stretch.last.value for stretch in folded)
    last = Snapshot(folded[-1].last.time_ns, reached)
    return [Start(folded[0].start_ms, folded[0].first, last, reached), *kept]


def _is_sum(snapshot: Snapshot) -> bool:
    return not snapshot.shape and not snapshot.observations
