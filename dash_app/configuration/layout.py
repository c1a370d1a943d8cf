"""The skeleton of the page of settings: what may be changed while running, and the list of all others.

Built once; `answer.py` fills the list.
"""

from __future__ import annotations

from typing import Final

import dash_mantine_components as dmc
from dash import html
from dash.development.base_component import Component

from dash_app.shared.components import PageLink, attributes

_WHILE_RUNNING: Final[tuple[tuple[str, str, tuple[str, dict[str, str | None]] | None], ...]] = (
    ("Alert rules", "by editors, on the page or by the API; count from the next round on", ("Rules", {"tab": "rules"})),
    ("Silences", "by editors, on the page or by the API; count at once", ("Silences", {"tab": "silences"})),
    (
        "Ingest keys",
        "the file that MODELWATCH_INGEST_KEYS_FILE names is read again: a key counts, or ends, within two seconds",
        None,
    ),
    (
        "Certificates of the receiver",
        "the files that MODELWATCH_RECEIVER__TLS_CERT_FILE and its like name are read again when they change",
        None,
    ),
    (
        "Dead letters",
        "modelwatch deadletters list, replay or drop, on a terminal",
        None,
    ),
)


def layout() -> Component:
    """Return the skeleton."""
    return html.Div([_while_running(), _all()], className="stack")


def _while_running() -> Component:
    rows = [
        html.Tr(
            [
                html.Th(what, scope="row"),
                html.Td(how, className="settings-words"),
                html.Td(PageLink("/alerts", link[0], "link-button", link[1]) if link else ""),
            ]
        )
        for what, how, link in _WHILE_RUNNING
    ]
    return html.Section(
        [
            html.Div(html.H2("May be changed while ModelWatch runs"), className="card-head table-head"),
            html.Div(html.Table(html.Tbody(rows), className="pipeline-table"), className="pipeline-scroll"),
        ],
        className="card settings-card",
    )


def _all() -> Component:
    head = html.Div(
        [
            html.H2(["Set at the start", html.Small("a change needs a restart", id="settings-count")]),
            dmc.TextInput(
                id="settings-filter",
                placeholder="Filter…",
                size="xs",
                debounce=250,
                **attributes(aria_label="Filter settings by name or description"),
            ),
            dmc.SegmentedControl(
                id="settings-show",
                data=[{"label": "Changed", "value": "changed"}, {"label": "All", "value": "all"}],
                value="changed",
                size="xs",
                **attributes(aria_label="Which settings"),
            ),
        ],
        className="card-head services-head",
    )
    return html.Section(
        [head, html.Div(id="settings-list", className="pipeline-scroll")], className="card settings-card"
    )
