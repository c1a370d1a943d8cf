"""Whether any rule can tell a channel anything: its filter may ask for labels that no alert ever has.

Pure, from rules and the settings of a channel.
"""

from __future__ import annotations

from collections.abc import Iterable

from alerting.channels.filtering import matches_label
from alerting.channels.settings import ChannelSettings
from alerting.rules import Rule


def filter_trouble(channel: ChannelSettings, rules: Iterable[Rule]) -> str:
    """Return what is amiss with the labels that a channel asks for; nothing if some rule's alerts may have them."""
    told = [rule for rule in rules if rule.is_enabled and (not rule.channels or channel.name in rule.channels)]
    if not channel.labels or any(_may_match(channel, rule) for rule in told):
        return ""
    labels = ", ".join(f"{name}={pattern}" for name, pattern in channel.labels.items())
    return f"no rule that is turned on has alerts with {labels}, so nothing is told to channel {channel.name!r}"


def _may_match(channel: ChannelSettings, rule: Rule) -> bool:
    """Tell whether an alert of the rule may have all labels: what it groups by may be anything."""
    known = {**rule.exact_scope, "rule": rule.rule_id}
    return all(
        matches_label(pattern, known[label]) if label in known else label in rule.labels or matches_label(pattern, "")
        for label, pattern in channel.labels.items()
    )
