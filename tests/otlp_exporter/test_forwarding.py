"""What reaches a target, on both carriers and over both protocols, and what a bad target costs the others: nothing."""

from __future__ import annotations

import ssl
import time
from collections import Counter

import grpc
import pytest
import trustme
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceResponse,
)

from otlp_receiver.component import OtlpReceiver
from otlp_receiver.component import build as build_receiver
from otlp_receiver.settings import ReceiverSettings
from telemetry import Batch, Counters, Signal
from tests.otlp_exporter.conftest import Carrier, DiskCarrier
from tests.support.doubles import RecordingConsumer
from tests.support.http_sink import HttpSink, answer
from tests.support.otlp import resource, server_span, trace_request
from tests.support.otlp_metrics import gauge, log_record, log_request, metric_request, number_point
from tests.support.otlp_target import GrpcTarget
from tests.support.ports import free_port
from tests.support.rabbit import batch_number
from tests.support.waiting import eventually


def fresh(batch: Batch) -> Batch:
    """Return the batch as received now: queues drop what is old."""
    return Batch.of(batch.signal, batch.body, item_count=batch.item_count, received_unix_nano=time.time_ns())


def numbered(count: int, *, spans: int = 1) -> list[Batch]:
    return [fresh(batch_number(index, spans=spans)) for index in range(count)]


def one_of_each() -> list[Batch]:
    bodies = {
        Signal.TRACES: batch_number(1).body,
        Signal.METRICS: metric_request([gauge(number_point(3))]).SerializeToString(),
        # A field that no schema has yet: what is forwarded is the request, not what we understand of it.
        Signal.LOGS: log_request([log_record("it happened")]).SerializeToString() + b"\xfa\x3f\x03new",
    }
    return [fresh(Batch.of(signal, body, item_count=1, received_unix_nano=0)) for signal, body in bodies.items()]


async def second_receiver() -> tuple[OtlpReceiver, RecordingConsumer]:
    kept = RecordingConsumer()
    receiver = build_receiver(ReceiverSettings(grpc_port=0, http_port=0), kept, Counters())
    await receiver.start()
    return receiver, kept


@pytest.mark.parametrize("protocol", ["grpc", "http"])
@pytest.mark.parametrize("compression", ["gzip", "none"])
async def test_a_second_receiver_gets_the_very_bytes(carrier: Carrier, protocol: str, compression: str) -> None:
    """Of every signal, over both protocols, with and without compression; and each once."""
    receiver, kept = await second_receiver()
    try:
        port = receiver.grpc_port if protocol == "grpc" else receiver.http_port
        target = {"name": "second", "endpoint": f"http://127.0.0.1:{port}", "protocol": protocol}
        await carrier.start({**target, "compression": compression})
        sent = [*one_of_each(), fresh(batch_number(9, spans=4_000))]
        for batch in sent:
            await carrier.offer(batch)
        await eventually(lambda: len(kept.batches) == len(sent))
        assert {(b.signal, b.body) for b in kept.batches} == {(b.signal, b.body) for b in sent}
        await eventually(lambda: carrier.counters.total("forward_sent_items") == 4_003)
        await eventually(lambda: carrier.gauge("forward_backlog_oldest_s", "second") == 0)
    finally:
        await carrier.stop()
        await receiver.stop()


async def test_a_dead_and_a_slow_target_cost_the_others_nothing(carrier: Carrier) -> None:
    """The good one has everything while one is dead and one hangs; and the dead one has it all when it rises."""
    async with GrpcTarget() as good, GrpcTarget() as slow:
        slow.delay_s = 3600
        dead_port = free_port()
        await carrier.start(
            {"name": "good", "endpoint": f"http://localhost:{good.port}"},
            {"name": "slow", "endpoint": f"http://localhost:{slow.port}"},
            {"name": "dead", "endpoint": f"http://localhost:{dead_port}"},
        )
        sent = numbered(40)
        for batch in sent:
            await carrier.offer(batch)
        await eventually(lambda: len(good.bodies) == len(sent))
        await eventually(lambda: carrier.gauge("forward_is_failing", "dead") == 1)
        assert Counter(good.bodies) == Counter(batch.body for batch in sent)
        assert slow.bodies == []
        assert carrier.gauge("forward_backlog_oldest_s", "dead") > 0
        async with GrpcTarget(dead_port) as risen:
            await eventually(lambda: set(risen.bodies) == {batch.body for batch in sent}, timeout_s=30)
        await carrier.stop()


