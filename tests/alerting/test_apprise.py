"""What goes through Apprise arrives, is bounded, tells no secret, and reaches nothing that it must not."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from alerting.channels.component import ChannelCheck, build_channels
from alerting.channels.message import incidents_of
from alerting.notification import Notification, Severity, Told
from alerting.notifier import Channel
from alerting.settings import AlertingSettings
from telemetry import ModelWatchError, PermanentError, RetryableError, StartError
from tests.support.http_sink import HttpSink, answer
from tests.support.notifications import notification
from tests.support.ports import free_port
from tests.support.smtp_sink import SmtpSink
from tests.support.waiting import eventually

ROOT = Path(__file__).parents[2]
TOKEN = "3ccdd113474722377935511fc85d3dd4"


def channel(url: str, allowed: str = "127.0.0.0/8", timeout_s: float = 60, **fields: Any) -> Channel:
    tree = {
        "channels": [{"name": "chat", "url": url, **fields}],
        "allowed_networks": allowed,
        "send_timeout_s": timeout_s,
    }
    return build_channels(AlertingSettings.model_validate(tree))[0]


async def test_mail_arrives_as_people_read_it() -> None:
    """Over a real SMTP conversation: subject, numbers, and to whom."""
    with SmtpSink() as sink:
        to = channel(f"mailto://127.0.0.1:{sink.port}?from=watch@example.test&to=oncall@example.test&mode=insecure")
        await to.notifier.notify([notification()])
    assert sink.recipients == ["oncall@example.test"]
    (mail,) = sink.mails
    assert mail["Subject"] == "[CRITICAL] High latency: tumour-classifier"
    assert "oncall@example.test" in mail["To"]
    assert "P95 1.92 s, above 1 s" in mail.as_string().replace("=\n", "")
    assert "github" not in mail.as_string(), "nothing that would be fetched by whoever opens it"


@pytest.mark.parametrize(
    ("reply", "kind", "says"),
    [
        ("550 no such user", PermanentError, "mail server answered 550"),
        ("451 later", RetryableError, "mail server answered 451"),
    ],
)
async def test_a_mail_server_that_refuses_says_whether_to_try_again(
    reply: str, kind: type[ModelWatchError], says: str
) -> None:
    """5xx is for ever, 4xx is not (RFC 5321, 4.2.1)."""
    with SmtpSink(reply) as sink:
        to = channel(f"mailto://127.0.0.1:{sink.port}?from=a@example.test&to=b@example.test&mode=insecure")
        with pytest.raises(kind, match=says):
            await to.notifier.notify([notification()])


async def test_what_a_service_answers_decides_whether_it_is_tried_again() -> None:
    """Its Retry-After is honoured; redirects are not followed; and no message holds the token."""
    given = [
        answer(200, body=b"ok"),
        answer(503, {"Retry-After": "44"}),
        answer(403),
        answer(302, {"Location": "http://127.0.0.1:1/"}),
    ]
    async with HttpSink(answers=given) as sink:
        to = channel(f"mmost://127.0.0.1:{sink.port}/{TOKEN}")
        await to.notifier.notify([notification()])
        told = []
        for kind in (RetryableError, PermanentError, PermanentError):
            with pytest.raises(kind) as caught:
                await to.notifier.notify([notification()])
            told.append(caught.value)
    assert [str(error).split(":")[0] for error in told] == [
        "it answered 503",
        "it answered 403",
        "it answered with a redirect (302), which is not followed",
    ]
    assert isinstance(told[0], RetryableError)
    assert told[0].retry_after_s == 44
    assert len(sink.posted) == 4
    assert "P95 1.92 s" in json.loads(sink.posted[0].body)["text"]
    assert "github" not in sink.posted[0].body.decode()


async def test_a_service_that_does_not_answer_is_ended_with_its_process() -> None:
    """In the time that one attempt has; nothing of it goes on."""
    async with HttpSink(is_mute=True) as sink:
        to = channel(f"json://127.0.0.1:{sink.port}/", timeout_s=6)
        sent = asyncio.create_task(to.notifier.notify([notification()]))
        with pytest.raises(RetryableError, match=r"within 6 s|in time"):
            await sent
    with pytest.raises(RetryableError, match="cannot be reached"):
        await channel(f"json://127.0.0.1:{free_port()}/").notifier.notify([notification()])


async def test_a_delivery_that_is_cancelled_leaves_no_process() -> None:
    """Whoever stops need not wait for a target."""
    async with HttpSink(is_mute=True) as sink:
        sent = asyncio.create_task(channel(f"json://127.0.0.1:{sink.port}/").notifier.notify([notification()]))
        await eventually(lambda: sink.posted, timeout_s=60)
        sent.cancel()
        await asyncio.wait([sent])
    assert sent.cancelled()


@pytest.mark.parametrize("schema", ["json", "xml", "form", "mailto", "rsyslog", "gotify"])
async def test_private_addresses_are_refused_for_every_service(schema: str) -> None:
    """Below all services, where the connection is opened; by name as by number."""
    async with HttpSink() as sink:
        path = f"?from=a@b.test&to=c@d.test&mode=insecure&port={sink.port}" if schema == "mailto" else f"/{TOKEN}"
        path = "/user" if schema == "rsyslog" else path
        host = "localhost" if schema in ("form", "mailto") else "127.0.0.1"
        to = channel(f"{schema}://{host}:{sink.port}{path}", allowed="")
        with pytest.raises(PermanentError, match="not a public one"):
            await to.notifier.notify([notification()])
    assert sink.posted == []


async def test_no_program_and_no_local_service_is_reached() -> None:
    """Services that write to the machine itself do nothing here."""
    with pytest.raises(PermanentError, match="no channel may"):
        await channel("syslog://user").notifier.notify([notification()])


async def test_a_url_that_apprise_cannot_read_stops_the_start() -> None:
    """One line names the channel, and not the URL; a good one is not sent anything."""
    with pytest.raises(StartError) as caught:
        await ChannelCheck([channel(f"slakc://{TOKEN}/b/c")]).start()
    assert str(caught.value).startswith("channel 'chat': its URL is none that Apprise can read")
    assert TOKEN not in str(caught.value)
    async with HttpSink() as sink:
        await ChannelCheck([channel(f"json://127.0.0.1:{sink.port}/")]).start()
    assert sink.posted == []


async def test_a_pager_gets_the_end_under_the_key_of_the_beginning(tmp_path: Path) -> None:
    """One incident for each alert, opened and closed by the same key; seen at PagerDuty's own interface."""
    firing = notification()
    item = firing.items[0]
    over = item.model_copy(update={"state": Told.RESOLVED, "ended_s": item.started_s + 60})
    other = item.model_copy(update={"alert_id": "a2", "severity": Severity.WARNING})
    resolved = notification("n2", items=(over, other))
    async with HttpSink() as sink:
        program = (
            "import json, sys, apprise.plugins.pagerduty as p; from alerting.channels.apprise_process import run\n"
            f"p.PAGERDUTY_API_LOOKUP['us'] = 'http://127.0.0.1:{sink.port}/enqueue'\n"
            "print(json.dumps([run(job) for job in json.loads(sys.argv[1])]))"
        )
        jobs = [
            {
                "url": f"pagerduty://integrationkey@{TOKEN}",
                "allowed": ["127.0.0.1/32"],
                "messages": [incident._asdict() for incident in incidents_of([one])],
            }
            for one in (firing, resolved)
        ]
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            program,
            json.dumps(jobs),
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
        )
        output, _ = await process.communicate()
    assert [outcome["is_taken"] for outcome in json.loads(output)] == [True, True]
    events = [json.loads(posted.body) for posted in sink.posted]
    assert [(event["event_action"], event["dedup_key"]) for event in events] == [
        ("trigger", "modelwatch-a1"),
        ("resolve", "modelwatch-a1"),
        ("trigger", "modelwatch-a2"),
    ]
    assert [event["payload"]["severity"] for event in events if "payload" in event] == ["critical", "warning"]


