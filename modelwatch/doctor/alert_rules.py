"""Rules and channels of alerts as the doctor reads them: without bringing the database up to date, as it would change.

Where there is no database yet, or none answers, those are known that are there without one.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import sqlalchemy
from pydantic import ValidationError

from alerting.channels.given import channel_in
from alerting.channels.settings import ChannelSettings
from alerting.default_rules import DEFAULT_RULES
from alerting.rules import Rule
from modelwatch.settings import Settings
from modelwatch.urls import POSTGRES, history_url_of
from telemetry import StartError

_CONNECT_S = 3


def known_rules(settings: Settings) -> list[Rule]:
    """Return all rules, those that are turned off included: those that were written over the built-in ones."""
    rules = {rule.rule_id: rule for rule in DEFAULT_RULES} if settings.alerts.default_rules else {}
    for (document,) in _read(settings, "SELECT document FROM alert_rules"):
        try:
            rule = Rule.model_validate_json(document)
        except ValidationError:
            continue  # of another version
        rules[rule.rule_id] = rule
    return list(rules.values())


def made_channels(settings: Settings) -> dict[str, ChannelSettings | None]:
    """Return the channels that were made while running, by name; `None` for what another version wrote."""
    given = {channel.name for channel in settings.alerts.channels}
    rows = _read(settings, "SELECT name, document FROM alert_channels ORDER BY name")
    return {name: channel_in(name, document) for name, document in rows if name not in given}


def _read(settings: Settings, statement: str) -> Sequence[Sequence[str]]:
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
            return [tuple(row) for row in connection.execute(sqlalchemy.text(statement))]
    except sqlalchemy.exc.SQLAlchemyError:
        return ()
    finally:
        engine.dispose()
