"""Patches between JSON values: what is sent instead of a whole value leads to the same value."""

from __future__ import annotations

from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from dash_app.push.patches import patch_of
from dash_app.push.picture import COMPRESSED, PLAIN, Picture

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats(allow_nan=False, allow_infinity=False) | st.text("ab"),
    lambda inner: st.lists(inner, max_size=8) | st.dictionaries(st.sampled_from("vold"), inner),
)


def patched(old: Any, patch: dict[str, Any]) -> Any:
    """Apply a patch as the browser does."""
    if "v" in patch:
        return patch["v"]
    if "o" in patch:
        made = dict(old) | {name: patched(old.get(name), part) for name, part in patch["o"].items()}
        return {name: value for name, value in made.items() if name not in patch.get("d", [])}
    drop, keep, changes, tail = patch["l"]
    made = old[drop : drop + keep]
    for index, part in changes.items():
        made[int(index)] = patched(made[int(index)], part)
    return made + tail


@given(_JSON, _JSON)
def test_patch_leads_to_the_new_value(old: Any, new: Any) -> None:
    """Letter by letter, whatever the two values are; and there is none between values that are the same."""
    patch = patch_of(old, new)
    found = old if patch is None else patched(old, orjson.loads(orjson.dumps(patch)))
    assert _ordered(found) == _ordered(new)
    assert patch_of(new, new) is None


def _ordered(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def test_list_that_moved_on_is_a_short_patch() -> None:
    """Of a course that lost its first step and got a new one, only the new one is sent."""
    assert patch_of(list(range(100)), list(range(1, 101))) == {"l": [1, 99, {}, [100]]}


def test_versions_are_told_apart() -> None:
    """Who knows the version before is sent what changed, who knows none is sent all; failures change no version."""
    picture = Picture()
    course = [0.5 * step for step in range(1000)]
    receipt = {"state": "filled"}
    for now in range(3):
        filling = {"course": {"data": course[now : now + 900]}, "title": {"children": "steady"}}
        picture.take({"page": "p", "receipt": receipt, "filling": filling, "figures": {}})
    assert picture.version == 3
    recent = picture.message_since(2)
    assert recent[:1] == PLAIN
    assert len(recent) < 200
    assert orjson.loads(recent[1:])["parts"] == [["filling", "course", "data", {"l": [1, 899, {}, [450.5]]}, True]]
    assert picture.message_since(0)[:1] == COMPRESSED
    picture.take({"page": "p", "receipt": {"state": "failed"}, "bar": {"badge": {"title": "3"}}})
    assert picture.version == 3
    assert orjson.loads(picture.message_since(3)[1:])["parts"] == [["bar", "badge", "title", "3", False]]
