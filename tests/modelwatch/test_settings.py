"""The settings tree as it is shipped, and its documentation."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelwatch.settings import Settings
from modelwatch.settings_docs import render
from modelwatch.settings_sources import leaves_of, load
from modelwatch.urls import alerting_settings_of
from telemetry import StartError

PAGE = Path(__file__).parent.parent.parent / "docs" / "settings.md"


def test_the_documentation_is_what_the_settings_are() -> None:
    """docs/settings.md is up to date; `python -m modelwatch.settings_docs > docs/settings.md` renews it."""
    assert PAGE.read_text(encoding="utf-8") == render()


def test_every_setting_is_described() -> None:
    """No setting is without a sentence that says what it does."""
    assert [path for path, field in leaves_of(Settings) if not field.description] == []


def test_the_defaults_are_closed() -> None:
    """Without any setting everything listens on loopback only."""
    settings = load(Settings, {})
    assert {settings.receiver.host, settings.api.host, settings.health.host} == {"127.0.0.1"}


def test_ingest_keys_are_separated_by_commas() -> None:
    """Several keys come in one variable, and none of them shows when the settings are printed."""
    settings = load(Settings, {"MODELWATCH_INGEST_KEYS": "key-one, key-two"})
    assert [key.get_secret_value() for key in settings.ingest_keys] == ["key-one", "key-two"]
    assert "key-one" not in repr(settings)


@pytest.mark.parametrize("text", ["", "\n", "key,", ",", "a, ,b"])
def test_an_empty_ingest_key_is_refused(text: str) -> None:
    """A key that is empty, as from an empty variable, stops the start instead of opening the receiver."""
    with pytest.raises(StartError, match="MODELWATCH_INGEST_KEYS"):
        load(Settings, {"MODELWATCH_INGEST_KEYS": text})


def test_the_file_of_the_ingest_keys_is_a_path(tmp_path: Path) -> None:
    """It is not read with the settings, like other secrets' files, because the receiver reads it again and again."""
    settings = load(Settings, {"MODELWATCH_INGEST_KEYS_FILE": str(tmp_path / "keys")})
    assert (settings.ingest_keys, settings.ingest_keys_file) == ((), tmp_path / "keys")


@pytest.mark.parametrize("variable", ["MODELWATCH_RECEIVER__GRPC_PORT", "MODELWATCH_API__PORT"])
def test_a_port_that_is_none_is_refused_by_name(variable: str) -> None:
    """A port out of range stops the start with a line that names its variable."""
    with pytest.raises(StartError, match=f"^{variable}: "):
        load(Settings, {variable: "70000"})


def test_a_batch_is_known_for_as_long_as_it_may_count() -> None:
    """Otherwise one that comes again late would count twice."""
    with pytest.raises(StartError, match="max_late_s"):
        load(Settings, {"MODELWATCH_STORAGE__BATCH_IDS_RETENTION_S": "3600"})
    assert load(Settings, {"MODELWATCH_STORAGE__BATCH_IDS_RETENTION_S": "169200"}).storage.batch_ids_retention_s


def test_links_of_alerts_lead_below_the_base_path() -> None:
    """Where no address of the pages is told; with one, that is it."""
    path, url = {"MODELWATCH_API__BASE_PATH": "/modelwatch/"}, {"MODELWATCH_ALERTS__PAGE_URL": "https://example.com/mw"}
    for environ, begins in (({}, ""), (path, "/modelwatch"), ({**path, **url}, "https://example.com/mw")):
        assert alerting_settings_of(load(Settings, environ)).page_url == begins
