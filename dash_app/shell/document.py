"""The HTML document that every page begins with, and what the browser must know before anything is drawn.

Used by `component.py`; `assets/address.js` reads the facts.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from typing import Final

from dash.fingerprint import build_fingerprint

from dash_app.settings import DashSettings
from dash_app.shell.filters import FILTERS
from dash_app.shell.page import Control, Page
from dash_app.shell.top_bar import CONTROLS
from dash_app.shell.view import EARLIEST_S, LONGEST_S, SHORTEST_S, WIDE_PX

_DOCUMENT: Final = """<!DOCTYPE html>
<html lang="en" data-mantine-color-scheme="dark">
  <head>
    {%metas%}
    <title>{%title%}</title>
    <link rel="icon" type="image/svg+xml" href="BASE/assets/logo.svg">
    <script src="BASE/assets/color-scheme.js"></script>
    <script type="application/json" id="facts">FACTS</script>
    <link rel="preload" as="script" id="plotly" href="BASE/PLOTLY">
    {%css%}
  </head>
  <body>
    {%app_entry%}
    <footer hidden>
      {%config%}
      {%scripts%}
      {%renderer%}
    </footer>
  </body>
</html>"""


def document(pages: Sequence[Page], settings: DashSettings, push_path: str | None = None, base_path: str = "") -> str:
    """Return the document with Dash's placeholders."""
    facts = {
        "answerTimeoutS": settings.answer_timeout_s,
        "basePath": base_path,
        "pushPath": push_path,
        "wideFromPx": WIDE_PX,
        "chosenTime": {"shortestS": SHORTEST_S, "longestS": LONGEST_S, "earliestS": EARLIEST_S},
        "controls": _controls(CONTROLS),
        "filters": [{"field": one.field, "id": one.id, "title": one.title} for one in FILTERS],
        "pages": [
            {
                "name": page.name,
                "path": page.path,
                "title": page.title,
                "controls": _controls(page.controls),
                "charts": list(page.charts),
                "isKept": page.is_kept,
                "filters": sorted(page.filters),
                "standIns": dict(page.stand_ins),
            }
            for page in pages
        ],
    }
    # A browser ends the element at "</script"; an escaped "<" is the same letter to JSON.
    text = _DOCUMENT.replace("BASE", base_path).replace("PLOTLY", _plotly())
    return text.replace("FACTS", json.dumps(facts).replace("<", "\\u003c"))


def _plotly() -> str:
    """Return the path of Plotly, which browsers keep for as long as its version stays.

    Without a graph of its own on the page Dash does not load it, and with one only once the page is drawn.
    """
    path = "_dash-component-suites/plotly/package_data/plotly.min.js"
    return str(build_fingerprint(path, version("plotly"), 0))  # type: ignore[no-untyped-call]


def _controls(controls: Sequence[Control]) -> list[dict[str, object]]:
    return [asdict(control) for control in controls]