async def test_mentions_and_markup_of_strangers_do_nothing_in_a_chat() -> None:
    """Seen in what a chat is sent: names from spans are text there and nothing else."""
    evil = "<!channel> @everyone [x](https://evil.example/) `*_~ \n# head"
    item = notification().items[0].model_copy(update={"labels": {"service": evil}})
    told: Notification = notification(items=(item,), rule_name=evil)
    async with HttpSink() as sink:
        await channel(f"mmost://127.0.0.1:{sink.port}/{TOKEN}").notifier.notify([told])
    text = json.loads(sink.posted[0].body)["text"]
    for forbidden in ("@", "<", ">", "https://", "evil.example", "\n# "):
        assert forbidden not in text


async def test_the_examples_of_the_documentation_are_what_apprise_reads() -> None:
    """Each URL in the table, except that of a webhook; loaded one service at a time, as for a message."""
    text = (ROOT / "docs" / "alert-channels.md").read_text()
    table = text.partition("## Examples")[2].partition("Characters such as")[0]
    urls = [url for url in re.findall(r"`([a-z]+://[^`]+)`", table) if not url.startswith("https://")]
    program = (
        "import sys, apprise; from alerting.channels.apprise_services import load_service\n"
        "for url in sys.argv[1:]:\n"
        "    load_service(url.partition(':')[0])\n"
        "    print(type(apprise.Apprise.instantiate(url)).__name__)"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, *urls, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    found = dict(zip(urls, output.decode().split(), strict=True))
    assert len(found) > 10
    assert [url for url, name in found.items() if name == "NoneType"] == []


async def test_a_service_is_found_where_nothing_can_be_written() -> None:
    """As in a container with a file system that is read-only: slower, but it is."""
    program = (
        "import tempfile, apprise; from alerting.channels.apprise_services import load_service\n"
        "tempfile.tempdir = '/nowhere/at/all'; load_service('json')\n"
        "print(type(apprise.Apprise.instantiate('json://x/')).__name__)"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    assert output.decode().strip() == "NotifyJSON"
