"""Which instance of a service a resource speaks of, and that the processor notes it with the data."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from processor.component import build_decoder, build_metric_decoder
from processor.instances import instance_of
from processor.settings import ProcessorSettings
from telemetry import ServiceInstance
from tests.support.otlp import merged_request, resource, server_span
from tests.support.otlp_metrics import gauge, metric_request, number_point

FULL = {
    "service.name": "shop",
    "service.instance.id": "a1",
    "host.name": "node-1",
    "process.pid": 41,
    "container.id": "c" * 64,
    "service.version": "1.4.0",
    "deployment.environment.name": "prod",
    "container.name": "shop-1",
    "k8s.namespace.name": "ns",
    "k8s.pod.name": "shop-x",
    "k8s.container.name": "app",
    "telemetry.sdk.language": "python",
    "telemetry.sdk.version": "1.38.0",
}
INSTANCE = ServiceInstance(*map(str, FULL.values()))


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        (FULL, INSTANCE),
        ({"service.name": "shop"}, ServiceInstance("shop")),
        ({"host.name": "node-1", "process.pid": 41}, None),
        ({"service.name": ""}, None),
        (
            {"service.name": "shop", "deployment.environment": "old"},
            ServiceInstance("shop", deployment_environment="old"),
        ),
        ({"service.name": "s" * 99, "host.name": "a\0b"}, ServiceInstance("s" * 64, host_name="a\ufffdb")),
    ],
    ids=["everything", "a name only", "no service", "an empty name", "the old environment", "texts that are too much"],
)
def test_an_instance_is_what_the_resource_says(attributes: Any, expected: ServiceInstance | None) -> None:
    """Every field from its attribute; without a service there is no instance of one."""
    assert instance_of(attributes, 64) == expected


@pytest.mark.parametrize(
    ("instance", "name"),
    [
        (INSTANCE, "a1"),
        (ServiceInstance("shop", host_name="node-1", process_pid="41"), "node-1:41"),
        (ServiceInstance("shop", host_name="node-1"), "node-1"),
        (ServiceInstance("shop"), ""),
    ],
)
def test_an_instance_is_called_by_its_id_or_by_host_and_pid(instance: ServiceInstance, name: str) -> None:
    """As far as they are known."""
    assert instance.name == name


def full_resource(**more: Any) -> Resource:
    return resource(None, **(FULL | more))


def test_spans_name_the_instances_that_they_came_from() -> None:
    """One for each resource that names a service, also when the batch or the resource comes again."""
    decoder = build_decoder(ProcessorSettings())
    groups = [(full_resource(), [server_span()]), (resource("b"), [server_span()]), (full_resource(), [])]
    body = merged_request([*groups, (resource(None), [server_span()])]).SerializeToString()
    for _ in range(2):
        assert decoder.decode(body, latest_end_ns=2**62).instances == {INSTANCE, ServiceInstance("b")}


def test_metrics_name_an_instance_only_if_an_sdk_sent_them() -> None:
    """What a Collector says of containers and processes is about others, whatever its resource is called."""
    decoder = build_metric_decoder(ProcessorSettings())

    def instances(of: Resource) -> frozenset[ServiceInstance]:
        body = metric_request([gauge(number_point())], of).SerializeToString()
        return decoder.decode(body, latest_ns=2**62).instances

    assert instances(full_resource()) == {INSTANCE}
    assert not instances(resource("shop", process__pid=41, host__name="node-1"))
