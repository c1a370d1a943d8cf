"""Rules as one YAML file, for people who keep them in a repository: read, checked, written.

The file is `rules:` and a list of rules with the fields of `Rule`; what is left out is the default.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import yaml
from pydantic import ValidationError
from yaml.constructor import ConstructorError

from alerting.rules import Rule

_DATE: Final = "tag:yaml.org,2002:timestamp"
_HEAD: Final = "# Alert rules of ModelWatch; see docs/alerts.md. What is left out is the default.\n"


class RuleFileError(ValueError):
    """What is wrong in a file of rules, one line for each mistake."""

    def __init__(self, mistakes: Sequence[str]) -> None:
        super().__init__("\n".join(mistakes))
        self.mistakes = tuple(mistakes)


class _Loader(yaml.SafeLoader):
    """Refuses a field that is there twice, of which YAML would take the last without a word; dates are text."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node: yaml.MappingNode = super().compose_mapping_node(anchor)
        keys = [key for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        texts: set[str] = set()
        for key in keys:
            if key.value in texts:
                raise ConstructorError(None, None, f"{key.value!r} is there twice", key.start_mark)
            texts.add(key.value)
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ValueError, AttributeError, LookupError, TypeError, ArithmeticError) as error:
            # What a tag promises and the text does not hold, such as `!!int abc`.
            raise ConstructorError(None, None, "it cannot be read", node.start_mark) from error


_Loader.yaml_implicit_resolvers = {
    first: [one for one in resolvers if one[0] != _DATE]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def rules_of(text: str) -> list[Rule]:
    """Read a file. Raises `RuleFileError` with every mistake that was found, each with its place."""
    try:
        document = yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise RuleFileError([f"not YAML{place}: {getattr(error, 'problem', None) or 'it cannot be read'}"]) from None
    except RecursionError:
        raise RuleFileError(["not YAML that can be read: nested too deeply"]) from None
    if not isinstance(document, dict) or set(document) != {"rules"} or not isinstance(document["rules"], list):
        raise RuleFileError(["the file must hold `rules:` and a list of rules, and nothing else"])
    rules: list[Rule] = []
    mistakes: list[str] = []
    for number, item in enumerate(document["rules"], start=1):
        try:
            rules.append(Rule.model_validate(item))
        except ValidationError as error:
            mistakes += [f"{_place(number, item)}: {mistake}" for mistake in mistakes_of(error)]
    ids = [rule.rule_id for rule in rules]
    mistakes += [f"rule_id: {rule_id!r} is there twice" for rule_id in sorted(set(ids)) if ids.count(rule_id) > 1]
    if mistakes:
        raise RuleFileError(mistakes)
    return rules


def mistakes_of(error: ValidationError) -> list[str]:
    """Return each mistake as "field: what is allowed"."""
    found = []
    for one in error.errors(include_url=False, include_input=False, include_context=False):
        message = str(one["msg"]).removeprefix("Value error, ")
        if one["type"] == "extra_forbidden":
            message = "there is no such field"
        place = ".".join(map(str, one["loc"]))
        found.append(f"{place}: {message}" if place else message)
    return found


def text_of(rules: Sequence[Rule]) -> str:
    """Write a file that `rules_of` reads back, without what is the default."""
    items: list[dict[str, Any]] = [rule.model_dump(mode="json", exclude_defaults=True) for rule in rules]
    return _HEAD + yaml.safe_dump({"rules": items}, sort_keys=False, allow_unicode=True, width=110)


def _place(number: int, item: object) -> str:
    name = item.get("rule_id") if isinstance(item, dict) else None
    return f"rule {number}" + (f" ({name})" if isinstance(name, str) else "")
