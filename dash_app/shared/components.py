"""Our own small components, drawn by `assets/components.js`: a sparkline, an icon, the link to a page, and so on.

Dash resolves a component by namespace and type among the browser's globals, so an asset is enough: no build step.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from dash.development.base_component import Component

IconName = Literal["sun", "moon"]

_NAMESPACE: Final = "modelwatch_components"
"""The browser's global that `assets/components.js` defines."""


def attributes(**named: str) -> dict[str, Any]:
    """Return HTML attributes whose names have dashes from names with underscores: `aria_label="Pages"`."""
    return {name.replace("_", "-"): value for name, value in named.items()}


class _Own(Component):
    """What Dash asks of every component, for one that has an asset instead of a package."""

    def __init__(self, **properties: Any) -> None:
        self._prop_names = ["id", *(name for name in properties if name != "id")]
        self._valid_wildcard_attributes = []
        self.available_properties = self._prop_names
        self.available_wildcard_properties = []
        super().__init__(**properties)  # type: ignore[no-untyped-call]


class Sparkline(_Own):
    """The course of a figure without axes. `values` may have gaps (`None`); `colour` names a colour of the theme.

    `is_from_zero` keeps the lower edge at zero instead of the smallest value.
    """

    _namespace = _NAMESPACE
    _type = "Sparkline"

    def __init__(self, values: Sequence[float | None], colour: str = "accent", is_from_zero: bool = True) -> None:
        drawn = [None if value is None else float(f"{value:.4g}") for value in values]
        super().__init__(values=drawn, colour=colour, is_from_zero=is_from_zero)


class Icon(_Own):
    """A small picture in the colour of the text around it; decoration only, so it is hidden from screen readers."""

    _namespace = _NAMESPACE
    _type = "Icon"

    def __init__(self, name: IconName) -> None:
        super().__init__(name=name)


class PageLink(_Own):
    """A link to another page or to another view of this one, followed without a reload.

    It keeps what is chosen for all pages; `fields` are added to the address, and those that are `None` left out.
    `key` tells it apart from others in a `Lasting`.
    Where it leads to the page that is open, screen readers are told so.
    """

    _namespace = _NAMESPACE
    _type = "PageLink"

    def __init__(
        self,
        path: str,
        children: str | Sequence[Component],
        class_name: str,
        fields: Mapping[str, str | None] | None = None,
        key: str | None = None,
    ) -> None:
        shown = children if isinstance(children, str) else list(children)
        named = {} if key is None else {"key": key}
        super().__init__(children=shown, path=path, className=class_name, fields=dict(fields or {}), **named)


class Lasting(_Own):
    """Parts that answers renew, drawn into the nodes that are there already: a press, the focus and a selection last.

    Dash makes `children` anew at every change. `content` holds HTML and components of this module, without ids; where
    entries come and go, their `key` tells them apart. With `label` it is a section with that name.
    """

    _namespace = _NAMESPACE
    _type = "Lasting"

    def __init__(self, name: str, class_name: str, content: Sequence[Component] = (), label: str | None = None) -> None:
        super().__init__(id=name, className=class_name, content=list(content), label=label)


class Fold(_Own):
    """A line that opens to what is below it. Which of them are open is a field of the address, by their names."""

    _namespace = _NAMESPACE
    _type = "Fold"

    def __init__(self, field: str, name: str, line: Component, below: Component, class_name: str) -> None:
        super().__init__(children=[line, below], field=field, name=name, className=class_name, key=name)


class TimePicker(_Own):
    """The choice of any range of time, and the way back to now from one that was chosen."""

    _namespace = _NAMESPACE
    _type = "TimePicker"

    def __init__(self) -> None:
        super().__init__(className="time-picker")


class Chart(_Own):
    """A chart with the id `name`. The figures of answers are drawn into it by `assets/drawing.js`, past Dash."""

    _namespace = _NAMESPACE
    _type = "Chart"

    def __init__(self, name: str) -> None:
        super().__init__(id=name, className="drawn")


class CsvButton(_Own):
    """A button that saves what a chart or a table shows as a file of comma-separated values; `of` is the id of it.

    With `columns` it is any part of the page, of which those elements are rows that carry a `csv_row`.
    """

    _namespace = _NAMESPACE
    _type = "CsvButton"

    def __init__(self, of: str, columns: Sequence[str] = ()) -> None:
        super().__init__(of=of, className="csv-button", columns=list(columns))


def csv_row(*values: Any) -> dict[str, Any]:
    """Return the attribute of an element that is a row of a file: numbers as they are, times in milliseconds."""
    return {"data-csv": json.dumps(values, ensure_ascii=False)}


class ValueEditor(_Own):
    """A value in a list that answers renew, which somebody may write anew: saving puts `action` with the new value
    into the store with the id `store`. What is being written is left alone until there is another `version`.

    With `confirm` saving what is not at least `asks_below` only asks at first, in these words, with the new value in
    the place of `{}`. `units` are how a number may be written, by what each is.
    """

    _namespace = _NAMESPACE
    _type = "ValueEditor"

    def __init__(
        self,
        store: str,
        action: Mapping[str, Any],
        value: str,
        label: str,
        version: int,
        choices: Sequence[str] | None = None,
        *,
        confirm: str = "",
        asks_below: float = 0,
        units: Mapping[str, float] | None = None,
    ) -> None:
        given: dict[str, Any] = {"choices": list(choices)} if choices else {}
        if confirm:
            given |= {"confirm": confirm, "asksBelow": asks_below, "units": dict(units or {})}
        super().__init__(store=store, action=dict(action), value=value, label=label, version=version, **given)


class Moment(_Own):
    """A Unix second as date and time in the reader's zone."""

    _namespace = _NAMESPACE
    _type = "Moment"

    def __init__(self, second: int) -> None:
        super().__init__(second=second)


class ActionButton(_Own):
    """A button in a list that answers renew: a click puts `action` into the store with the id `store`.

    With `confirm` the first click only asks, in these words. `is_pressed` makes a switch of it.
    """

    _namespace = _NAMESPACE
    _type = "ActionButton"

    def __init__(
        self,
        store: str,
        action: Mapping[str, Any],
        text: str,
        class_name: str,
        *,
        label: str,
        confirm: str = "",
        is_pressed: bool | None = None,
    ) -> None:
        super().__init__(
            store=store,
            action=dict(action),
            text=text,
            className=class_name,
            label=label,
            confirm=confirm,
            isPressed=is_pressed,
        )
