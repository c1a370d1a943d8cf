"""What the doctor says of those who may send: keys and certificates."""

from __future__ import annotations

from pathlib import Path

import pytest
import trustme

from modelwatch.doctor.configuration import examine
from modelwatch.doctor.finding import Finding
from modelwatch.settings import Settings
from tests.support.ports import free_port


def findings(folder: Path, receiver: dict[str, object], **tree: object) -> dict[str, Finding]:
    """Examine with these settings; return the findings by their subjects."""
    ports = {"grpc_port": free_port(), "http_port": free_port(1)}
    settings = {"data_dir": folder, "receiver": ports | receiver, "api": {"port": free_port()}} | tree
    return {finding.subject: finding for finding in examine(Settings.model_validate(settings))}


def test_keys_from_both_places_are_counted(tmp_path: Path) -> None:
    """Off loopback keys are enough, wherever they come from."""
    (tmp_path / "keys").write_text("one\ntwo\n")
    found = findings(tmp_path, {"host": "0.0.0.0"}, ingest_keys="three", ingest_keys_file=tmp_path / "keys")
    assert (found["receiver"].state, found["receiver"].text) == ("ok", "asks senders for one of 3 keys")


@pytest.mark.parametrize("content", [None, "# none\n"])
def test_a_file_without_keys_is_a_problem(tmp_path: Path, content: str | None) -> None:
    """A file that is missing or holds no key is named, with its setting."""
    if content is not None:
        (tmp_path / "keys").write_text(content)
    finding = findings(tmp_path, {}, ingest_keys_file=tmp_path / "keys")["receiver"]
    assert finding.state == "problem"
    assert finding.text.startswith(f"MODELWATCH_INGEST_KEYS_FILE: {tmp_path / 'keys'} ")


@pytest.mark.parametrize("is_whole", [True, False])
def test_certificates_are_tried(tmp_path: Path, is_whole: bool) -> None:
    """Files that fit together are well, and those that do not are a problem, before anything starts."""
    authority = trustme.CA()
    server, other = authority.issue_cert("localhost"), authority.issue_cert("localhost")
    (tmp_path / "tls.pem").write_bytes(server.cert_chain_pems[0].bytes())
    (tmp_path / "tls.key").write_bytes((server if is_whole else other).private_key_pem.bytes())
    found = findings(tmp_path, {"tls_cert_file": tmp_path / "tls.pem", "tls_key_file": tmp_path / "tls.key"})
    assert found["certificates"].state == ("ok" if is_whole else "problem")
    assert is_whole or "MODELWATCH_RECEIVER__TLS_KEY_FILE" in found["certificates"].text
