"""Foreign text made harmless for chats, mails and pagers: no markup, no mention, no link, no second line.

Names come from spans, so from strangers. The formats of chats differ, and what escapes in one shows in another; so
characters that mean something anywhere are exchanged for such as look alike and mean nothing. Pure.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from typing import Final, NamedTuple

NAME_CHARS: Final = 120
PROSE_CHARS: Final = 400
_ALIKE: Final = str.maketrans({"@": "＠", "<": "‹", ">": "›", "`": "ˋ"})
# Many chats read plain text as Markdown too.
_MARKUP: Final = str.maketrans({"*": "∗", "~": "∼", "[": "［", "]": "］", "|": "¦", "\\": "＼", "#": "＃"})
_EDGE_UNDERSCORE: Final = re.compile(r"(?<![^\W_])_+|_+(?![^\W_])")
_SCHEME: Final = re.compile(r":(?=//)|(?<=mailto):|(?<=javascript):|(?<=tel):", re.IGNORECASE)
_DOMAIN_DOT: Final = re.compile(r"(?<=[\w-])\.(?=[^\W\d_][\w-]*)")
_INVISIBLE: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


class Dialect(NamedTuple):
    """How a format is written: foreign names, foreign sentences, what stands out, an address of our own."""

    name: Callable[[str], str]
    prose: Callable[[str], str]
    strong: Callable[[str], str]


def one_line(text: str, chars: int) -> str:
    """Return the text without line breaks and invisible characters, and no longer than it may be."""
    # What follows can only grow with what is kept, so that a huge name costs little.
    text = text[: 4 * chars]
    seen = "".join([" " if char in "\n\r\t" else char for char in text if char in "\n\r\t" or _is_seen(char)])
    seen = " ".join(seen.split())
    return seen if len(seen) <= chars else f"{seen[: chars - 1]}…"


def _is_seen(char: str) -> bool:
    return unicodedata.category(char) not in _INVISIBLE


def plain(text: str, chars: int = NAME_CHARS) -> str:
    """Return text in which no program finds markup, mentions, tags or addresses."""
    text = one_line(text, chars).translate(_ALIKE).translate(_MARKUP)
    text = _EDGE_UNDERSCORE.sub("＿", _SCHEME.sub("∶", text))
    return _DOMAIN_DOT.sub("․", text)


def code(text: str) -> str:
    """Return a name as a code span of Markdown."""
    text = one_line(text, NAME_CHARS).translate(_ALIKE)
    return f"`{_SCHEME.sub('∶', text)}`" if text else "``"


def _prose(text: str) -> str:
    return plain(text, PROSE_CHARS)


PLAIN: Final = Dialect(plain, _prose, str)
MARKDOWN: Final = Dialect(code, _prose, lambda text: f"**{text}**")
