"""Fixtures of the query tests."""

from __future__ import annotations

import pytest

from tests.support.query_world import World, make_world


@pytest.fixture
def world() -> World:
    """A window of 15 minutes that has been complete throughout."""
    return make_world()
