"""The end of a process loses no span, and a span does not wait for it."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.support.otlp_sink import Sink
from tests.support.waiting import eventually
from tests.support.watched_app import APPS, BIN, NEVER_MS, PORT, served, watched


@pytest.mark.parametrize(("workers", "with_signal"), [(1, signal.SIGTERM), (1, signal.SIGINT), (2, signal.SIGTERM)])
def test_no_span_is_lost_when_uvicorn_is_told_to_stop(sink: Sink, workers: int, with_signal: signal.Signals) -> None:
    """With an export delay that never comes, the flush delivers every batch, each worker's under an id of its own."""
    arguments = ("--workers", str(workers))
    with watched("plain_app", sink.urls["grpc"], "grpc", *arguments, OTEL_BSP_SCHEDULE_DELAY=NEVER_MS) as app:
        answers = app.answering_pids(workers=workers, least=150)
        app.stop(with_signal)
        spans = sink.spans(app.service)
    assert len(spans) == answers.total()
    by_instance = Counter(span.resource["service.instance.id"] for span in spans)
    assert sorted(by_instance.values()) == sorted(answers.values())


async def test_a_worker_of_hypercorn_that_is_told_to_stop_exports_first(sink: Sink) -> None:
    """hypercorn sends SIGTERM to the others when the first is gone, which must not cost what they still have."""
    command = ("hypercorn", "plain_app:app", "-b", f"127.0.0.1:{PORT}", "-w", "2")
    with served(command, sink.urls["grpc"], OTEL_BSP_SCHEDULE_DELAY=NEVER_MS) as app:
        answers = app.answering_pids(workers=2)
        for pid in answers:
            os.kill(int(pid), signal.SIGTERM)
        await eventually(lambda: not app.is_running(), timeout_s=60)
        spans = sink.spans(app.service)
    assert Counter(str(span.resource["process.pid"]) for span in spans) == answers


async def test_a_span_arrives_soon_without_any_flush(sink: Sink) -> None:
    """With the distro's defaults a request is exported about a second after its end."""
    with watched("plain_app", sink.urls["grpc"], None) as app:
        app.get("/")
        await eventually(lambda: sink.spans(app.service), timeout_s=5)


async def test_a_reload_loses_no_span_and_begins_a_new_instance(sink: Sink, tmp_path: Path) -> None:
    """uvicorn ends the old process when a file changes; its spans arrive, and the new process has another id."""
    module = tmp_path / "plain_app.py"
    shutil.copy(APPS / "plain_app.py", module)
    command = ("uvicorn", "plain_app:app", "--port", PORT, "--reload")
    with served(command, sink.urls["grpc"], folder=tmp_path, OTEL_BSP_SCHEDULE_DELAY=NEVER_MS) as app:
        before = app.answering_pids(workers=1)
        module.write_text(f"{module.read_text()}\n# changed\n")
        await eventually(lambda: len(sink.spans(app.service)) == before.total(), timeout_s=60)
        after = app.answering_pids(workers=1)
        app.stop()
        spans = sink.spans(app.service)
    by_process = Counter(str(span.resource["process.pid"]) for span in spans)
    assert by_process == before + after
    assert len(before) == len(after) == 1
    assert before != after
    assert len({span.resource["service.instance.id"] for span in spans}) == 2


async def test_a_killed_process_loses_no_more_than_what_was_not_exported_yet(sink: Sink) -> None:
    """SIGKILL leaves no time for anything: what ended before the last export is safe, and nothing is sent twice."""
    with watched("plain_app", sink.urls["grpc"], None) as app:
        early = [app.request("GET", "/")[0] for _ in range(100)]
        await eventually(lambda: len(sink.spans(app.service)) == len(early), timeout_s=30)
        late = [app.request("GET", "/")[0] for _ in range(5)]
        app.kill()
        arrived = [span.trace_id for span in sink.spans(app.service)]
    assert len(arrived) == len(set(arrived))
    assert set(early) <= set(arrived) <= {*early, *late}


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_a_child_of_multiprocessing_exports_its_last_spans(sink: Sink, tmp_path: Path, protocol: str) -> None:
    """A forked child skips exit handlers; its spans arrive nevertheless, as those of another process."""
    script = tmp_path / "forking.py"
    script.write_text(
        "import multiprocessing\n"
        "from opentelemetry import trace\n"
        "def work(): trace.get_tracer('t').start_span('in the child').end()\n"
        "if __name__ == '__main__':\n"
        "    trace.get_tracer('t').start_span('in the parent').end()\n"
        "    trace.get_tracer_provider().force_flush()\n"
        "    child = multiprocessing.get_context('fork').Process(target=work)\n"
        "    child.start(); child.join(); raise SystemExit(child.exitcode)\n"
    )
    service = f"forking-{secrets.token_hex(4)}"
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": sink.urls[protocol], "OTEL_BSP_SCHEDULE_DELAY": NEVER_MS}
    environment |= {"OTEL_SERVICE_NAME": service, "OTEL_EXPORTER_OTLP_PROTOCOL": protocol}
    command = [str(BIN / "opentelemetry-instrument"), sys.executable, str(script)]
    subprocess.run(command, env=os.environ | environment, check=True, timeout=60)
    spans = sink.spans(service)
    assert sorted(span.name for span in spans) == ["in the child", "in the parent"]
    assert len({span.resource["process.pid"] for span in spans}) == 2
    assert len({span.resource["service.instance.id"] for span in spans}) == 2
