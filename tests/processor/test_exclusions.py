"""Which routes are left out of the figures."""

from __future__ import annotations

import pytest

from processor.exclusions import excluder
from processor.settings import ProcessorSettings
from telemetry import SeriesKey


@pytest.mark.parametrize(
    ("route", "kind", "is_out"),
    [
        ("/health", "SERVER", True),
        ("/health/", "SERVER", True),
        ("/health/live", "SERVER", True),
        ("/metrics", "SERVER", True),
        ("/readiness", "SERVER", True),
        ("/liveness", "SERVER", True),
        ("/startup", "SERVER", True),
        ("/healthy-recipes", "SERVER", False),
        ("/api/health", "SERVER", False),
        ("/predict", "SERVER", False),
        ("", "SERVER", False),
        ("/health", "CLIENT", False),
    ],
)
def test_probes_and_scrapes_are_left_out_by_default(route: str, kind: str, is_out: bool) -> None:
    """Whole routes are compared, and only of requests that a service answers."""
    is_excluded = excluder(ProcessorSettings().excluded_routes)
    assert is_excluded(SeriesKey("a", span_kind=kind, http_route=route)) is is_out


def test_without_rules_nothing_is_left_out() -> None:
    """An empty list means every route counts."""
    assert not excluder(())(SeriesKey("a", http_route="/health"))


def test_a_star_stands_for_anything_and_nothing_else_is_special() -> None:
    """The rules are no regular expressions."""
    is_excluded = excluder(("/internal/*", "/a.b"))
    assert is_excluded(SeriesKey("a", http_route="/internal/x/{y}"))
    assert is_excluded(SeriesKey("a", http_route="/a.b"))
    assert not is_excluded(SeriesKey("a", http_route="/axb"))
