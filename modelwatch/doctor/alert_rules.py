"""The rules of alerts as the doctor reads them: without bringing the database up to date, which would change it.

Those that were written, over the built-in ones; where there is no database yet, or none answers, the built-in ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import sqlalchemy
from pydantic import ValidationError

from alerting.default_rules import DEFAULT_RULES
from alerting.rules import Rule
from modelwatch.settings import Settings
from modelwatch.urls import POSTGRES, history_url_of
from telemetry import StartError

_CONNECT_S = 3


def known_rules(settings: Settings) -> list[Rule]:
    """Return all rules, those that are turned off included."""
    rules = {rule.rule_id: rule for rule in DEFAULT_RULES} if settings.alerts.default_rules else {}
    for document in _documents(settings):
        try:
            rule = Rule.model_validate_json(document)
        except ValidationError:
            continue  # of another version
        rules[rule.rule_id] = rule
    return list(rules.values())


def _documents(settings: Settings) -> Sequence[str]:
    try:
        scheme, raw = history_url_of(settings)
        url = sqlalchemy.make_url(raw)
    except (StartError, sqlalchemy.exc.ArgumentError):
        return ()
    is_remote = scheme == POSTGRES
    if not is_remote and not Path(url.database or "").is_file():
        return ()  # to connect would make it
    engine = sqlalchemy.create_engine(url, connect_args={"connect_timeout": _CONNECT_S} if is_remote else {})
    try:
        with engine.connect() as connection:
            return connection.scalars(sqlalchemy.text("SELECT document FROM alert_rules")).all()
    except sqlalchemy.exc.SQLAlchemyError:
        return ()
    finally:
        engine.dispose()
