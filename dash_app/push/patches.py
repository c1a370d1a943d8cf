"""What changed between two JSON values, in few bytes: charts and tables that moved on by a step are mostly as before.

Pure; made by `picture.py`, applied by `assets/push.js`.

A patch is one of
- `{"v": value}`: this instead;
- `{"o": {name: patch}, "d": [name]}`: an object in which these names changed, and those are gone;
- `{"l": [drop, keep, {index: patch}, tail]}`: a list without its first `drop` elements, of which `keep` are kept, those
  at these indexes (of what is kept) changed, and `tail` behind them.
"""

from __future__ import annotations

from typing import Any, Final

Patch = dict[str, Any]

_LONGEST_SHIFT: Final = 8
_SCALARS: Final = (str, int, float, bool, type(None))


def patch_of(old: Any, new: Any) -> Patch | None:
    """Return what makes `new` of `old`, or nothing when they are the same. Both are as a JSON parser returns them."""
    if isinstance(old, dict) and isinstance(new, dict):
        return _patch_of_object(old, new)
    if isinstance(old, list) and isinstance(new, list):
        return _patch_of_list(old, new)
    if type(old) is type(new) and old == new:
        return None
    return {"v": new}


def _patch_of_object(old: dict[str, Any], new: dict[str, Any]) -> Patch | None:
    changed: dict[str, Patch] = {}
    for name, value in new.items():
        if name not in old:
            changed[name] = {"v": value}
        elif (patch := patch_of(old[name], value)) is not None:
            changed[name] = patch
    gone = [name for name in old if name not in new]
    if not changed and not gone:
        return None
    return {"o": changed, "d": gone} if gone else {"o": changed}


def _patch_of_list(old: list[Any], new: list[Any]) -> Patch | None:
    if _is_plain(old) and _is_plain(new):
        return _patch_of_scalars(old, new)
    keep = min(len(old), len(new))
    changed: dict[str, Patch] = {}
    for index in range(keep):
        if (patch := patch_of(old[index], new[index])) is not None:
            changed[str(index)] = patch
    if not changed and len(old) == len(new):
        return None
    return {"l": [0, keep, changed, new[keep:]]}


def _is_plain(values: list[Any]) -> bool:
    """Tell whether all are scalars that Python compares as JSON does: to Python `True` is 1."""
    kinds = set(map(type, values))
    return kinds.issubset(_SCALARS) and bool not in kinds


def _patch_of_scalars(old: list[Any], new: list[Any]) -> Patch | None:
    if old == new:
        return None
    drop, keep = max(((drop, _same(old, new, drop)) for drop in range(_LONGEST_SHIFT + 1)), key=lambda found: found[1])
    if 2 * keep < len(new):
        return {"v": new}
    return {"l": [drop, keep, {}, new[keep:]]}


def _same(old: list[Any], new: list[Any], drop: int) -> int:
    """Return how many elements are the same from the `drop`th of the old list and from the start of the new one."""
    longest = max(min(len(old) - drop, len(new)), 0)
    if old[drop : drop + longest] == new[:longest]:
        return longest
    return next(index for index in range(longest) if old[drop + index] != new[index])
