"""The identity of a RED series: which service, version, instance, model, route and outcome a span belongs to.

The processor derives it from spans, storage keeps it, query groups by its fields.
"""

from __future__ import annotations

import hashlib
from enum import StrEnum
from typing import Final, NamedTuple


class SpanKind(StrEnum):
    """What a series counts (OTLP `Span.SpanKind`).

    SERVER and CONSUMER are a service's own requests; CLIENT and PRODUCER what it asks of others; INTERNAL the steps of
    a model. CANARY are ModelWatch's own spans that time its pipeline: like all that are no requests, they are in no
    figure that does not ask for them.
    """

    SERVER = "SERVER"
    CONSUMER = "CONSUMER"
    CLIENT = "CLIENT"
    PRODUCER = "PRODUCER"
    INTERNAL = "INTERNAL"
    CANARY = "CANARY"


REQUEST_KINDS: Final = (SpanKind.SERVER, SpanKind.CONSUMER)
"""The kinds that a service's rate, errors and durations are made of."""


class SeriesKey(NamedTuple):
    """All fields are text; an attribute that a span lacks is the empty string.

    `http_status_class` is `"2xx"` and so on; `http_route` is always a template such as `/items/{id}`, never a raw path.
    `operation` is what was called where there is no route: an RPC method, a messaging destination, a step of a model;
    `peer` is whom a CLIENT or PRODUCER span asked. `overflow` is `"true"` for the series that stands for those beyond a
    limit (`otel.metric.overflow`).
    """

    service_name: str
    service_version: str = ""
    service_instance_id: str = ""
    deployment_environment: str = ""
    model_name: str = ""
    model_version: str = ""
    span_kind: str = SpanKind.SERVER
    http_method: str = ""
    http_route: str = ""
    http_status_class: str = ""
    peer: str = ""
    operation: str = ""
    overflow: str = ""


_FIELDS_OF_FIRST_VERSION: Final = 10
"""Fields added since count in an id only when they are filled: stored series keep their ids."""


def series_id_of(series: SeriesKey) -> int:
    """Return a stable signed 64-bit id, equal in every process, so that no writer has to ask another for it.

    BLAKE2b over the length-prefixed fields, later ones after their position; with 100 000 series the chance of any
    collision is below 1e-9.
    """
    fields = [field.encode() for field in series]
    parts = b"".join(len(raw).to_bytes(4, "little") + raw for raw in fields[:_FIELDS_OF_FIRST_VERSION])
    for position, raw in enumerate(fields[_FIELDS_OF_FIRST_VERSION:], start=_FIELDS_OF_FIRST_VERSION):
        if raw:
            parts += bytes([position]) + len(raw).to_bytes(4, "little") + raw
    return int.from_bytes(hashlib.blake2b(parts, digest_size=8).digest(), "little", signed=True)
