"""What is logged, and what never is."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Literal

import pytest
import structlog

from modelwatch import logs


@pytest.fixture(autouse=True)
def restored_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.mark.parametrize("form", ["json", "text"])
def test_a_traceback_shows_no_local_variables(form: Literal["json", "text"], monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception is logged with its place and message, without the values that its frames hold."""
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    logs.configure(logs.LogSettings(format=form))

    def fails() -> None:
        payload = "secret-" + "payload"
        raise ValueError(f"bad input of {len(payload)} characters")

    try:
        fails()
    except ValueError:
        structlog.get_logger("test").exception("request failed")
    assert "bad input of 14 characters" in stream.getvalue()
    assert "secret-payload" not in stream.getvalue()


def test_fields_of_a_process_are_in_every_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """What tells one process from another stands in our own and in library logs."""
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    logs.configure(logs.LogSettings(format="json"), worker=3)
    structlog.get_logger("test").info("seen")
    logging.getLogger("library").warning("seen too")
    assert [json.loads(line)["worker"] for line in stream.getvalue().splitlines()] == [3, 3]


def test_a_client_cannot_forge_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Line breaks and escape sequences in a field are escaped, in our own and in library logs."""
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    logs.configure(logs.LogSettings(format="json"))
    structlog.get_logger("test").info("seen", service='a\n{"event": "forged"}\x1b[31m')
    logging.getLogger("library").warning("seen %s", "b\nforged")
    lines = stream.getvalue().splitlines()
    assert len(lines) == 2
    assert json.loads(lines[0])["event"] == "seen"
    assert "\x1b" not in stream.getvalue()


def test_what_grpc_says_of_metadata_is_not_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    """It repeats the values that it cannot decode, among them what should have been a key."""
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    logs.configure(logs.LogSettings(level="debug"))
    logging.getLogger("grpc._cython.cygrpc").error("Invalid encoding on metadata: authorization: %s", "hunter2")
    logging.getLogger("grpc").error("something else")
    assert "hunter2" not in stream.getvalue()
    assert "something else" in stream.getvalue()


def test_the_level_can_be_changed_while_everything_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also for who took its logger before; the libraries that talk too much stay quiet."""
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    logs.configure(logs.LogSettings(format="json", level="warning"))
    log, library = structlog.get_logger("early"), logging.getLogger("library")
    log.debug("hidden")
    logs.set_level(logs.LogSettings(level="debug"))
    log.debug("ours")
    library.debug("theirs")
    logging.getLogger("httpx").info("an address")
    logs.set_level(logs.LogSettings(level="error"))
    log.warning("hidden again")
    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == ["ours", "theirs"]
