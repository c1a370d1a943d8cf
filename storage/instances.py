"""Reading the service instances, and deleting those that are too old or too many.

The reading half of `instance_catalog.py`, used by the history, and what `upkeep.py` does of it; runs in a worker thread
within the caller's transaction.
"""

from __future__ import annotations

from sqlalchemy import Column, Connection, delete, func, select

from storage.schema import service_instances
from telemetry import SeenInstance, ServiceInstance


def read_instances(
    connection: Connection, since_s: int, service_name: str | None, max_instances: int
) -> list[SeenInstance]:
    """Return the instances that were heard of since, the latest first."""
    columns = service_instances.c
    wanted = (
        select(*(columns[name] for name in ServiceInstance._fields), columns.first_seen_s, columns.last_seen_s)
        .where(columns.last_seen_s >= since_s)
        .order_by(columns.last_seen_s.desc(), columns.row_id)
        .limit(max_instances)
    )
    if service_name is not None:
        wanted = wanted.where(columns.service_name == service_name)
    return [SeenInstance(ServiceInstance(*fields), first, last) for *fields, first, last in connection.execute(wanted)]


def delete_crowding_instances(connection: Connection, max_per_service: int, max_instances: int) -> int:
    """Delete the instances beyond the latest so many of a service, and then of all; return how many went."""
    # One service after the other first, so that one with endless instances does not crowd out the others'.
    return sum(
        _delete_beyond(connection, most, partition)
        for most, partition in ((max_per_service, service_instances.c.service_name), (max_instances, None))
    )


def _delete_beyond(connection: Connection, most: int, partition: Column[str] | None) -> int:
    columns = service_instances.c
    place = func.row_number().over(partition_by=partition, order_by=(columns.last_seen_s.desc(), columns.row_id))
    ranked = select(columns.row_id, place.label("place")).subquery()
    crowding = (
        select(columns.row_id)
        .where(columns.row_id.in_(select(ranked.c.row_id).where(ranked.c.place > most)))
        # Rows that a writer holds are left for the next round, so deleting never waits and never deadlocks.
        .with_for_update(skip_locked=True)
    )
    return connection.execute(delete(service_instances).where(columns.row_id.in_(crowding))).rowcount
