"""Setting up the tiers of a database, once, with the points that it holds already.

The last part of a migration: run by the history at start, in the transaction that migrated the schema. A database of
before the tiers has points of ten seconds only. They stay where they are and are marked as due, so that they are read
as before and rolled up a bucket at a time; nothing here takes longer than looking each bucket up.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection, func, insert, select, text

from storage.commits import new_token
from storage.dialects import Dialect
from storage.partitions import adopt_first, extend_partitions
from storage.schema import red_points
from storage.schema import tiers as tiers_table
from storage.tiers import COARSE, FINEST, MEDIUM, Tier, floor_to
from telemetry import StartError

_FAR_AHEAD_S: Final = 86_400
_SETTINGS: Final = {MEDIUM: "MEDIUM", COARSE: "COARSE"}
_MARK_ALL: Final = text(
    """INSERT INTO rollups_due (tier_s, start_s, writer, noted_s, token)
    WITH RECURSIVE found (first_s) AS (
        SELECT min(start_s) FROM red_points
        UNION ALL
        SELECT (SELECT min(start_s) FROM red_points WHERE start_s >= first_s - first_s % :width_s + :width_s)
        FROM found WHERE first_s IS NOT NULL
    )
    SELECT :width_s, first_s - first_s % :width_s, 0, :now_s, :token FROM found WHERE first_s IS NOT NULL"""
)


def set_up_tiers(connection: Connection, dialect: Dialect, tiers: Sequence[Tier], now_s: int) -> None:
    """Note the widths of the tiers and take up what points there are. Does nothing when that was done before.

    Raises `StartError` when the settings want other widths than the database has.
    """
    found = connection.execute(select(tiers_table.c.rank, tiers_table.c.width_s))
    widths: dict[int, int] = {row.rank: row.width_s for row in found}
    if widths:
        _check(widths, tiers)
        return
    if dialect.is_partitioned:
        finest = tiers[FINEST]
        # What is dated days ahead would make the first partition one that is never dropped.
        newest_s = connection.scalar(
            text("SELECT max(start_s) FROM red_points_first WHERE start_s < :limit_s"),
            {"limit_s": now_s + _FAR_AHEAD_S},
        )
        adopt_first(connection, finest, floor_to(newest_s or 0, finest.partition_s) + finest.partition_s)
        for tier in tiers:
            extend_partitions(connection, tier, now_s)
    empty = {"retired_to_s": 0, "cleared_to_s": 0, "summed_since_s": 0}
    connection.execute(insert(tiers_table), [{"rank": tier.rank, "width_s": tier.width_s, **empty} for tier in tiers])
    if connection.scalar(select(func.min(red_points.c.start_s))) is not None:
        values = {"width_s": tiers[MEDIUM].width_s, "now_s": now_s, "token": new_token()}
        connection.execute(_MARK_ALL, values)


def _check(widths: dict[int, int], tiers: Sequence[Tier]) -> None:
    for tier in tiers[MEDIUM:]:
        if widths[tier.rank] != tier.width_s:
            setting = f"MODELWATCH_STORAGE__{_SETTINGS[tier.rank]}_RESOLUTION_S"
            raise StartError(
                f"the database keeps buckets of {widths[tier.rank]} s where {setting} says {tier.width_s}: "
                f"set {setting} back, or MODELWATCH_DATABASE_URL to another database"
            )
