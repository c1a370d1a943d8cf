"""Which container or process a series of metrics is about.

Pure; by the labels of the resource, under the names that are in `sources.py`.
"""

from __future__ import annotations

from query.resources import sources as names
from query.resources.answers import ResourceIdentity, ResourceKind
from telemetry.conventions import UNKNOWN_SERVICE
from telemetry.metric_series import MetricSeriesKey, labels_of


def identity_of(kind: ResourceKind, series: MetricSeriesKey) -> ResourceIdentity | None:
    """Return what the series is about, `None` if it does not say."""
    labels = {**labels_of(series.attributes), **labels_of(series.resource)}
    return _process(series, labels) if kind == "process" else _container(labels)


def _container(labels: dict[str, str]) -> ResourceIdentity | None:
    def label(name: str) -> str:
        return labels.get(name, "")

    pod, in_pod = label(names.K8S_POD), label(names.K8S_CONTAINER)
    container_id, name, host = label(names.CONTAINER_ID), label(names.CONTAINER_NAME), label(names.HOST_NAME)
    # In Kubernetes pod and container come first: its receivers do not all tell the id.
    if pod and in_pod:
        id_ = "/".join(filter(None, (label(names.K8S_NAMESPACE), pod, in_pod)))
    elif container_id:
        id_ = container_id
    elif name:
        id_ = f"{host}:{name}" if host else name
    else:
        return None
    return ResourceIdentity(
        kind="container",
        id=id_,
        name=f"{pod}/{in_pod}" if pod and in_pod else name or container_id[:12],
        host=host or label("k8s.node.name"),
        container_id=container_id,
        container_name=name,
        image=label(names.IMAGE_NAME),
        compose_project=label(names.COMPOSE_PROJECT),
        compose_service=label(names.COMPOSE_SERVICE),
        k8s_namespace=label(names.K8S_NAMESPACE),
        k8s_pod=pod,
        k8s_container=in_pod,
    )


def _process(series: MetricSeriesKey, labels: dict[str, str]) -> ResourceIdentity | None:
    pid, host = labels.get(names.PROCESS_PID, ""), labels.get(names.HOST_NAME, "")
    if not pid:
        return None
    is_named = series.service_name != UNKNOWN_SERVICE
    executable = labels.get(names.EXECUTABLE, "")
    return ResourceIdentity(
        kind="process",
        id=f"{host}:{pid}",
        name=f"{executable or 'process'} {pid}",
        host=host,
        container_id=labels.get(names.CONTAINER_ID, ""),
        pid=pid,
        line=labels.get(names.PROCESS_LINE, ""),
        reported_service=series.service_name if is_named else "",
        reported_instance=series.service_instance_id if is_named else "",
    )
