"""What a rule may say, and rules as a file."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from alerting.default_rules import DEFAULT_RULES
from alerting.patterns import pattern_of
from alerting.rule_file import RuleFileError, mistakes_of, rules_of, text_of
from alerting.rulebook import RuleBook, RuleConflictError, TooManyRulesError, UnknownRuleError
from alerting.rules import Rule
from alerting.settings import AlertingSettings
from storage.alert_store import AlertStore
from tests.support.alert_world import rule
from tests.support.doubles import ManualClock

GOOD: dict[str, Any] = {"rule_id": "r", "name": "R", "signal": "error_rate", "warning": 0.1}


@pytest.mark.parametrize(
    ("changes", "mistake"),
    [
        ({"warning": None}, "warning: at least one"),
        ({"critical": 0.05}, "critical: must lie further above"),
        ({"warning": 5}, "warning: thresholds of this signal are ratios"),
        ({"warning": float("nan")}, "warning"),
        ({"warning": 1}, "critical: a rate is never above 1"),
        ({"comparison": "below"}, "comparison: of error rates, only above"),
        ({"signal": "latency_p95", "warning": -1}, "warning: thresholds of this signal are not negative"),
        ({"signal": "absence", "warning": 1e15}, "warning: of this signal, thresholds are at most half of 31 days"),
        ({"signal": "metric"}, "metric: must be given"),
        ({"metric": {"name": "x"}}, "metric: must be given"),
        ({"signal": "metric", "metric": {"name": "x"}, "scope": {"shard": "a*"}}, "scope: of metrics"),
        ({"group_by": ["colour"]}, "group_by: there is no label 'colour'"),
        ({"scope": {"colour": "red"}}, "scope: there is no label 'colour'"),
        ({"signal": "cpu", "group_by": ["route"]}, "group_by: there is no label 'route'"),
        ({"signal": "pipeline_lag", "warning": 9, "group_by": ["service"]}, "group_by: the pipeline has no labels"),
        ({"group_by": ["service", "service"]}, "group_by: each label may be named once"),
        ({"notify_by": ["route"]}, "notify_by: must be a part of group_by"),
        ({"signal": "absence", "warning": 600, "window_s": 900}, "window_s: must be at least twice"),
        ({"interval_s": 0}, "interval_s"),
        ({"rule_id": "Not Fit"}, "rule_id"),
        ({"colour": "red"}, "colour: there is no such field"),
        ({"runbook_url": "javascript:alert(1)"}, "runbook_url"),
        ({"for_s": -1}, "for_s"),
    ],
)
def test_a_mistake_is_named_with_its_field(changes: dict[str, Any], mistake: str) -> None:
    """And says what is allowed."""
    with pytest.raises(ValidationError) as caught:
        Rule.model_validate(GOOD | changes)
    assert any(found.startswith(mistake) for found in mistakes_of(caught.value)), mistakes_of(caught.value)


def test_rules_survive_their_file() -> None:
    """What is written is read back as it was, the built-in rules and one with everything set."""
    full = rule(
        scope={"service": "sh*"},
        group_by=("service", "route"),
        notify_by=("service",),
        description='a "quoted": text\nwith lines',
        channels=("chat",),
    )
    rules = [*DEFAULT_RULES, full]
    assert rules_of(text_of(rules)) == rules


def test_what_looks_like_a_date_is_text() -> None:
    """Also where there is no such day."""
    (rule,) = rules_of("rules: [{rule_id: a, name: 2026-13-45, description: 2026-11-27, signal: cpu, warning: 1}]")
    assert (rule.name, rule.description) == ("2026-13-45", "2026-11-27")


@pytest.mark.parametrize(
    ("text", "mistakes"),
    [
        ("rules: [", ["not YAML at line 1"]),
        ("- a", ["the file must hold `rules:`"]),
        ("rules: []\nmore: 1", ["the file must hold `rules:`"]),
        ("rules: [7]", ["rule 1: "]),
        (
            "rules: [{rule_id: a, name: A, signal: error_rate}, {rule_id: b, name: B, signal: nonsense}]",
            ["rule 1 (a): warning: at least one", "rule 2 (b): signal: "],
        ),
        (
            "rules: [{rule_id: a, name: A, signal: cpu, warning: 1}, {rule_id: a, name: A, signal: cpu, warning: 1}]",
            ["rule_id: 'a' is there twice"],
        ),
        (
            "rules: [{rule_id: a, name: A, signal: cpu, warning: 0.8,\n  warning: 0.9}]",
            ["not YAML at line 2, column 3: 'warning' is there twice"],
        ),
        ("rules: !!python/object/apply:os.system [echo]", ["not YAML"]),
        ("rules: [{<<: {for_s: 3,\n for_s: 4}}]", ["not YAML at line 2, column 2: 'for_s' is there twice"]),
        ("rules:\n- {for_s: !!int abc}", ["not YAML at line 2, column 11: it cannot be read"]),
        ("rules: [{for_s: !!timestamp x}]", ["not YAML at line 1"]),
        ("rules: [{for_s: !!float ''}]", ["not YAML at line 1"]),
        ("rules: [{for_s: !!bool x}]", ["not YAML at line 1"]),
        ("rules: [{for_s: " + "1" * 5_000 + "}]", ["not YAML at line 1"]),
        ("[" * 3_000, ["not YAML that can be read: nested too deeply"]),
        ("rules: &a [*a]", ["rule 1: "]),
    ],
)
def test_every_mistake_of_a_file_is_named_at_once(text: str, mistakes: list[str]) -> None:
    """With the rule that it is in."""
    with pytest.raises(RuleFileError) as caught:
        rules_of(text)
    assert len(caught.value.mistakes) == len(mistakes)
    for found, expected in zip(caught.value.mistakes, mistakes, strict=True):
        assert found.startswith(expected)


async def test_a_built_in_rule_is_changed_and_brought_back(store: AlertStore, clock: ManualClock) -> None:
    """Changed it is at revision 1; deleted it is as it came."""
    book = RuleBook(AlertingSettings(), store.documents, clock)
    assert {known.revision for known in await book.rules()} == {0}
    changed = DEFAULT_RULES[0].model_copy(update={"warning": 0.3})
    with pytest.raises(RuleConflictError):
        await book.create(changed)
    assert (await book.replace(changed, 0)).revision == 1
    with pytest.raises(RuleConflictError):
        await book.replace(changed, 0)
    assert (await book.rule("high-latency")).rule.warning == 0.3
    await book.delete("high-latency")
    assert (await book.rule("high-latency")).rule == DEFAULT_RULES[0]
    with pytest.raises(UnknownRuleError):
        await book.delete("nothing")


async def test_rules_have_a_bound(store: AlertStore, clock: ManualClock) -> None:
    """Beyond it a new one is refused with what to do; changing is always possible."""
    book = RuleBook(AlertingSettings(max_rules=len(DEFAULT_RULES) + 1), store.documents, clock)
    await book.create(rule(rule_id="one"))
    with pytest.raises(TooManyRulesError, match="MAX_RULES"):
        await book.create(rule(rule_id="two"))
    await book.replace(rule(rule_id="one", warning=0.2))


async def test_an_import_makes_the_rules_be_as_given(store: AlertStore, clock: ManualClock) -> None:
    """Twice is once; with pruning, what is not in the file goes, and built-in rules are as they came."""
    book = RuleBook(AlertingSettings(), store.documents, clock)
    first = [rule(rule_id="a"), rule(rule_id="b"), DEFAULT_RULES[0].model_copy(update={"is_enabled": False})]
    assert await book.import_rules(first) == (3, 0, 0)
    assert await book.import_rules(first) == (0, 3, 0)
    assert await book.import_rules([rule(rule_id="a", warning=0.2)], prune=True) == (1, 0, 2)
    known = {one.rule.rule_id: one for one in await book.rules()}
    assert known["a"].rule.warning == 0.2
    assert "b" not in known
    assert known["high-latency"].rule.is_enabled


async def test_a_rule_that_is_not_understood_does_not_silence_the_others(store: AlertStore, clock: ManualClock) -> None:
    """Such as one that a newer ModelWatch wrote."""
    book = RuleBook(AlertingSettings(default_rules=False), store.documents, clock)
    await book.create(rule())
    await store.documents.put_rule("newer", '{"rule_id": "newer", "signal": "telepathy"}', 0, 1)
    assert [watch.rule.rule_id for watch in await book.watches()] == ["failing"]


@pytest.mark.parametrize(
    ("pattern", "value", "fits"),
    [
        ("*", "", True),
        ("a*", "a", True),
        ("*a*b*", "xaxbx", True),
        ("a*b*", "ba", False),
        ("a*a", "a", False),
        ("*.b", "axb", False),
        ("a*b", "a\nb", True),
        ("**a", "ba", True),
        ("*ab", "aab", True),
    ],
)
def test_a_star_stands_for_anything_and_nothing_else_does(pattern: str, value: str, fits: bool) -> None:
    """For any text, the empty one and lines included; other signs are themselves."""
    made = pattern_of(pattern)
    assert not isinstance(made, str)
    assert bool(made.fullmatch(value)) is fits


@pytest.mark.timeout(20)
@pytest.mark.parametrize("pattern", ["*a" * 100 + "*b", "*" * 255 + "b"])
def test_no_pattern_takes_longer_than_its_length_and_the_value_s(pattern: str) -> None:
    """Of the longest value that almost fits: trying each star at each place would outlast the universe."""
    made = pattern_of(pattern)
    assert not isinstance(made, str)
    assert made.fullmatch("a" * 256) is None


@pytest.mark.parametrize("field", ["warning", "critical", "window_s", "for_s", "min_requests", "repeat_interval_s"])
def test_true_is_no_number(field: str) -> None:
    """Nor is the yes of YAML, which is the same; the message names the field."""
    given = {"rule_id": "r", "name": "r", "signal": "error_rate", "warning": 0.1, field: True}
    with pytest.raises(ValidationError, match=f"{field}: must be a number, not true"):
        Rule.model_validate(given)
    lines = "\n".join(f"  {name}: {'yes' if value is True else value}" for name, value in given.items())
    with pytest.raises(RuleFileError, match=f"{field}: must be a number, not true"):
        rules_of("rules:\n- " + lines.strip())
