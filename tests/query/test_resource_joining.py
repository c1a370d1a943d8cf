"""Whose a container or process is, by what instances and resources say of themselves."""

from __future__ import annotations

import pytest

from query.resources.answers import Match, ResourceIdentity
from query.resources.joining import owners_of
from telemetry import SeenInstance, ServiceInstance

LONG_ID = "4f1c07be2d5a" + "0" * 52
OTHER_ID = "aaaaaaaaaaaa" + "0" * 52


def box(id_: str = LONG_ID, **fields: str) -> ResourceIdentity:
    identity = {"name": "web-1", "host": "node-1", "container_id": id_, "container_name": "web-1", **fields}
    return ResourceIdentity("container", id_, **identity)


def pod(name: str = "web-x", container: str = "app", namespace: str = "ns") -> ResourceIdentity:
    fields = {"k8s_namespace": namespace, "k8s_pod": name, "k8s_container": container}
    return ResourceIdentity("container", f"{namespace}/{name}/{container}", f"{name}/{container}", **fields)


def process(pid: str = "41", host: str = "node-1", **fields: str) -> ResourceIdentity:
    return ResourceIdentity("process", f"{host}:{pid}", f"python3 {pid}", host=host, pid=pid, **fields)


def instance(**fields: str) -> ServiceInstance:
    return ServiceInstance("shop", fields.pop("id", "i1"), **fields)


CASES: dict[str, tuple[ServiceInstance, list[ResourceIdentity], Match, list[str]]] = {
    "the whole id": (instance(container_id=LONG_ID), [box(), box(OTHER_ID)], "container.id", [LONG_ID]),
    "its first twelve digits": (instance(container_id=LONG_ID[:12]), [box(), box(OTHER_ID)], "container.id", [LONG_ID]),
    "a shorter id in the metrics": (
        instance(container_id=LONG_ID),
        [box(LONG_ID[:12])],
        "container.id",
        [LONG_ID[:12]],
    ),
    "eleven digits are too few": (instance(container_id=LONG_ID[:11]), [box()], "", []),
    "the same beginning, another end": (instance(container_id=LONG_ID[:-1] + "1"), [box()], "", []),
    "the host of a container": (instance(host_name=LONG_ID[:12], process_pid="1"), [box()], "host.name", [LONG_ID]),
    "a host that only looks like one": (instance(host_name="deadbeef", process_pid="1"), [box()], "", []),
    "the pod and its container": (
        instance(k8s_namespace="ns", k8s_pod="web-x", k8s_container="app"),
        [pod(), pod(container="sidecar"), pod("web-y")],
        "k8s pod",
        ["ns/web-x/app"],
    ),
    "the pod alone has all of its containers": (
        instance(k8s_pod="web-x"),
        [pod(), pod(container="sidecar")],
        "k8s pod",
        ["ns/web-x/app", "ns/web-x/sidecar"],
    ),
    "a pod of the same name elsewhere": (instance(k8s_namespace="other", k8s_pod="web-x"), [pod()], "", []),
    "the container's name": (instance(container_name="web-1"), [box()], "container.name", [LONG_ID]),
    "the name on two hosts, the right one": (
        instance(container_name="web-1", host_name="node-2"),
        [box(), box(OTHER_ID, host="node-2")],
        "container.name",
        [OTHER_ID],
    ),
    "the name on two hosts, neither of them": (
        instance(container_name="web-1", host_name="else"),
        [box(), box(OTHER_ID, host="node-2")],
        "",
        [],
    ),
    "host and pid": (
        instance(host_name="node-1", process_pid="41"),
        [process(), process("42"), process("41", "node-2")],
        "process.pid",
        ["node-1:41"],
    ),
    "a process and its workers": (
        instance(host_name="node-1", process_pid="41"),
        [
            process(reported_service="shop", reported_instance="i1"),
            process("42", reported_service="shop", reported_instance="i1"),
        ],
        "process.pid",
        ["node-1:41", "node-1:42"],
    ),
    "an instance id in the metrics": (
        instance(),
        [process(reported_service="shop", reported_instance="i1"), process("42")],
        "service.instance.id",
        ["node-1:41"],
    ),
    "a compose service of that name": (instance(), [box(compose_service="shop")], "name", [LONG_ID]),
    "the name in two projects is a guess": (
        instance(),
        [box(compose_service="shop", compose_project="a"), box(OTHER_ID, compose_service="shop", compose_project="b")],
        "",
        [],
    ),
    "no name for who says where it runs": (
        instance(host_name="node-9", process_pid="3"),
        [box(compose_service="shop")],
        "",
        [],
    ),
    "a container stands for its processes": (
        instance(container_id=LONG_ID, host_name="node-1", process_pid="41"),
        [box(), process(container_id=LONG_ID, reported_service="shop", reported_instance="i1")],
        "container.id",
        [LONG_ID],
    ),
    "nothing is known": (instance(), [box(), process()], "", []),
}


@pytest.mark.parametrize("name", CASES)
def test_an_instance_is_joined_with_what_runs_it(name: str) -> None:
    """By the first rule that finds anything, and with nothing rather than with a guess."""
    of, resources, match, ids = CASES[name]
    owners = owners_of([SeenInstance(of, 0, 100)], resources)
    assert sorted(id_ for _, id_ in owners) == sorted(ids)
    assert {owner.matched_by for owner in owners.values()} == ({match} if ids else set())
    assert {owner.service for owner in owners.values()} <= {"shop"}


def test_the_instance_that_was_heard_of_last_is_the_owner() -> None:
    """A pid is used again, and a host is named anew."""
    old = SeenInstance(ServiceInstance("old", "a", "node-1", "41"), 0, 100)
    new = SeenInstance(ServiceInstance("new", "b", "node-1", "41", deployment_environment="prod"), 100, 200)
    (owner,) = owners_of([old, new], [process()]).values()
    assert (owner.service, owner.instance, owner.environment) == ("new", "b", "prod")


def test_processes_whose_metrics_name_a_service_need_no_instance() -> None:
    """Such as workers of an instance that was never heard of."""
    (owner,) = owners_of([], [process(reported_service="shop", reported_instance="x")]).values()
    assert (owner.service, owner.matched_by) == ("shop", "service.instance.id")


def test_a_pid_of_another_service_is_not_ones_own() -> None:
    """Whom the metrics name is believed; the pid may have been used before."""
    seen = SeenInstance(instance(host_name="node-1", process_pid="41"), 0, 100)
    (owner,) = owners_of([seen], [process(reported_service="other")]).values()
    assert owner.service == "other"
