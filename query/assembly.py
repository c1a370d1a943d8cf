"""From cells to answers: one item per service with its health, one item per group with its steps.

Pure; the last stage of a question, run by `query/component.py`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Final

from query.answers import (
    BreakdownAnswer,
    GroupBy,
    GroupTotal,
    RedAnswer,
    RedSeries,
    RedStep,
    ServicesAnswer,
    ServiceSummary,
)
from query.apdex import apdex_of
from query.blocks import Block
from query.cells import Cell, Cells, sum_of_cells, total_of
from query.grouping import GroupKey, labels_of
from query.health import problems_of, severity_rank, status_of
from query.overflow import OVERFLOW, folded, largest
from query.settings import QuerySettings
from query.sources import SourceName

SUMMARY_FIELDS: Final[tuple[GroupBy, ...]] = ("service", "version", "environment", "instance")
"""What cells for `services_answer` are grouped by, so that a summary can name versions, environments and instances."""

CellsByService = Mapping[str, list[tuple[GroupKey, Cell]]]


def red_answer(
    blocks: Sequence[Block],
    columns: Sequence[Cells],
    step_s: int,
    source: SourceName,
    group_by: Sequence[GroupBy],
    settings: QuerySettings,
) -> RedAnswer:
    """Make the answer from the cells of each step; beyond `max_groups` the smallest groups become one."""
    start_s, end_s = blocks[0].start_s, blocks[-1].end_s
    columns = folded(columns, settings.max_groups)
    keys: set[GroupKey] = set().union(*columns)
    empty = [RedStep(block.start_s, 0, 0, 0, None, None, None) for block in blocks]
    items = [
        _red_series(labels_of(group_by, key), [column.get(key) for column in columns], empty, end_s - start_s)
        for key in sorted(keys)
    ]
    return RedAnswer(start_s, end_s, step_s, source, tuple(items))


def _red_series(labels: dict[str, str], row: list[Cell | None], empty: list[RedStep], seconds: int) -> RedSeries:
    steps = tuple([none if cell is None else cell.step for cell, none in zip(row, empty, strict=True)])
    return RedSeries(labels, steps, total_of(sum_of_cells(cell for cell in row if cell is not None), seconds))


def breakdown_answer(
    window: Block,
    columns: Sequence[Cells],
    group_by: Sequence[GroupBy],
    settings: QuerySettings,
    service: str | None = None,
) -> BreakdownAnswer:
    """Make the answer from the cells of blocks that cover the window; beyond `max_groups` the smallest become one.

    All of it is about the `service`, if one is named.
    """
    cells_of: defaultdict[GroupKey, list[Cell]] = defaultdict(list)
    for column in folded(columns, settings.max_groups):
        for key, cell in column.items():
            cells_of[key].append(cell)
    seconds = window.end_s - window.start_s
    items = []
    for key, cells in sorted(cells_of.items()):
        labels, total = labels_of(group_by, key), sum_of_cells(cells)
        score = apdex_of(total, settings.apdex_target_of(labels.get("service", service)))
        items.append(GroupTotal(labels, replace(total_of(total, seconds), apdex=score)))
    return BreakdownAnswer(window.start_s, window.end_s, tuple(items))


def services_answer(
    window: Block, recent: Block, blocks: Sequence[Block], columns: Sequence[Cells], settings: QuerySettings
) -> ServicesAnswer:
    """Make the answer from cells by `SUMMARY_FIELDS`; no block crosses the edges of `window` or `recent`.

    `recent` is what health is judged by and may begin before `window`. Beyond `max_groups` the smallest services become
    one, which is judged as any other; its versions and environments would be a jumble, and are left out.
    """
    in_window = _by_service(blocks, columns, window)
    in_recent = _by_service(blocks, columns, recent)
    kept = largest(_calls_of(in_window), settings.max_groups, OVERFLOW)
    if len(kept) < len(in_window):
        in_recent = _folded({service: in_recent[service] for service in in_window.keys() & in_recent.keys()}, kept)
        in_window = _folded(in_window, kept)
    summaries = []
    sums = []
    for service, cells in in_window.items():
        total = sum_of_cells(cell for _, cell in cells)
        if total is None or not total.calls:
            continue
        sums.append(total)
        recent_sum = sum_of_cells(cell for _, cell in in_recent.get(service, ()))
        summaries.append(_summary(service, {key for key, _ in cells}, total, window, recent_sum, recent, settings))
    summaries.sort(key=lambda summary: (severity_rank(summary.status), summary.service))
    overall = replace(total_of(sum_of_cells(sums), window.end_s - window.start_s), apdex=_apdex_of_all(summaries))
    return ServicesAnswer(window.start_s, window.end_s, tuple(summaries), overall)


def _apdex_of_all(summaries: Sequence[ServiceSummary]) -> float | None:
    """Return the score of all calls together, each told by the target of its own service."""
    calls = sum(one.total.calls for one in summaries)
    return sum((one.total.apdex or 0.0) * one.total.calls for one in summaries) / calls if calls else None


def _by_service(blocks: Iterable[Block], columns: Iterable[Cells], within: Block) -> CellsByService:
    cells_by_service: defaultdict[str, list[tuple[GroupKey, Cell]]] = defaultdict(list)
    for block, column in zip(blocks, columns, strict=True):
        if within.start_s <= block.start_s and block.end_s <= within.end_s:
            for key, cell in column.items():
                cells_by_service[key[0]].append((key, cell))
    return cells_by_service


def _calls_of(cells_by_service: CellsByService) -> dict[str, int]:
    return {service: sum(cell.calls for _, cell in cells) for service, cells in cells_by_service.items()}


def _folded(cells_by_service: CellsByService, kept: Collection[str]) -> CellsByService:
    folded_cells = {service: cells for service, cells in cells_by_service.items() if service in kept}
    rest = [cells for service, cells in cells_by_service.items() if service not in kept]
    return {**folded_cells, OVERFLOW: list(chain.from_iterable(rest))}


def _summary(
    service: str,
    keys: set[GroupKey],
    total: Cell,
    window: Block,
    recent_sum: Cell | None,
    recent: Block,
    settings: QuerySettings,
) -> ServiceSummary:
    recent_total = total_of(recent_sum, recent.end_s - recent.start_s)
    problems = problems_of(recent_total, settings)
    is_mixed = len({of_service for of_service, *_ in keys}) > 1
    return ServiceSummary(
        service,
        versions=() if is_mixed else tuple(sorted({version for _, version, _, _ in keys if version})),
        environments=() if is_mixed else tuple(sorted({environment for _, _, environment, _ in keys if environment})),
        instance_count=len({(of_service, instance) for of_service, _, _, instance in keys}),
        total=replace(
            total_of(total, window.end_s - window.start_s), apdex=apdex_of(total, settings.apdex_target_of(service))
        ),
        last_seen_s=total.last_s,
        status=status_of(recent_total, problems),
        problems=problems,
    )
