"""The rule that reads from a resource which instance of a service it speaks of.

Pure; applied once for each resource that the decoders meet.
"""

from __future__ import annotations

from typing import Final

from processor.derivation import Attributes, text_of
from telemetry import ServiceInstance
from telemetry import conventions as names

_KEYS: Final = (
    (names.SERVICE_NAME,),
    (names.SERVICE_INSTANCE_ID,),
    (names.HOST_NAME,),
    (names.PROCESS_PID,),
    (names.CONTAINER_ID,),
    (names.SERVICE_VERSION,),
    (names.DEPLOYMENT_ENVIRONMENT, names.DEPLOYMENT_ENVIRONMENT_OLD),
    (names.CONTAINER_NAME,),
    (names.K8S_NAMESPACE,),
    (names.K8S_POD,),
    (names.K8S_CONTAINER,),
    (names.SDK_LANGUAGE,),
    (names.SDK_VERSION,),
)
"""For each field of a `ServiceInstance` the attributes that may tell it, the first one that does counts."""

INSTANCE_KEYS: Final = frozenset(key for keys in _KEYS for key in keys) | {names.MEASURED_BY}


def instance_of(attributes: Attributes, text_limit_chars: int) -> ServiceInstance | None:
    """Return the instance that a resource names, with texts cut off; `None` if it names no service.

    A process that is measured from outside is no instance by that: it may be a child that serves nothing. Nor is the
    canary.
    """
    name = attributes.get(names.SERVICE_NAME)
    if not name or name == names.CANARY_SERVICE_NAME or attributes.get(names.MEASURED_BY):
        return None
    return ServiceInstance(
        *(
            next((text for key in keys if (text := text_of(attributes.get(key), text_limit_chars))), "")
            for keys in _KEYS
        )
    )