async def test_what_waits_outlives_the_exporter(carrier: Carrier) -> None:
    """Stopped while its target is dead and started again, it forwards all; what the target took it does not repeat."""
    port = free_port()
    target = {"name": "later", "endpoint": f"http://localhost:{port}"}
    await carrier.start(target)
    sent = numbered(20)
    for batch in sent:
        await carrier.offer(batch)
    await carrier.stop()
    async with GrpcTarget(port) as risen:
        await carrier.start(target)
        await eventually(lambda: len(risen.bodies) >= len(sent), timeout_s=20)
        await carrier.stop()
        assert Counter(risen.bodies) == Counter(batch.body for batch in sent)


async def test_refusals_for_now_are_repeated_as_the_target_asks(carrier: Carrier) -> None:
    """503 and 429 with Retry-After, UNAVAILABLE, and RESOURCE_EXHAUSTED with RetryInfo: the same bytes come again."""
    async with GrpcTarget() as rpc, HttpSink() as http:
        rpc.answers = [
            (grpc.StatusCode.UNAVAILABLE, "later", None),
            (grpc.StatusCode.RESOURCE_EXHAUSTED, "slower", 0.3),
        ]
        http.answers = [answer(503), answer(429, {"Retry-After": "1"})]
        await carrier.start(
            {"name": "rpc", "endpoint": f"http://localhost:{rpc.port}", "compression": "none"},
            {"name": "web", "endpoint": f"http://127.0.0.1:{http.port}", "protocol": "http", "compression": "none"},
        )
        [batch] = numbered(1)
        await carrier.offer(batch)
        await eventually(lambda: carrier.counters.total("forward_sent_items") == 2)
        assert rpc.bodies == [batch.body]
        assert [posted.body for posted in http.posted] == [batch.body] * 3
        assert http.posted[0].line.split()[1] == "/v1/traces"
        causes = {
            dict(labels)["cause"] for (name, labels) in carrier.counters.snapshot() if name == "forward_failed_attempts"
        }
        assert causes == {"UNAVAILABLE", "RESOURCE_EXHAUSTED", "HTTP 503", "HTTP 429"}
        await carrier.stop()


async def test_refusals_for_good_are_set_aside_and_hold_up_nothing(carrier: Carrier) -> None:
    """The request is in a file with the reason, counted, not sent again; the next one arrives."""
    async with GrpcTarget() as rpc, HttpSink() as http:
        rpc.answers = [(grpc.StatusCode.RESOURCE_EXHAUSTED, "too large", None)]
        http.answers = [answer(400, body=b"bad key s3cret-token")]
        await carrier.start(
            {"name": "rpc", "endpoint": f"http://localhost:{rpc.port}", "max_concurrent": 1},
            {
                "name": "web",
                "endpoint": f"http://127.0.0.1:{http.port}",
                "protocol": "http",
                "max_concurrent": 1,
                "headers": {"Authorization": "Bearer s3cret-token"},
            },
        )
        first, second = numbered(2)
        await carrier.offer(first)
        await carrier.offer(second)
        await eventually(lambda: carrier.counters.total("forward_sent_items") == 2)
        assert carrier.counters.total("forward_refused_items") == 2
        assert rpc.bodies == [second.body]
        assert len(http.posted) == 2
        assert http.posted[0].headers["authorization"] == "Bearer s3cret-token"
        for name, reason in (("rpc", "too large"), ("web", "HTTP 400")):
            [kept] = (carrier.folder / "export-refused" / name).glob("*.pb")
            assert kept.read_bytes() == first.body
            text = kept.with_suffix(".txt").read_text()
            assert reason in text
            assert "s3cret" not in text
        await carrier.stop()


async def test_a_partial_success_is_counted_and_final(carrier: Carrier) -> None:
    """What the target rejected is not among what it took, and nothing is sent again."""
    async with GrpcTarget() as target:
        partial = ExportTracePartialSuccess(rejected_spans=2, error_message="too old")
        target.answers = [ExportTraceServiceResponse(partial_success=partial).SerializeToString()]
        await carrier.start({"name": "picky", "endpoint": f"http://localhost:{target.port}"})
        await carrier.offer(numbered(1, spans=5)[0])
        await eventually(lambda: carrier.counters.total("forward_sent_items") == 3)
        assert carrier.counters.total("forward_rejected_items") == 2
        await carrier.stop()
        assert len(target.bodies) == 1


