"""What the doctor says of the targets that data is forwarded to."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

from modelwatch.doctor.finding import Finding
from modelwatch.doctor.forwarding import forwarding
from modelwatch.settings import Settings
from tests.modelwatch.doctor.test_access import findings
from tests.support.ports import free_port


def looked_at(*targets: dict[str, Any]) -> list[Finding]:
    return list(forwarding(Settings.model_validate({"exporter": {"targets": targets}})))


def test_each_target_is_looked_at() -> None:
    """One that listens, one where nobody does, one that is not known, one whose file is missing; no header is told."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        found = looked_at(
            {"name": "there", "endpoint": url, "headers": {"authorization": "s3cret"}},
            {"name": "down", "endpoint": f"http://127.0.0.1:{free_port()}"},
            {"name": "unknown", "endpoint": "http://no-such-host.invalid:4317"},
            {"name": "filed", "endpoint": url, "headers_file": "/no/such/file"},
        )
    assert [(one.state, one.text.split()[0]) for one in found[:3]] == [
        ("ok", "there"),
        ("problem", "down"),
        ("problem", "unknown"),
    ]
    assert found[3].text.startswith("target 'filed': headers_file cannot be used")
    assert "MODELWATCH_EXPORTER__TARGETS" in found[1].text
    assert "s3cret" not in str(found)


def test_a_target_that_is_this_receiver_is_a_problem(tmp_path: Path) -> None:
    """As the start would say; without targets nothing is said."""
    port = free_port()
    targets = [{"name": "me", "endpoint": f"http://127.0.0.1:{port}"}]
    found = findings(tmp_path, {"grpc_port": port}, exporter={"targets": targets})
    assert found["forwarding"].state == "problem"
    assert "circle" in found["forwarding"].text
    assert "forwarding" not in findings(tmp_path, {})
