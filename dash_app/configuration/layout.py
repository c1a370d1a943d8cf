"""The skeleton of the page of settings: what may be changed while running, and the list of all others.

Built once; `answer.py` fills the list.
"""

from __future__ import annotations

from typing import Final

import dash_mantine_components as dmc
from dash import dcc, html
from dash.development.base_component import Component

from dash_app.configuration.answer import SETTING_COLUMNS
from dash_app.configuration.live import CHANGES_COLUMNS, STORE
from dash_app.shared.components import CsvButton, Lasting, PageLink, attributes
from dash_app.shared.editing import editors_only, why_disabled

_WHILE_RUNNING: Final[tuple[tuple[str, str, tuple[str, str, dict[str, str | None]] | None], ...]] = (
    (
        "Alert rules",
        "by editors, on the page or by the API; count from the next round on",
        ("Rules", "/alerts", {"tab": "rules"}),
    ),
    ("Silences", "by editors, on the page or by the API; count at once", ("Silences", "/alerts", {"tab": "silences"})),
    (
        "Channels of alerts",
        "made, changed and removed by editors, on the page or by the API; count within seconds. Those of the "
        "configuration need a restart",
        ("Channels", "/alerts", {"tab": "channels"}),
    ),
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
    ("Users and tokens", "modelwatch users and modelwatch tokens, on a terminal; count within seconds", None),
    (
        "Dead letters",
        "looked at by all and sent again by editors on the page of the pipeline; dropped with modelwatch deadletters",
        ("Pipeline", "/pipeline", {}),
    ),
)


def layout(*, can_change: bool) -> Component:
    """Return the skeleton."""
    live = [_live(), _changes()] if can_change else []
    heading = html.H1("Settings", className="only-read")
    return html.Div([heading, *live, _all(), _while_running()], className="stack")


def _live() -> Component:
    head = html.Div(
        [html.H2(["May be changed while ModelWatch runs", html.Small(id="settings-live-count")])],
        className="card-head table-head",
    )
    words = (
        "A change holds within seconds in every process with the database, over what it was started with, and outlasts "
        "restarts. Receivers, containers and exporters have no database: they keep what they were started with, also "
        "their level of the log. Times may be written as 90s, 36h or 7d, sizes as 500MiB or 2GiB."
    )
    return html.Section(
        [
            dcc.Store(id=STORE),
            why_disabled(),
            html.Div(
                [
                    head,
                    html.P(words, className="settings-note"),
                    editors_only(Lasting("settings-live", "settings-lives", label="Settings that may be changed")),
                ],
                className="card settings-card",
            ),
            # Below, so that it sticks to the lower edge of the screen for as long as an editor is in sight.
            html.Div(id="settings-outcome", className="alerts-outcome", role="status"),
        ],
        className="stack",
    )


def _changes() -> Component:
    head = html.Div(
        [html.H2(["Changes", html.Small("the latest")]), CsvButton("settings-changes", CHANGES_COLUMNS)],
        className="card-head table-head",
    )
    return html.Section([head, _scrolling("Changes", Lasting("settings-changes", ""))], className="card settings-card")


def _scrolling(title: str, table: Component) -> Component:
    """What is wider than a phone can be moved by keyboard too."""
    return html.Div(table, className="pipeline-scroll", tabIndex="0", role="region", **attributes(aria_label=title))


def _while_running() -> Component:
    rows = [
        html.Tr(
            [
                html.Th(what, scope="row"),
                html.Td(how, className="settings-words"),
                html.Td(PageLink(link[1], link[0], "link-button", link[2]) if link else ""),
            ]
        )
        for what, how, link in _WHILE_RUNNING
    ]
    return html.Section(
        [
            html.Div(html.H2("What else may be changed while ModelWatch runs"), className="card-head table-head"),
            _scrolling("What else may be changed", html.Table(html.Tbody(rows), className="pipeline-table")),
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
            CsvButton("settings-list", SETTING_COLUMNS),
        ],
        className="card-head services-head",
    )
    return html.Section(
        [head, _scrolling("Set at the start", Lasting("settings-list", ""))], className="card settings-card"
    )
