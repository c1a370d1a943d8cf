"""The table of pages: which there are, in the order of the navigation, and what they ask.

A page is a folder with one function that makes its `Page`; see "Add a page" in CONTRIBUTING.md.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from dash_app import containers, overview, service
from dash_app.shell.page import Page
from query import Query, ResourceQuery
from telemetry import NowNs


@dataclass(frozen=True, slots=True)
class Sources:
    """Where pages get their answers from; each page takes what it needs."""

    query: Query
    resources: ResourceQuery
    now_ns: NowNs = time.time_ns


def pages_of(sources: Sources) -> tuple[Page, ...]:
    """Return the pages."""
    return (
        overview.page(sources.query, sources.resources),
        service.page(sources.query, sources.resources),
        containers.page(sources.resources),
    )
