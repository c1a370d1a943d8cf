"""What the page of settings shows: every setting, where it came from, and no secret."""

from __future__ import annotations

from pathlib import Path

from modelwatch.known_settings import known_settings
from modelwatch.settings import Settings
from modelwatch.settings_sources import leaves_of, load

SECRET = "hunter2-and-more"


def test_every_setting_is_there_with_its_source(tmp_path: Path) -> None:
    """From the environment over the file over the default."""
    file = tmp_path / "modelwatch.yaml"
    file.write_text("processor: {max_series: 77, group_items: 5}\napi: {port: 9000}\n")
    environ = {"MODELWATCH_CONFIG": str(file), "MODELWATCH_PROCESSOR__GROUP_ITEMS": "6"}
    found = {one.path: one for one in known_settings(load(Settings, environ), environ)}
    assert list(found) == [".".join(path) for path, _ in leaves_of(Settings)]
    max_series, group_items, interval = (
        found[f"processor.{name}"] for name in ("max_series", "group_items", "commit_interval_s")
    )
    assert (max_series.value, max_series.source, max_series.default) == ("77", "file", "50000")
    assert (group_items.value, group_items.source) == ("6", "environment")
    assert (interval.value, interval.source, interval.is_changed) == ("0.25", "default", False)
    assert found["api.port"].value == "9000"


def test_secrets_are_only_set_or_not(tmp_path: Path) -> None:
    """Alone, in lists, in files, in what lists are of, and in addresses of settings that are no secrets."""
    keys = tmp_path / "url"
    keys.write_text(f"postgresql+psycopg://u:{SECRET}@host/db")
    environ = {
        "MODELWATCH_DATABASE_URL_FILE": str(keys),
        "MODELWATCH_INGEST_KEYS": f"{SECRET},{SECRET}2",
        "MODELWATCH_CONTAINERS__HEADERS": f"x-key={SECRET}",
        "MODELWATCH_CONTAINERS__ENDPOINT": f"http://user:{SECRET}@host:4318",
        "MODELWATCH_ALERTS__CHANNELS": f'[{{"name": "a", "url": "slack://{SECRET}/b/c"}}]',
        "MODELWATCH_SELF_WATCH__CANARY_HEADERS": f"x-key={SECRET}",
    }
    found = {one.path: one for one in known_settings(load(Settings, environ), environ)}
    assert SECRET not in repr(found)
    for path in ("database_url", "ingest_keys", "containers.headers", "alerts.channels", "self_watch.canary_headers"):
        assert (found[path].value, found[path].source) == ("set", "environment"), path
    assert found["broker_url"].value == "not set"
    assert found["containers.endpoint"].value == "http://…@host:4318" or found["containers.endpoint"].is_secret
