"""The breaker, and what it says."""

from __future__ import annotations

import structlog.testing

from rabbit_exporter.breaker import Breaker
from tests.support.doubles import ManualClock


def test_flapping_is_said_once_and_an_outage_in_it_too() -> None:
    """Under overload it opens and closes many times a second; one that then stays open is said after some seconds."""
    clock = ManualClock()
    breaker = Breaker(lambda: float(clock.now_s))
    with structlog.testing.capture_logs() as logs:
        for _ in range(100):
            breaker.open("too much")
            assert breaker.is_open
            assert breaker.reason == "too much"
            breaker.close()
            breaker.close()
            assert not breaker.is_open
        assert [log["log_level"] for log in logs] == ["warning", "info"]
        breaker.open("too much")
        for _ in range(30):
            clock.advance(1)
            breaker.open("nobody there")
        assert [log.get("reason") for log in logs[2:]] == ["nobody there"]
        breaker.close()
    assert [log["log_level"] for log in logs] == ["warning", "info", "warning", "info"]
