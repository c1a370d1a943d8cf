"""The answer that fills the page of containers: one snapshot, drawn.

Asked for by the shell once a beat.
"""

from __future__ import annotations

from typing import Final

from dash_app.containers import cards
from dash_app.containers.choice import Choice
from dash_app.containers.rows import rows_of
from dash_app.containers.snapshot import Snapshot
from dash_app.shared import resource_charts as charts
from dash_app.shared.legend import legend
from dash_app.shared.names import visible
from dash_app.shell.filters import words_of
from dash_app.shell.page import Answer
from dash_app.shell.view import search_of
from query import Resource

_LEGEND_NAMES: Final = 3


def answer_of(snapshot: Snapshot) -> Answer:
    """Return everything on the page, or the reason why it is empty."""
    choice, answer = snapshot.choice, snapshot.answer
    if not answer.items:
        return Answer({}, {}, answer.end_s, None, _why_empty(snapshot))
    chosen = cards.chosen_in(snapshot)
    charted = (chosen,) if chosen is not None else charts.busiest(snapshot.shown)
    colours = charts.colours_of(charted, answer.items)
    revision = f"{search_of(choice.view)} {choice.resource} {choice.only} {choice.of}"
    words = cards.chosen_words(choice, chosen)
    note = cards.chosen_note(snapshot, chosen) if choice.resource is not None else ""
    entries = [(visible(one.identity.name), colours[one.identity.id]) for one in charted]
    return Answer(
        filling={
            "containers-summary": {"content": cards.summary(snapshot.shown)},
            "containers-table": {"rowData": rows_of(snapshot)},
            "containers-chosen": {"hidden": not words and not note},
            "containers-chosen-name": {"children": words},
            "containers-chosen-note": {"children": note},
            "containers-cpu-legend": {"content": legend(entries[:_LEGEND_NAMES])},
            "containers-incomplete": {
                "children": "" if answer.is_complete else "Only those that use the most are shown."
            },
        },
        figures={
            "containers-cpu": charts.cpu(answer, charted, colours, revision),
            "containers-memory": charts.memory(answer, charted, colours, revision),
            "containers-throttling": charts.throttling(answer, charted, colours, revision),
        },
        end_s=answer.end_s,
        newest_s=max(one.last_seen_s for one in answer.items),
        subject=_subject(choice, chosen),
    )


def _subject(choice: Choice, chosen: Resource | None) -> str | None:
    """Return the service whose alerts concern what is charted; `None` if those of all do."""
    if chosen is not None:
        return chosen.owner.service
    return choice.only if choice.of == "service" else choice.view.where.service_name


def _why_empty(snapshot: Snapshot) -> str:
    view = snapshot.choice.view
    return (
        f"No container or process was measured{words_of(view.where)} in {view.range.words}. Run modelwatch "
        "containers on their host, or let a Collector send docker_stats, kubeletstats or hostmetrics: "
        "see docs/containers.md."
    )
