"""The collector that the watched applications of these tests export to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.otlp_sink import Sink, running_sink


@pytest.fixture(scope="session")
def sink() -> Iterator[Sink]:
    """A collector that accepts everything, for the whole session; each application has a service name of its own."""
    with running_sink() as running:
        yield running
