"""`modelwatch query` at a running ModelWatch: its numbers are those of the API, and no name does anything to anyone."""

from __future__ import annotations

import argparse
import csv
import io
import json
import os
import re
import shlex
import subprocess
import sys
import threading
import time
import unicodedata
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from pydantic import ValidationError

from modelwatch.query_command.arguments import add_topics
from modelwatch.query_command.command import run_query
from modelwatch.query_command.settings import ClientSettings
from modelwatch.query_command.topics import TOPICS
from modelwatch.query_command.writing import as_json, comma_separated, table
from modelwatch.settings import Settings
from modelwatch.settings_sources import load
from telemetry import StartError
from tests.support.otlp import resource, server_span, trace_request
from tests.support.ports import free_port
from tests.support.processes import REPOSITORY
from tests.support.systems import System, embedded_system
from tests.support.waiting import eventually

HOSTILE = "=cmd|calc!A1\x1b[2J\u202eevil"
SECOND_NS = 10**9


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    """Two services a few minutes ago, one of them with a name that attacks terminals and spreadsheets."""
    async with embedded_system(tmp_path_factory.mktemp("query")) as running:
        end_ns = (time.time_ns() // SECOND_NS - 120) * SECOND_NS
        for name, statuses in (("shop", [200] * 8 + [500, 404]), (HOSTILE, [200])):
            calls = [
                server_span(route="/buy", status_code=status, end_ns=end_ns - index * SECOND_NS, index=index)
                for index, status in enumerate(statuses)
            ]
            async with httpx.AsyncClient() as client:
                answer = await client.post(
                    f"http://127.0.0.1:{running.http_port}/v1/traces",
                    content=trace_request(calls, resource(name, service__version="1.2")).SerializeToString(),
                    headers={"content-type": "application/x-protobuf"},
                )
            assert answer.status_code == 200
        await eventually(lambda: len(items_of(running, "/api/v1/services?window=1h")) == 2, what="both are there")
        yield running


def items_of(system: System, path: str) -> list[dict[str, Any]]:
    return list(httpx.get(f"{system.url}{path}").json()["items"])


class Terminal(io.StringIO):
    """An output that people look at."""

    def isatty(self) -> bool:
        return True


def query(url: str, *arguments: str, token: str | None = None, out: io.StringIO | None = None) -> tuple[int, str]:
    """Return exit code and output."""
    parser = argparse.ArgumentParser()
    add_topics(parser)
    settings = Settings(client=ClientSettings.model_validate({"url": url, "token": token, "timeout_s": 5}))
    out = out or io.StringIO()
    return run_query(settings, parser.parse_args(arguments), out), out.getvalue()


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_json_is_the_document_of_the_api(system: System) -> None:
    """Of the same question: nothing is added, left out or rounded."""
    end = str(int(time.time()) - 60)
    code, text = query(system.url, "services", "--window", "1h", "--end", end, "--output", "json")
    assert code == 0
    assert json.loads(text) == httpx.get(f"{system.url}/api/v1/services?window=1h&end={end}").json()


def test_csv_has_the_numbers_of_the_api(system: System) -> None:
    """All digits, each group in a row of its own."""
    code, text = query(
        system.url, "red", "--last", "1h", "--service", "shop", "--group-by", "route,status_class", "-o", "csv"
    )
    start = int(time.time()) - 3_600
    asked = items_of(system, f"/api/v1/red?start={start}&service=shop&group_by=route,status_class")
    assert code == 0
    told = {(row["route"], row["status_class"]): (int(row["calls"]), float(row["p95_s"])) for row in rows_of(text)}
    assert told == {
        (one["labels"]["route"], one["labels"]["status_class"]): (one["total"]["calls"], one["total"]["p95_s"])
        for one in asked
    }
    assert sum(calls for calls, _ in told.values()) == 10


def test_points_are_rows_with_their_times(system: System) -> None:
    """`--points` writes one row for each step of each group; together they have every call."""
    code, text = query(
        system.url, "red", "--last", "10m", "--step", "10s", "--service", "shop", "--points", "-o", "csv"
    )
    rows = rows_of(text)
    assert code == 0
    assert list(rows[0])[:2] == ["service", "time"]
    assert sum(int(row["calls"]) for row in rows) == 10
    assert [row["time"] for row in rows] == sorted({row["time"] for row in rows})


def test_a_table_is_for_people(system: System) -> None:
    """Columns under their names, numbers to the right with few digits."""
    code, text = query(system.url, "services", "--window", "1h", "--service", "shop")
    head, line = text.splitlines()
    assert code == 0
    assert head.split()[:4] == ["service", "status", "calls", "rate_per_s"]
    assert line.split()[0] == "shop"
    assert line.split()[2] == "10"
    assert line.index("10") + 2 == head.index("calls") + 5


@pytest.mark.parametrize("output", ["table", "json", "csv"])
def test_no_name_does_anything_to_a_terminal(system: System, output: str) -> None:
    """Escape sequences and marks that turn the direction of text are written as what they are."""
    _, text = query(system.url, "services", "--window", "1h", "--output", output, out=Terminal())
    assert "\\u001b[2J\\u202eevil" in text
    assert {one for one in text if unicodedata.category(one).startswith("C")} - {"\r"} == {"\n"}


def test_no_name_of_a_label_does_either() -> None:
    """The names of columns come from whoever sends metrics; in a file they stay as they are."""
    rows, columns = [{HOSTILE: "a\rb"}], [HOSTILE]
    for text in (table(rows, columns), comma_separated(rows, columns, is_for_terminal=True)):
        assert not {"\x1b", "\u202e"} & set(text)
        assert "\\u000d" in text
    assert rows_of(comma_separated(rows, columns)) == [{f"'{HOSTILE}": "a\rb"}]


def test_no_name_does_anything_to_a_spreadsheet(system: System) -> None:
    """A name that begins as a formula has an apostrophe in front, as in what the pages save."""
    _, text = query(system.url, "services", "--window", "1h", "--output", "csv")
    assert {row["service"] for row in rows_of(text)} == {"shop", f"'{HOSTILE}"}


@pytest.mark.parametrize("topic", TOPICS)
@pytest.mark.parametrize("output", ["table", "json", "csv"])
def test_every_topic_can_be_asked_in_every_form(system: System, topic: str, output: str) -> None:
    """Each ends with 0, and a table shows columns that the answer has."""
    place = [items_of(system, "/api/v1/traces?service=shop")[0]["trace_id"]] if TOPICS[topic].place else []
    code, text = query(system.url, topic, *place, "--output", output)
    assert code == 0
    assert text
    if output == "table" and text != "Nothing was found.\n":
        assert set(text.splitlines()[0].split()) & set(TOPICS[topic].columns) or "service" in text.splitlines()[0]


def test_one_trace_is_asked_by_its_id(system: System, capsys: pytest.CaptureFixture[str]) -> None:
    """The spans of the API, one a row; an id that nobody kept, or that is none, is one line."""
    trace_id = items_of(system, "/api/v1/traces?service=shop&error=true")[0]["trace_id"]
    code, text = query(system.url, "trace", trace_id, "--output", "csv")
    assert code == 0
    assert [(row["service"], row["status_code"], row["error"]) for row in rows_of(text)] == [("shop", "500", "true")]
    for unknown in ("0" * 31 + "1", "../services"):
        assert query(system.url, "trace", unknown)[0] == 1
        assert capsys.readouterr().err.count("\n") == 1


def test_a_mistake_in_a_parameter_is_one_line(system: System, capsys: pytest.CaptureFixture[str]) -> None:
    """It names the parameter and ends with 1; nothing is written to the output."""
    code, text = query(system.url, "red", "--step", "soon")
    assert (code, text) == (1, "")
    assert (
        capsys.readouterr().err == "modelwatch: step: write a duration such as 30s, 5m, 24h or 7d, or whole seconds\n"
    )


def test_the_next_page_is_asked_as_it_was_told(system: System, capsys: pytest.CaptureFixture[str]) -> None:
    """Also of a question that began with `--last`, whose beginning is another one each time."""
    question = ["red", "--group-by", "service,status_class", "--limit", "2", "-o", "csv"]
    code, first = query(system.url, *question, "--last", "1h")
    told = capsys.readouterr().err
    assert (code, len(rows_of(first))) == (0, 2)
    found = re.search(r"ask for it with (.+) in place of --last, or for everything with --all\n", told)
    assert found, told
    code, second = query(system.url, *question, *shlex.split(found[1]))
    assert (code, capsys.readouterr().err) == (0, "")
    together = [(row["service"], row["status_class"]) for row in rows_of(first) + rows_of(second)]
    assert sorted(together) == [(f"'{HOSTILE}", "2xx"), ("shop", "2xx"), ("shop", "4xx"), ("shop", "5xx")]
    with pytest.raises(StartError, match="--cursor goes on with the --start"):
        query(system.url, *question, "--last", "1h", "--cursor", "x")


@pytest.mark.parametrize("output", ["json", "csv"])
def test_all_pages_are_one_answer(system: System, capsys: pytest.CaptureFixture[str], output: str) -> None:
    """`--all`: page after page to the end, all about the time of the first, each item once."""
    start = str(int(time.time()) - 3_600)
    question = ["red", "--group-by", "service,status_class", "--start", start, "--end", str(int(start) + 3_540)]
    code, whole = query(system.url, *question, "-o", output)
    assert (code, query(system.url, *question, "-o", output, "--limit", "1", "--all")) == (0, (0, whole))
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("url", ["http://[::1", "http://", "http://a:b", "ftp://a", "http://\udcff"])
def test_an_address_that_is_none_is_named(url: str) -> None:
    """As mistaken settings are: before anything is asked."""
    with pytest.raises((StartError, ValidationError)):
        query(url, "services")
    with pytest.raises(StartError, match="--url"):
        query(f"http://127.0.0.1:{free_port()}", "services", "--url", url)


@pytest.mark.parametrize("token", ["é", "a\nb", "a b", " ", "a\x00"])
def test_a_token_that_no_header_takes_is_refused_untold(token: str) -> None:
    """Before it is sent, and never repeated, neither in words nor in what a traceback would show."""
    with pytest.raises(StartError) as refused:
        load(Settings, {"MODELWATCH_CLIENT__TOKEN": f"sesame{token}"})
    assert "MODELWATCH_CLIENT__TOKEN" in str(refused.value)
    assert "sesame" not in str(refused.value)
    assert refused.value.__suppress_context__


@pytest.mark.parametrize("arguments", [["services", "--service", "\udcff"], ["trace", "\udcff\udcfe"]])
def test_an_argument_that_is_no_text_is_named(arguments: list[str]) -> None:
    """What a shell hands over may be no UTF-8: that is told, and not that nobody answers."""
    with pytest.raises(StartError, match=r"^(--service|TRACE_ID) is not UTF-8$"):
        query(f"http://127.0.0.1:{free_port()}", *arguments)


def test_nobody_there_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """It says where it looked and which setting says where to look."""
    url = f"http://127.0.0.1:{free_port()}"
    assert query(url, "services")[0] == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert url in said
    assert "MODELWATCH_CLIENT__URL" in said


class Stranger(BaseHTTPRequestHandler):
    """Something else than ModelWatch: a page, or a guard that wants a token."""

    def do_GET(self) -> None:
        is_welcome = self.headers["Authorization"] == "Bearer sesame"
        self.send_response(200 if self.path.startswith("/api/v1/services") or is_welcome else 401)
        self.end_headers()
        self.wfile.write(b'{"items": []}' if is_welcome else b"<html>")

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def stranger() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Stranger) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_something_else_at_the_address_is_one_line(stranger: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A page of another program is not taken for an answer."""
    assert query(stranger, "services")[0] == 1
    assert "is not ModelWatch" in capsys.readouterr().err


def test_the_token_is_shown_and_never_told(stranger: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Where it is wanted and missing, or wrong, the line says so, and which setting it goes into, and not the token."""
    assert query(stranger, "red")[0] == 1
    missing = capsys.readouterr().err
    assert "wants to know who asks: set MODELWATCH_CLIENT__TOKEN or MODELWATCH_CLIENT__TOKEN_FILE" in missing
    assert query(stranger, "red", token="wrong-one")[0] == 1
    wrong = capsys.readouterr().err
    assert "does not take the token of MODELWATCH_CLIENT__TOKEN or MODELWATCH_CLIENT__TOKEN_FILE" in wrong
    assert "expired" in wrong
    assert "wrong-one" not in wrong
    assert query(stranger, "red", token="sesame") == (0, "Nothing was found.\n")


def test_as_a_command(system: System, tmp_path: Path) -> None:
    """With address and options as people give them; a reader that has enough, as `head` does, is no error."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MODELWATCH_")}
    command = [sys.executable, "-m", "modelwatch", "query", "services", "--window", "1h", "--output", "csv"]
    done = subprocess.run(
        command,
        env=clean | {"MODELWATCH_CLIENT__URL": system.url},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("service,")
    watching = subprocess.Popen(
        [*command, "--watch", "0.2", "--url", system.url], env=clean, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert watching.stdout is not None
    assert watching.stderr is not None
    try:
        assert [watching.stdout.readline()[:8] for _ in range(4)].count(b"service,") >= 1
        watching.stdout.close()
        assert watching.wait(30) == 0
        assert watching.stderr.read() == b""
    finally:
        watching.kill()
        watching.wait()
        watching.stderr.close()


def test_wide_letters_keep_the_columns(tmp_path: Path) -> None:
    """A Chinese letter takes two columns of a terminal, a combining mark none; what is long is cut with an ellipsis."""
    text = table(
        [{"name": "模型", "n": 1}, {"name": "e\u0301", "n": 22}, {"name": "x" * 90, "n": 12345.678}], ["name", "n"]
    )
    head, chinese, combining, long = text.splitlines()
    assert head.startswith("name ")
    assert chinese == "模型" + " " * 56 + "  " + "    1"
    assert combining == "e\u0301" + " " * 59 + "  " + "   22"
    assert long == "x" * 59 + "…  12346"


def test_forms_without_rows() -> None:
    """An empty answer is an empty table with its head, an empty CSV, and whole JSON."""
    assert comma_separated([], ["a"]) == "a\r\n"
    assert json.loads(as_json({"items": []})) == {"items": []}


def test_every_command_of_its_page_is_answered(system: System) -> None:
    """docs/querying.md, line by line; what is watched is asked once, and what goes into a file comes here."""
    page = (REPOSITORY / "docs" / "querying.md").read_text()
    lines = re.findall(r"^    modelwatch query (.+)$", page, re.MULTILINE)
    assert len(lines) >= 8
    for line in lines:
        arguments = shlex.split(re.sub(r"--watch \S+|> \S+", "", line), comments=True)
        code, text = query(system.url, *arguments)
        assert (code, bool(text)) == (0, True), line