async def test_a_repeated_request_is_forwarded_once(carrier: Carrier) -> None:
    """A sender's repetition, and what comes back out of a circle, has the same content."""
    async with GrpcTarget() as target:
        await carrier.start({"name": "once", "endpoint": f"http://localhost:{target.port}", "max_concurrent": 1})
        first, second = numbered(2)
        for batch in (first, fresh(first), second):
            await carrier.offer(batch)
        await eventually(lambda: len(target.bodies) == 2)
        assert target.bodies == [first.body, second.body]
        await eventually(lambda: carrier.counters.total("forward_duplicate_items") == 1)
        await carrier.stop()


async def test_repetitions_wait_for_the_first(carrier: Carrier) -> None:
    """While it is under way: what it brought is not sent again, and after its end by a refusal the next one is sent."""
    async with GrpcTarget() as target:
        target.delay_s = 0.3
        target.answers = [(grpc.StatusCode.INVALID_ARGUMENT, "no", None)]
        await carrier.start({"name": "once", "endpoint": f"http://localhost:{target.port}"})
        [first] = numbered(1)
        for _ in range(4):
            await carrier.offer(fresh(first))
        await eventually(lambda: carrier.counters.total("forward_duplicate_items") == 2)
        assert target.bodies == [first.body]
        assert carrier.counters.total("forward_refused_items") == 1
        await carrier.stop()


async def test_a_target_gets_its_signals_and_services_alone(carrier: Carrier) -> None:
    """Of a request with several services the others' entries are gone, and what stays is the same bytes."""
    mine = trace_request([server_span("a", index=1)], resource("shop-fraud")).SerializeToString()
    other = trace_request([server_span("b", index=2)], resource("search")).SerializeToString()
    again = trace_request([server_span("c", index=3)], resource("shop-internal")).SerializeToString()
    mixed = fresh(Batch.of(Signal.TRACES, other + mine + again, item_count=3, received_unix_nano=0))
    metrics = one_of_each()[1]
    async with GrpcTarget() as target:
        await carrier.start(
            {
                "name": "shop",
                "endpoint": f"http://localhost:{target.port}",
                "signals": ["traces"],
                "services": ["shop-*"],
                "excluded_services": ["*-internal"],
            }
        )
        await carrier.offer(metrics)
        await carrier.offer(mixed)
        await eventually(lambda: carrier.counters.total("forward_sent_items") == 1)
        await carrier.stop()
        assert target.bodies == [mine]
        assert carrier.counters.total("forward_filtered_items") == 2


async def test_the_canary_goes_where_it_is_asked_for(disk: DiskCarrier) -> None:
    """ModelWatch's own spans are not among those of a target's services, but where they have its very name."""
    canary = trace_request([server_span("a", index=1)], resource("modelwatch.canary")).SerializeToString()
    mentioned = trace_request([server_span("b", index=2)], resource("not-modelwatch.canary")).SerializeToString()
    batches = [
        fresh(Batch.of(Signal.TRACES, body, item_count=items, received_unix_nano=0))
        for body, items in ((canary, 1), (mentioned, 1), (canary + mentioned, 2))
    ]
    async with GrpcTarget() as open_to_all, GrpcTarget() as asking:
        await disk.start(
            {"name": "all", "endpoint": f"http://localhost:{open_to_all.port}", "max_concurrent": 1},
            {
                "name": "asking",
                "endpoint": f"http://localhost:{asking.port}",
                "services": ["*", "modelwatch.canary"],
                "max_concurrent": 1,
            },
        )
        for batch in batches:
            await disk.offer(batch)
        await eventually(lambda: disk.counters.total("forward_sent_items") == 1 + 4)
        await eventually(lambda: disk.counters.total("forward_duplicate_items") == 1)
        await disk.stop()
        assert open_to_all.bodies == [mentioned]
        assert asking.bodies == [batch.body for batch in batches]
        assert disk.counters.total("forward_filtered_items") == 2


