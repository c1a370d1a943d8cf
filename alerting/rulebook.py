"""The rules that hold: those that were written, over the built-in ones.

The evaluator reads them before each round; the API, the page and the command line change them here.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final, NamedTuple

import structlog
from pydantic import ValidationError

from alerting.default_rules import DEFAULT_RULES
from alerting.observing import Watch
from alerting.rules import Rule
from alerting.settings import AlertingSettings
from storage.alert_documents import AlertDocuments, RevisionConflictError, RuleRow
from telemetry import NowNs, PermanentError

log = structlog.get_logger(__name__)

_NS_PER_MS: Final = 1_000_000


class UnknownRuleError(PermanentError):
    """There is no rule of this id."""


class RuleConflictError(PermanentError):
    """The rule was changed by somebody else meanwhile, or is there already."""


class TooManyRulesError(PermanentError):
    """There is no room for another rule."""


class KnownRule(NamedTuple):
    """A rule with where it stands. Revision 0 is a built-in rule as it came."""

    rule: Rule
    revision: int
    is_built_in: bool
    changed_ms: int


class RuleBook:
    """Rules by id. What reads or writes raises `StorageUnavailableError`."""

    def __init__(self, settings: AlertingSettings, documents: AlertDocuments, now_ns: NowNs = time.time_ns) -> None:
        self._settings = settings
        self._documents = documents
        self._now_ns = now_ns
        self._built_in = {rule.rule_id: rule for rule in DEFAULT_RULES} if settings.default_rules else {}
        self._read: dict[str, KnownRule | None] = {}
        self._watches: dict[str, Watch] = {}
        self._rows: dict[str, RuleRow] = {}

    async def rules(self) -> list[KnownRule]:
        """Return all rules by id, those that are turned off included."""
        rows = {row.rule_id: row for row in await self._documents.rules()}
        self._read = {
            rule_id: self._read[rule_id] if self._rows.get(rule_id) == row else self._known(row)
            for rule_id, row in rows.items()
        }
        self._rows = rows
        known = [KnownRule(rule, 0, True, 0) for rule_id, rule in self._built_in.items() if rule_id not in rows]
        known += [rule for rule in self._read.values() if rule is not None]
        return sorted(known, key=lambda one: one.rule.rule_id)

    async def watches(self) -> list[Watch]:
        """Return the rules that are turned on, ready to be evaluated."""
        watches = {}
        for rule, revision, _, _ in await self.rules():
            if rule.is_enabled:
                before = self._watches.get(rule.rule_id)
                is_same = before is not None and before.revision == revision and before.rule is rule
                watches[rule.rule_id] = before if before and is_same else Watch.of(rule, revision, self._settings)
        self._watches = watches
        return list(watches.values())

    def watch_of(self, rule_id: str) -> Watch | None:
        """Return a rule as it was read last, also if it is turned off; `None` if there is none any more."""
        known = self._read.get(rule_id)
        rule = known.rule if known is not None else self._built_in.get(rule_id)
        return Watch.of(rule, 0, self._settings) if rule is not None else None

    async def rule(self, rule_id: str) -> KnownRule:
        """Return one rule. Raises `UnknownRuleError`."""
        found = next((one for one in await self.rules() if one.rule.rule_id == rule_id), None)
        if found is None:
            raise UnknownRuleError(f"there is no rule {rule_id!r}")
        return found

    async def create(self, rule: Rule) -> KnownRule:
        """Add a rule. Raises `RuleConflictError` if there is one of its id, `TooManyRulesError`."""
        known = await self.rules()
        if any(one.rule.rule_id == rule.rule_id for one in known):
            raise RuleConflictError(f"there is a rule {rule.rule_id!r} already: change it, or choose another id")
        return await self._put(rule, 0, known)

    async def replace(self, rule: Rule, expected: int | None = None) -> KnownRule:
        """Change a rule that is at the revision `expected`, or at any. Raises as `rule` and `create` do."""
        known = await self.rules()
        if all(one.rule.rule_id != rule.rule_id for one in known):
            raise UnknownRuleError(f"there is no rule {rule.rule_id!r}")
        return await self._put(rule, expected, known)

    async def delete(self, rule_id: str, expected: int | None = None) -> None:
        """Delete a rule; a built-in one becomes as it came. Raises as `replace` does."""
        await self.rule(rule_id)
        try:
            await self._documents.delete_rule(rule_id, expected)
        except RevisionConflictError:
            raise _conflict(rule_id) from None

    async def import_rules(self, rules: Sequence[Rule], *, prune: bool = False) -> tuple[int, int, int]:
        """Make the rules be as given; with `prune`, delete those that are not. Return how many were written, were
        so already, and were deleted."""
        known = {one.rule.rule_id: one for one in await self.rules()}
        changed = [rule for rule in rules if rule.rule_id not in known or known[rule.rule_id].rule != rule]
        new = sum(rule.rule_id not in known for rule in changed)
        self._check_room(len(known) + new)
        for rule in changed:
            await self._documents.put_rule(rule.rule_id, rule.model_dump_json(), None, self._now_ms())
        wanted = {rule.rule_id for rule in rules}
        gone = [rule_id for rule_id, one in known.items() if prune and one.revision and rule_id not in wanted]
        for rule_id in gone:
            await self._documents.delete_rule(rule_id, None)
        return len(changed), len(rules) - len(changed), len(gone)

    async def _put(self, rule: Rule, expected: int | None, known: Sequence[KnownRule]) -> KnownRule:
        self._check_room(len(known) + (expected == 0 and rule.rule_id not in self._built_in))
        changed_ms = self._now_ms()
        try:
            revision = await self._documents.put_rule(rule.rule_id, rule.model_dump_json(), expected, changed_ms)
        except RevisionConflictError:
            raise _conflict(rule.rule_id) from None
        return KnownRule(rule, revision, rule.rule_id in self._built_in, changed_ms)

    def _check_room(self, count: int) -> None:
        if count > self._settings.max_rules:
            raise TooManyRulesError(
                f"more than {self._settings.max_rules} rules: group by labels instead of writing one for each, "
                "or set MODELWATCH_ALERTS__MAX_RULES"
            )

    def _known(self, row: RuleRow) -> KnownRule | None:
        try:
            rule = Rule.model_validate_json(row.document)
        except ValidationError as error:
            # Written by a newer ModelWatch, perhaps. The others must go on being evaluated.
            log.error("alert rule not understood", rule_id=row.rule_id, reason=str(error).splitlines()[0])
            return None
        return KnownRule(rule, row.revision, row.rule_id in self._built_in, row.changed_ms)

    def _now_ms(self) -> int:
        return self._now_ns() // _NS_PER_MS


def _conflict(rule_id: str) -> RuleConflictError:
    return RuleConflictError(f"the rule {rule_id!r} was changed by somebody else: read it again, then change that")
