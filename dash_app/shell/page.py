"""What a page is: a skeleton, the controls that its address keeps, and the one answer that fills it.

Each page's folder makes one `Page`; `pages.py` lists them; the shell shows the one whose path is open.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dash import Dash
from dash.development.base_component import Component

from alerting.rules import Signal
from dash_app.shared.charts import Figure
from dash_app.shell.filters import EVERY_FILTER
from dash_app.shell.view import View

Filling = Mapping[str, Mapping[str, Any]]
"""Values of properties, by the id of a component and the property's name."""


@dataclass(frozen=True, slots=True)
class Control:
    """A component whose value is a field of the address, so that a link shows the same to everybody.

    Without an `id` there is no component: only links set the field. With `table` it is the order of the AG Grid of that
    id: names of columns, the ones that are sorted by downwards with a "-" before them; as the table came without it.

    A field `is_asked` when the answer depends on it: its changes are entries of the browser's history and are asked
    about at once; others only change the address. A value that equals `default` is left out. With `choices` given,
    any other value is taken for the default.
    """

    field: str
    id: str | None = None
    property: str = "value"
    default: str | None = None
    is_asked: bool = True
    choices: tuple[str, ...] | None = None
    table: str | None = None


def order_of(table: str, field: str = "order") -> Control:
    """Return the control that keeps the order of a table; only the browser sorts."""
    return Control(field, is_asked=False, table=table)


@dataclass(frozen=True, slots=True)
class Question:
    """What an open page asks: the view of the shell, and the page's own fields of the address, unchecked text."""

    view: View
    fields: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Answer:
    """Everything that a page shows at one moment.

    `figures` are those of its charts, by their ids; all other values are in `filling`. Times are Unix seconds:
    `end_s` is what the clock shows, `newest_s` the latest second with data, by which silence is noticed, if the page
    is about data that keeps coming.
    """

    filling: Filling = field(repr=False)
    figures: Mapping[str, Figure] = field(default_factory=dict, repr=False)
    end_s: int | None = None
    newest_s: int | None = None
    why_empty: str | None = None
    """The reason why there is nothing to show, for people; empty text when there never was any data at all."""
    pace_s: float | None = None
    """Seconds to the next question, if they have nothing to do with the range."""
    is_of_now: bool = False
    """Whatever the range, it moves with the clock."""
    subject: str | None = None
    """The one service that the charts are about, where the question does not tell it; empty text if it is none."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page: `path` is its address, `title` its name in the navigation; ids of its components are its own.

    `answer` is asked once a beat while the page is open, and raises what `query` raises. `charts` are the ids of its
    graphs over time, which are zoomed together. `watched` says which of them shows what rules watch, so that alerts are
    marked there; `subject` is the one service that they are about, if it is one. `note` says at the foot what the
    figures are about. `filters` are those of the bar, by their fields in the address, that its question takes; of the
    others the bar says that they do not apply. Those of `stand_ins` do for as long as the page's own field that
    is named there is not given. One that `is_kept` stays drawn, unseen, while others are open; it must not hold
    anything that is written and not yet saved. `register` adds callbacks of its own, if there are any; Dash tells
    callbacks without an output apart by their inputs only.
    """

    name: str
    path: str
    title: str
    layout: Component = field(repr=False)
    answer: Callable[[Question], Awaitable[Answer]]
    controls: Sequence[Control] = ()
    charts: Sequence[str] = ()
    note: str | Callable[[], str] = "Cards and tables: over the whole range"
    filters: Collection[str] = EVERY_FILTER
    stand_ins: Mapping[str, str] = field(default_factory=dict)
    watched: Mapping[str, frozenset[Signal]] = field(default_factory=dict)
    subject: Callable[[Question], str | None] = lambda question: None
    is_kept: bool = False
    register: Callable[[Dash], None] = lambda dash: None


def place_of(page: Page) -> str:
    """Return the id of the place in the shell that the skeleton of the page is put into."""
    return f"place-{page.name}"
