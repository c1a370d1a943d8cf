"""Mistakes in the list of targets stop the start with one line that repeats no secret."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from modelwatch.roles import assemble_role
from modelwatch.settings import Settings
from modelwatch.settings_sources import load
from otlp_exporter.derived.settings import DerivedSettings
from otlp_exporter.settings import ExporterSettings
from otlp_exporter.target_settings import TargetSettings
from telemetry import StartError


@pytest.mark.parametrize(
    ("targets", "said"),
    [
        ("[{name: a}]", "Field required"),
        ("[{name: a, endpoint: 'ftp://host'}]", "https://host:port"),
        ("[{name: a, endpoint: 'http://user:s3cret@host'}]", "headers_file"),
        ("[{name: a, endpoint: 'http://host:4317/path'}]", "has a path"),
        ("[{name: a, endpoint: 'http://host:4317', headers: {'a b': s3cret}}]", "header"),
        ("[{name: a, endpoint: 'http://host:4317', ca_file: x}]", "https://"),
        ("[{name: a, endpoint: 'http://h:1'}, {name: a, endpoint: 'http://h:2'}]", "same name"),
        ("[{name: a, endpoint: 'http://h:1', colour: red}]", "not a setting"),
        ("[{name: a, endpoint: 'http://h:1', signals: []}]", "signals is empty"),
        ("[{name: a, endpoint: 'http://h:1', derived: {bounds_s: [2, 1]}}]", "rise"),
        ("[{name: a, endpoint: 'http://h:1', derived: {bounds_s: [.inf]}}]", "finite"),
        ("[{name: a, endpoint: 'http://h:1', derived: {bounds_s: [1, .nan]}}]", "finite"),
        ("[{name: a, endpoint: 'http://exa mple:4317'}]", "https://host:port"),
        ('[{name: a, endpoint: "http://exa\\nmple:4317"}]', "https://host:port"),
        ("[{name: a, endpoint: 'http://exa,mple:4317'}]", "https://host:port"),
        ("[{name: a, endpoint: 'http://h:0'}]", "a port that is none"),
        ("[{name: a, endpoint: 'http://h:70000'}]", "a port that is none"),
        ("[{name: a, endpoint: 'http://h:1'}, {name: b, endpoint: 'http://h:0'}]", "TARGETS, item 2, endpoint: "),
        ("[{name: a, endpoint: 'http://h:1', derived: {bounds_s: [0]}}]", "TARGETS, item 1, derived, bounds_s: "),
        ("[{name: a, endpoint: 'http://h:1', derived: {bounds_s: [x]}}]", "item 1, derived, bounds_s, item 1: "),
        ("[{name: a s3cret", "as YAML"),
    ],
)
def test_a_mistake_is_one_line(targets: str, said: str) -> None:
    """It names the setting and what to do."""
    with pytest.raises(StartError) as raised:
        load(Settings, {"MODELWATCH_EXPORTER__TARGETS": targets})
    text = str(raised.value)
    assert said in text
    assert "EXPORTER" in text
    assert "s3cret" not in text
    assert "\n" not in text


@pytest.mark.parametrize("endpoint", ["http://[::1]:4317", "https://my_host.example-1.com", "http://10.0.0.1:4317/"])
def test_an_address_is_taken(endpoint: str) -> None:
    """Names, with underscores as Compose has them, and addresses of both kinds."""
    assert TargetSettings(name="a", endpoint=endpoint).address[0] in endpoint


def test_targets_come_from_a_file_too(tmp_path: Path) -> None:
    """As secrets do; headers do not show."""
    path = tmp_path / "targets"
    path.write_text("[{name: a, endpoint: 'https://h', headers: {Authorization: Basic s3cret}}]")
    settings = load(Settings, {"MODELWATCH_EXPORTER__TARGETS_FILE": str(path)})
    [target] = settings.exporter.targets
    assert target.all_headers() == {"authorization": "Basic s3cret"}
    assert "s3cret" not in repr(settings)


def test_a_circle_is_refused(tmp_path: Path) -> None:
    """`up` does not forward to its own receiver."""
    here = "[{name: me, endpoint: 'http://localhost:4317'}]"
    settings = load(Settings, {"MODELWATCH_EXPORTER__TARGETS": here, "MODELWATCH_DATA_DIR": str(tmp_path)})
    with pytest.raises(StartError, match="circle"):
        assemble_role("up", settings)


def test_the_role_says_what_it_lacks(tmp_path: Path) -> None:
    """Targets first, then a broker."""
    with pytest.raises(StartError, match="MODELWATCH_EXPORTER__TARGETS"):
        assemble_role("exporter", Settings(data_dir=tmp_path))
    some = load(Settings, {"MODELWATCH_EXPORTER__TARGETS": "[{name: a, endpoint: 'http://h:1'}]"})
    with pytest.raises(StartError, match="MODELWATCH_BROKER_URL"):
        assemble_role("exporter", some)


def test_the_examples_of_the_documentation_are_targets() -> None:
    """Whoever copies them gets what they say."""
    text = (Path(__file__).parents[2] / "docs" / "forwarding.md").read_text()
    example = text.partition("```yaml\n")[2].partition("```")[0]
    targets = ExporterSettings.model_validate(yaml.safe_load(example)["exporter"]).targets
    assert [target.name for target in targets] == ["jaeger", "tempo", "prometheus", "cloud", "collector"]
    assert targets[3].address == ("otlp-gateway.example.com", 443)
    derived = text.partition("## Derived metrics")[2].partition("```yaml\n")[2].partition("```")[0]
    [mimir] = ExporterSettings.model_validate({"targets": yaml.safe_load(derived)}).targets
    assert mimir.derived is not None
    assert mimir.derived.metrics == ("http", "spans", "alerts")
    fields = set(TargetSettings.model_fields) | set(DerivedSettings.model_fields)
    assert {field for field in fields if f"`{field}`" not in text} == set()
