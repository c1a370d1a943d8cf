"""Settings from the environment, a YAML file and defaults."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel, Field, SecretStr

from modelwatch.settings_sources import leaves_of, load, variable_of
from telemetry import StartError


class Inner(BaseModel, frozen=True, extra="forbid"):
    port: int = Field(4317, ge=0, le=65535)
    name: str = "a"


class Outer(BaseModel, frozen=True, extra="forbid"):
    inner: Inner = Inner()
    database_url: SecretStr | None = None
    keys: tuple[SecretStr, ...] = ()


def test_the_environment_wins_over_yaml_and_yaml_over_defaults(tmp_path: Path) -> None:
    """A leaf comes from the environment if it is there, else from the file, else from the default."""
    config = tmp_path / "modelwatch.yaml"
    config.write_text("inner: {port: 1, name: yaml}\n")
    settings = load(Outer, {"MODELWATCH_CONFIG": str(config), "MODELWATCH_INNER__PORT": "2"})
    assert (settings.inner.port, settings.inner.name) == (2, "yaml")
    assert load(Outer, {}).inner.port == 4317


def test_an_unknown_variable_is_refused_with_the_nearest_name() -> None:
    """A misspelt variable stops the start and the message suggests the one that was meant."""
    with pytest.raises(
        StartError, match=r"^MODELWATCH_INNER__PROT is not a setting; did you mean MODELWATCH_INNER__PORT\?$"
    ):
        load(Outer, {"MODELWATCH_INNER__PROT": "1"})


def test_an_unknown_key_in_the_file_is_refused(tmp_path: Path) -> None:
    """A key that is no setting is named by its place in the file."""
    config = tmp_path / "modelwatch.yaml"
    config.write_text("inner: {prot: 1}\n")
    with pytest.raises(StartError, match=r"^inner\.prot .* is not a setting"):
        load(Outer, {"MODELWATCH_CONFIG": str(config)})


def test_a_wrong_value_is_one_line_that_names_the_variable() -> None:
    """The message says which variable is wrong and why, on one line."""
    with pytest.raises(StartError) as caught:
        load(Outer, {"MODELWATCH_INNER__PORT": "many"})
    assert str(caught.value).startswith("MODELWATCH_INNER__PORT: ")
    assert "\n" not in str(caught.value)


def test_a_secret_can_come_from_a_file_and_is_not_shown(tmp_path: Path) -> None:
    """The ..._FILE form of a secret reads it, without the final newline; printing the settings hides it."""
    secret = tmp_path / "url"
    secret.write_text("postgresql://u:hunter2@h/db\n")
    settings = load(Outer, {"MODELWATCH_DATABASE_URL_FILE": str(secret)})
    assert settings.database_url is not None
    assert settings.database_url.get_secret_value() == "postgresql://u:hunter2@h/db"
    assert "hunter2" not in repr(settings)


def test_a_file_form_of_what_is_no_secret_is_unknown() -> None:
    """Only secrets have a ..._FILE form."""
    with pytest.raises(StartError, match="is not a setting"):
        load(Outer, {"MODELWATCH_INNER__PORT_FILE": "/nowhere"})


def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    """A secret's file that is missing, and a configuration that is missing or no YAML, stop the start by name."""
    with pytest.raises(StartError, match="MODELWATCH_DATABASE_URL_FILE"):
        load(Outer, {"MODELWATCH_DATABASE_URL_FILE": str(tmp_path / "none")})
    with pytest.raises(StartError, match="MODELWATCH_CONFIG"):
        load(Outer, {"MODELWATCH_CONFIG": str(tmp_path / "none.yaml")})
    broken = tmp_path / "broken.yaml"
    broken.write_text("a: [")
    with pytest.raises(StartError, match=r"broken\.yaml cannot be read \(no YAML at line 1"):
        load(Outer, {"MODELWATCH_CONFIG": str(broken)})


def test_a_broken_file_does_not_show_its_secrets(tmp_path: Path) -> None:
    """The line that cannot be read is named by its place and never repeated."""
    broken = tmp_path / "broken.yaml"
    broken.write_text("database_url: amqp://u:hunter2: x@host/\n")
    with pytest.raises(StartError) as caught:
        load(Outer, {"MODELWATCH_CONFIG": str(broken)})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("text", ["a: !!timestamp x", "a: 2026-13-45", "a: !!int b", "[" * 3_000])
def test_a_file_that_no_yaml_can_be_is_named(tmp_path: Path, text: str) -> None:
    """Whatever YAML makes of it, the start is stopped by one line."""
    broken = tmp_path / "broken.yaml"
    broken.write_text(text)
    with pytest.raises(StartError, match=r"^[^\n]*broken\.yaml cannot be read \(no YAML[^\n]*$"):
        load(Outer, {"MODELWATCH_CONFIG": str(broken)})


def test_a_secret_that_became_a_name_is_not_shown(tmp_path: Path) -> None:
    """Without the space after its colon a value is part of the name."""
    config = tmp_path / "modelwatch.yaml"
    config.write_text("{inner: {port: 1}, database_url:postgresql://u:hunter2@h/db}\n")
    with pytest.raises(StartError, match="space after each colon") as caught:
        load(Outer, {"MODELWATCH_CONFIG": str(config)})
    assert "hunter2" not in str(caught.value)


def test_the_variables_of_the_test_suite_are_left_alone() -> None:
    """MODELWATCH_TEST_... and names without the prefix are no settings and no mistakes."""
    assert load(Outer, {"MODELWATCH_TEST_REDIS_URL": "x", "OTHER": "y"}) == Outer()


def test_every_leaf_has_a_variable() -> None:
    """The tree's leaves and their variables are known without an instance."""
    assert [variable_of(path) for path, _ in leaves_of(Outer)] == [
        "MODELWATCH_INNER__PORT",
        "MODELWATCH_INNER__NAME",
        "MODELWATCH_DATABASE_URL",
        "MODELWATCH_KEYS",
    ]
