"""The traffic's schedule, rhythm and mixture, without any process."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from statistics import mean

import pytest

from alerting.default_rules import DEFAULT_RULES
from examples.traffic.generator import CRASHES, MEMORY_SHARE
from examples.traffic.handwriting import draw_digit
from examples.traffic.incidents import CYCLE_S, INCIDENTS, Kind, chosen, occurrences
from examples.traffic.rhythm import RHYTHMS
from examples.traffic.visits import MIXES, next_visit

SAMPLED_EVERY_S = 10
JUDGED_OVER_S = 60
"""The page judges the state of a model by its last minute."""


def test_incidents_come_one_at_a_time_and_recover_before_the_next_cycle() -> None:
    """None begins before the one before it is over, and each model has been well for a minute when its next begins."""
    for first, second in itertools.pairwise(INCIDENTS):
        assert first.begins_s + first.lasts_s <= second.begins_s
    assert INCIDENTS[-1].begins_s + INCIDENTS[-1].lasts_s <= CYCLE_S
    for service in RHYTHMS:
        own = [one for one in itertools.islice(occurrences(0), 2 * len(INCIDENTS)) if one[1].service == service]
        for (began_s, before), (begins_s, _) in itertools.pairwise(own):
            assert began_s + before.lasts_s + JUDGED_OVER_S <= begins_s


def test_the_incident_of_cpu_lasts_until_its_alert_fires() -> None:
    """From a twentieth of a core to all of it: the mean of the rule's window passes its threshold, and stays there."""
    rule = next(rule for rule in DEFAULT_RULES if rule.rule_id == "high-cpu")
    incident = next(incident for incident in INCIDENTS if incident.kind == Kind.SHORT_OF_CPU)
    assert rule.warning is not None
    until_beyond_s = rule.seconds * (rule.warning - 0.05) / (1 - 0.05)
    assert until_beyond_s + rule.for_s + 2 * rule.interval_s < incident.lasts_s


def test_two_minutes_show_a_slow_model_and_a_failing_one() -> None:
    """Both are over within two minutes of the start, each at a model of its own."""
    early = {incident.kind: incident.service for incident in INCIDENTS if incident.begins_s + incident.lasts_s < 120}
    assert early.keys() >= {Kind.SLOW, Kind.FAILING}
    assert len({incident.service for incident in INCIDENTS[:3]}) == 3


def test_the_incident_of_memory_lasts_until_its_alert_fires() -> None:
    """Once the whole window of its rule is filled with what is too much, there is time for the rule's `for`."""
    rule = next(rule for rule in DEFAULT_RULES if rule.rule_id == "high-memory")
    incident = next(incident for incident in INCIDENTS if incident.kind == Kind.SHORT_OF_MEMORY)
    assert rule.warning is not None
    assert rule.warning < MEMORY_SHARE < 0.95, "beyond that it may be killed"
    assert rule.seconds + rule.for_s + 2 * rule.interval_s + SAMPLED_EVERY_S < incident.lasts_s


def test_the_alert_of_crashes_is_over_before_they_come_again() -> None:
    """They are counted over the window of its rule."""
    rule = next(rule for rule in DEFAULT_RULES if rule.rule_id == "restarting")
    (incident,) = [incident for incident in INCIDENTS if incident.kind == Kind.CRASHING]
    assert rule.warning is not None
    assert rule.warning < CRASHES
    assert 2 * incident.lasts_s + rule.seconds + rule.keep_firing_for_s < CYCLE_S
    assert incident.lasts_s / CRASHES >= 2 * SAMPLED_EVERY_S, "each process must live long enough to be seen"


def test_incidents_are_chosen_by_name() -> None:
    """With the time that they last, if that is said; what there is not is answered with what there is."""
    slow, crashing = chosen(["slow=7", "crashing"])
    assert (slow.kind, slow.begins_s, slow.lasts_s) == (Kind.SLOW, 0, 7)
    assert (crashing.kind, crashing.begins_s, crashing.lasts_s) == (Kind.CRASHING, 0, 75)
    with pytest.raises(ValueError, match="no incident 'fast': choose from slow, failing, short-of-cpu"):
        chosen(["fast"])
    for text in ("slow=", "slow=0", "slow=nan", "slow=601", "slow=x"):
        with pytest.raises(ValueError, match="lasts 1 to 600 seconds"):
            chosen([text])


def test_the_schedule_repeats() -> None:
    """Every incident comes back after one cycle, without end."""
    first = list(itertools.islice(occurrences(0), 2 * len(INCIDENTS)))
    assert [incident for _, incident in first] == [*INCIDENTS, *INCIDENTS]
    assert first[len(INCIDENTS)][0] == first[0][0] + CYCLE_S


@pytest.mark.parametrize("from_s", [0, 20, 20.1, 130, 239, 240, 1000])
def test_a_late_start_waits_for_the_next_incident(from_s: float) -> None:
    """What comes first begins then or later, and within one cycle."""
    begins_s, _ = next(occurrences(from_s))
    assert from_s <= begins_s < from_s + CYCLE_S


def test_a_headline_says_what_where_and_how_long() -> None:
    """It names the model, what visitors notice, the duration and the cause."""
    assert INCIDENTS[0].headline().startswith("incident: digits-reader slow for 45 s (")


def test_shares_of_the_apis_add_up() -> None:
    """Together the APIs get the rate that was asked for, within a tenth, over a long time."""
    assert sum(rhythm.share for rhythm in RHYTHMS.values()) == pytest.approx(1)
    moments = range(3600)
    total = sum(mean(rhythm.rate_per_s(moment, 30, name) for moment in moments) for name, rhythm in RHYTHMS.items())
    assert total == pytest.approx(30, rel=0.1)


@pytest.mark.parametrize("name", RHYTHMS)
def test_a_rhythm_rises_and_falls_but_never_stops(name: str) -> None:
    """The busiest ten seconds have at least twice the rate of the quietest, and those still one visit a second."""
    rates = [RHYTHMS[name].rate_per_s(moment, 30, name) for moment in range(600)]
    windows = [mean(rates[start : start + 10]) for start in range(0, 600, 10)]
    assert max(windows) > 2 * min(windows)
    assert min(windows) > 1
    assert rates == [RHYTHMS[name].rate_per_s(moment, 30, name) for moment in range(600)]


@pytest.mark.parametrize("name", MIXES)
def test_most_visits_are_sensible_and_few_break_anything(name: str) -> None:
    """Predictions are the most; health checks and old paths occur; the same seed gives the same visits."""
    rng, again = random.Random(1), random.Random(1)
    visits = [next_visit(name, rng) for _ in range(3000)]
    assert visits == [next_visit(name, again) for _ in range(3000)]
    paths = Counter(visit.path for visit in visits)
    assert paths.most_common(1)[0][0] == "/predict"
    assert paths["/health"] > 0
    assert 0 < paths["/v1/predict"] < 60


def test_every_digit_is_drawn_on_eight_by_eight_pixels() -> None:
    """Each of the ten has eight rows of eight pixels from 0 to 16, and ink on it."""
    rng = random.Random(1)
    for digit in range(10):
        pixels = [pixel for row in draw_digit(digit, rng) for pixel in row]
        assert len(pixels) == 64
        assert min(pixels) == 0
        assert 12 <= max(pixels) <= 16
