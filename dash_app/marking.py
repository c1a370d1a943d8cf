"""Puts the marks of alerts on the charts of a page that show what rules watch.

Wraps the answer of a page, so that pages need only say which of their charts shows what.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

import structlog

from alerting.rules import RED_SIGNALS, Rule, Signal
from dash_app.shared.alert_marks import Band, marked
from dash_app.shared.alert_news import AlertNews, Episode
from dash_app.shared.charts import Figure
from dash_app.shared.names import visible
from dash_app.shell.filters import may_be_of
from dash_app.shell.page import Answer, Page, Question
from query import SeriesFilter
from telemetry import REQUEST_KINDS

log = structlog.get_logger(__name__)

_LONGEST_NAME: Final = 40


def with_marks(page: Page, news: AlertNews) -> Page:
    """Return the page with marks on the charts that it names in `watched`."""
    if not page.watched:
        return page

    async def answer(question: Question) -> Answer:
        found = await page.answer(question)
        span = _span(page, found.figures)
        if span is None:
            return found
        try:
            episodes, rules = await news.episodes(*span), await news.rules()
        except Exception as error:
            log.warning("alerts not marked", page=page.name, error=repr(error))
            return found  # the figures are right without them
        subject = page.subject(question) if found.subject is None else found.subject
        figures = marked_figures(found.figures, page.watched, episodes, rules, question.view.where, subject)
        return replace(found, figures=figures)

    return replace(page, answer=answer)


def _span(page: Page, figures: Mapping[str, Figure]) -> tuple[int, int] | None:
    ranges = [figures[chart]["layout"]["xaxis"].get("range") for chart in page.watched if chart in figures]
    if not ranges or None in ranges:
        return None
    return min(low for low, _ in ranges) // 1000, -(-max(high for _, high in ranges) // 1000)


def marked_figures(
    figures: Mapping[str, Figure],
    watched: Mapping[str, frozenset[Signal]],
    episodes: Sequence[Episode],
    rules: Mapping[str, Rule],
    where: SeriesFilter,
    service: str | None,
) -> dict[str, Figure]:
    """Return the figures, marked with the alerts that concern each: those that the filter does not keep out.

    Of a `service` only its own.
    """
    done = dict(figures)
    for chart, signals in watched.items():
        if chart in figures:
            bands = [
                _band(one, rules[one.rule_id], service)
                for one in episodes
                if one.rule_id in rules
                and rules[one.rule_id].signal in signals
                and _is_of_requests(rules[one.rule_id])
                and may_be_of(where, one.labels)
                and (service is None or one.labels.get("service") == service)
            ]
            done[chart] = marked(figures[chart], bands)
    return done


def _is_of_requests(rule: Rule) -> bool:
    """Tell whether a rule is about what the charts show, not about what is asked of others or the steps of a model."""
    return rule.signal not in RED_SIGNALS or not rule.span_kinds.isdisjoint(REQUEST_KINDS)


def _band(episode: Episode, rule: Rule, service: str | None) -> Band:
    name = episode.labels.get("service", "")
    short = name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"
    label = f"{visible(short)}: {rule.name}" if service is None and name else rule.name
    return Band(episode.severity, episode.started_s, episode.ended_s, label)
