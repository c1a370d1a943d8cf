"""docs/api.md holds: it names every route, its commands work as they stand, and what it shows is what is answered.

The commands run in one shell against one real ModelWatch. The same one then gets whatever parameters can be thought of.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import httpx
import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings

from tests.support import json_schema
from tests.support.api_fuzz import Request, requests
from tests.support.api_world import api_world, send_traffic
from tests.support.processes import BIN, REPOSITORY
from tests.support.systems import System

pytestmark = pytest.mark.asyncio(loop_scope="module")

PAGE = (REPOSITORY / "docs" / "api.md").read_text()
FIRST = "MW=http://127.0.0.1:8050\n"
MARK = "@@@ ends with"


class Example(NamedTuple):
    """A command, under the heading of a route if it has one, and what the page shows of its answer."""

    route: str
    command: str
    shown: Any


def examples() -> list[Example]:
    """Return the commands in their order."""
    found, route = [], ""
    for match in re.finditer(r"^(#+ [^\n]*)$|```sh\n(.*?)```(?:\n+```json\n(.*?)```)?", PAGE, re.MULTILINE | re.DOTALL):
        heading, command, shown = match.groups()
        if heading:
            named = re.fullmatch(r"### `(.+)`", heading)
            route = named[1] if named else ""
        else:
            found.append(Example(route, command, json.loads(shown) if shown else None))
    return found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    async with api_world(tmp_path_factory.mktemp("api")) as running:
        yield running


@pytest.fixture(scope="module")
def openapi(system: System) -> dict[str, Any]:
    document: dict[str, Any] = httpx.get(f"{system.url}/openapi.json").json()
    return document


async def test_every_route_has_its_example(openapi: dict[str, Any]) -> None:
    """Each operation of the document has a heading, and a command that asks it; no other has."""
    routes = {f"{method.upper()} {path}" for path, methods in openapi["paths"].items() for method in methods}
    assert {example.route for example in examples()} == routes | {""}
    for route, command, _ in examples():
        method, _, path = route.partition(" ")
        assert re.search(r"\$MW" + re.sub(r"\\{\w+\\}", r"[^/\\s]+", re.escape(path)) + r'["?]', command) or not route
        assert (f"-X {method} " in command) == (method not in ("GET", ""))


async def test_every_list_is_paged_or_named_as_one_that_is_not(openapi: dict[str, Any]) -> None:
    """Whatever answers with `items` has `limit` and `cursor`, but for the few that the page names."""
    unpaged = set()
    for path, methods in openapi["paths"].items():
        content = methods.get("get", {}).get("responses", {}).get("200", {}).get("content", {})
        shape = json.dumps(content.get("application/json", {}).get("schema", {}))
        models = [openapi["components"]["schemas"][name] for name in re.findall(r"schemas/(\w+)\"", shape)]
        if any("items" in model.get("properties", {}) for model in models):
            names = {parameter["name"] for parameter in methods["get"].get("parameters", [])}
            if not {"limit", "cursor"} <= names:
                unpaged.add(path)
    exceptions = re.search(r"Not paged are (.+?):", PAGE, re.DOTALL)
    assert exceptions
    assert unpaged == set(re.findall(r"`GET ([^`]+)`", exceptions[1]))


def _run(system: System) -> list[str]:
    """Run all commands in one shell; return what each printed."""
    script = "".join(f"{example.command}\necho '{MARK}' $?\n" for example in examples())
    assert FIRST in script
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", script.replace(FIRST, f"MW={system.url}\n")],
        env={**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "no_proxy": "127.0.0.1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stderr == ""
    printed = re.split(rf"{MARK} (\d+)\n", done.stdout)
    for example, code in zip(examples(), printed[1::2], strict=True):
        assert code == "0", example.command
    return printed[:-1:2]


async def test_every_command_works_as_it_stands_and_answers_what_is_shown(system: System) -> None:
    """Fields, kinds of values, and texts that do not depend on the moment."""
    # Health and containers are judged by the last minute, which may be over by now.
    await send_traffic(system)
    for example, printed in zip(examples(), await asyncio.to_thread(_run, system), strict=True):
        if example.shown is not None:
            _compare(example.shown, json.loads(printed), example.route or example.command)
        elif example.route.startswith("DELETE"):
            assert printed == ""
        else:
            assert example.command.startswith("MW=") or printed, example.command


async def test_other_pages_ask_what_there_is(system: System) -> None:
    """Each `curl` of a ModelWatch in the documentation is answered."""
    texts = [page.read_text() for page in (REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md")))]
    shape = r"^    (curl (?:[^\n]*\\\n)*[^\n]*127\.0\.0\.1:8050/api(?:[^\n]*\\\n)*[^\n]*)$"
    commands = [found for text in texts for found in re.findall(shape, text, re.MULTILINE)]
    assert len(commands) >= 18
    found = await asyncio.to_thread(httpx.get, f"{system.url}/api/v1/alerts?state=firing")
    alert = found.json()["items"][0]["alert_id"]
    for command in commands:
        asked = command.replace("curl ", "curl --fail -sS ").replace("http://127.0.0.1:8050", system.url)
        asked = asked.replace("/ID/", f"/{alert}/").replace("/oncall/", "/on-call/")
        done = await asyncio.to_thread(
            subprocess.run, ["bash", "-c", asked], capture_output=True, text=True, timeout=60
        )
        # Seconds after its own example, the channel's test is refused as too soon.
        assert done.returncode == 0 or "429" in done.stderr, (command, done.stderr)


def _compare(shown: Any, real: Any, where: str) -> None:
    if isinstance(shown, dict):
        assert isinstance(real, dict), where
        for name, value in shown.items():
            assert name in real, f"{where}: {name} is not answered"
            _compare(value, real[name], f"{where}.{name}")
    elif isinstance(shown, list):
        assert isinstance(real, list), where
        assert real or not shown, f"{where}: nothing is answered"
        for one in shown:
            _compare(one, real[0], f"{where}[0]") if not isinstance(one, dict) else _compare_any(one, real, where)
    elif shown is not None and real is not None:
        kinds = [bool if type(one) is bool else str if isinstance(one, str) else float for one in (shown, real)]
        assert kinds[0] is kinds[1], f"{where}: {real!r} is no {shown!r}"
        if isinstance(shown, str) and where.rpartition(".")[2] in _FIXED:
            assert shown == real, where


def _compare_any(shown: dict[str, Any], real: list[Any], where: str) -> None:
    """Compare with the item of which it shows the most."""
    errors = []
    for one in real:
        try:
            return _compare(shown, one, where)
        except AssertionError as error:
            errors.append(str(error))
    raise AssertionError(errors[0])


async def test_whatever_is_sent_is_answered_or_refused_with_a_reason(system: System, openapi: dict[str, Any]) -> None:
    """Right, half right and hostile: never a failure, every refusal a problem, every answer as the document says."""
    with httpx.Client(base_url=system.url, timeout=60, trust_env=False) as client:

        @settings(
            max_examples=500, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
        )
        @given(requests(openapi))
        def send(request: Request) -> None:
            headers = {} if request.body is None else {"content-type": request.content_type}
            answer = client.request(request.method, request.target, content=request.body, headers=headers)
            _check(request, answer, openapi)

        await asyncio.to_thread(send)
    assert "Traceback" not in system.roles["up"].output()


def _check(request: Request, answer: httpx.Response, openapi: dict[str, Any]) -> None:
    assert answer.status_code < 500, request
    promised = openapi["paths"][request.route].get(request.method.lower(), {}).get("responses")
    assert promised is None or str(answer.status_code) in promised, request
    if request.method == "HEAD" or answer.status_code == 204:
        assert answer.content == b""
    elif answer.status_code >= 400:
        assert answer.headers["content-type"] == "application/problem+json"
        problem = {"$ref": "#/components/schemas/ProblemDetails"}
        json_schema.check(answer.json(), problem, openapi)
        assert answer.json()["status"] == answer.status_code
    elif promised and answer.headers["content-type"] == "application/json":
        schema = promised[str(answer.status_code)]["content"]["application/json"]["schema"]
        json_schema.check(answer.json(), schema, openapi)


_FIXED = frozenset(
    {
        *(
            "service",
            "rule_id",
            "name",
            "kind",
            "status",
            "state",
            "severity",
            "parameter",
            "message",
            "type",
        ),
        *(
            "route",
            "status_class",
            "before",
            "after",
            "comment",
            "created_by",
            "matched_by",
            "scope",
            "balance",
            "title",
        ),
    }
)
"""Texts that are the same at every run."""