async def test_what_derived_metrics_add_up_passes_the_filter(disk: DiskCarrier) -> None:
    """It has a service's name of its own, and is of services that the target wants; others stay away."""
    mine, rest, other = (
        trace_request([server_span(name, index=index)], resource(name)).SerializeToString()
        for index, name in enumerate(["shop", "otel.metric.overflow", "search"])
    )
    async with GrpcTarget() as target:
        endpoint = f"http://localhost:{target.port}"
        await disk.start({"name": "shop", "endpoint": endpoint, "services": ["shop"], "derived": {}})
        await disk.offer(fresh(Batch.of(Signal.TRACES, mine + rest + other, item_count=3, received_unix_nano=0)))
        await eventually(lambda: disk.counters.total("forward_sent_items") == 2)
        await disk.stop()
        assert target.bodies == [mine + rest]


@pytest.mark.parametrize("protocol", ["grpc", "http"])
async def test_tls_proves_both_sides(carrier: Carrier, protocol: str) -> None:
    """The target's certificate is checked against the authority, ours is shown; another authority's is no target."""
    authority, stranger = trustme.CA(), trustme.CA()
    server, client = authority.issue_cert("localhost"), authority.issue_cert("client")
    for name, ca in (("ca", authority), ("stranger", stranger)):
        ca.cert_pem.write_to_path(carrier.folder / f"{name}.pem")
    client.cert_chain_pems[0].write_to_path(carrier.folder / "client.pem")
    client.private_key_pem.write_to_path(carrier.folder / "client.key")
    chain, key = server.cert_chain_pems[0].bytes(), server.private_key_pem.bytes()
    credentials = grpc.ssl_server_credentials([(key, chain)], authority.cert_pem.bytes(), True)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    async with GrpcTarget(credentials=credentials) as rpc, HttpSink(tls=context) as http:
        port = rpc.port if protocol == "grpc" else http.port
        common = {
            "endpoint": f"https://localhost:{port}",
            "protocol": protocol,
            "compression": "none",
            "client_cert_file": str(carrier.folder / "client.pem"),
            "client_key_file": str(carrier.folder / "client.key"),
        }
        await carrier.start(
            {"name": "right", **common, "ca_file": str(carrier.folder / "ca.pem")},
            {"name": "wrong", **common, "ca_file": str(carrier.folder / "stranger.pem")},
        )
        [batch] = numbered(1)
        await carrier.offer(batch)
        await eventually(lambda: carrier.counters.total("forward_sent_items") == 1)
        await eventually(lambda: carrier.gauge("forward_is_failing", "wrong") == 1)
        assert carrier.gauge("forward_backlog_batches", "wrong") == 1
        await carrier.stop()
        assert (rpc.bodies or [posted.body for posted in http.posted]) == [batch.body]


async def test_a_full_queue_drops_its_oldest_and_counts_them(carrier: Carrier) -> None:
    """Whoever offers is never refused, and every batch is either forwarded later or counted as dropped."""
    port = free_port()
    big = numbered(24, spans=2_000)
    assert sum(len(batch.body) for batch in big) > 4 * 1024**2
    await carrier.start({"name": "full", "endpoint": f"http://localhost:{port}", "queue_max_bytes": 1024**2})
    for batch in big:
        await carrier.offer(batch)
    async with GrpcTarget(port) as risen:
        count = carrier.counters.total
        await eventually(
            lambda: count("forward_sent_items") + count("forward_dropped_items") >= 24 * 2_000, timeout_s=30
        )
        assert big[-1].body in risen.bodies
        await carrier.stop()
        assert count("forward_sent_items") + count("forward_dropped_items") == 24 * 2_000
        assert count("forward_dropped_items") > 0


async def test_what_waited_for_too_long_is_dropped_and_counted(carrier: Carrier) -> None:
    """By its age since it was received, so that a backend that rises after days is not flooded with the past."""
    port = free_port()
    await carrier.start({"name": "late", "endpoint": f"http://localhost:{port}", "queue_max_age_s": 60})
    [batch] = numbered(1, spans=7)
    two_minutes_ago_ns = time.time_ns() - 120 * 10**9
    old = Batch.of(batch.signal, batch.body, item_count=7, received_unix_nano=two_minutes_ago_ns)
    await carrier.offer(old)
    await eventually(lambda: carrier.counters.total("forward_dropped_items") == 7, timeout_s=30)
    reasons = {
        dict(labels)["reason"]
        for (name, labels), n in carrier.counters.snapshot().items()
        if n and name == "forward_dropped_items"
    }
    assert reasons == {"expired"}
    async with GrpcTarget(port) as risen:
        await carrier.offer(young := numbered(2)[1])
        await eventually(lambda: len(risen.bodies) == 1, timeout_s=30)
        assert risen.bodies == [young.body]
        await carrier.stop()
