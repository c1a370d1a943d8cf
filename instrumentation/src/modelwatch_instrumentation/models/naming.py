"""What a model is called: by its owner, by its own metadata, by the process, or else by its class.

Found out once for each model object; nothing is written to the object, so that pickles and clones stay as they are.
"""

from __future__ import annotations

import logging
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from opentelemetry import trace

from modelwatch_instrumentation.models import schema
from modelwatch_instrumentation.models.capture import MAX_CHARS, Scalar, scalar_of

_logger = logging.getLogger(__name__)

NAME_ATTRIBUTE: Final = "ml_model_name"
VERSION_ATTRIBUTE: Final = "ml_model_version"

Metadata = Callable[[Any], tuple[object, object]]
"""Reads name and version from what a library stores with a model; None for what it does not know."""


@dataclass(frozen=True, slots=True)
class Framework:
    """A library: its name for people, and the distributions that may have brought it, for the version."""

    name: str
    distributions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Description:
    """A model's name and version, and all attributes that its spans have in common."""

    name: str
    version: str | None = None
    attributes: dict[str, Scalar] = field(default_factory=dict)


class Registry:
    """Descriptions by the identity of the model, for as long as the model lives."""

    def __init__(self) -> None:
        self._descriptions: dict[int, tuple[weakref.ref[Any], Description]] = {}
        self._names: dict[int, tuple[weakref.ref[Any], tuple[str, str | None]]] = {}

    def name(self, model: Any, name: str, version: str | None) -> None:
        """Give a model its name; counts over everything else."""
        key = id(model)
        try:
            reference = weakref.ref(model, lambda _: self._names.pop(key, None))
        except TypeError:
            _logger.warning("a %s cannot be named: it allows no weak references", type(model).__name__)
            return
        self._names[key] = reference, (name, version)
        self._descriptions.pop(key, None)

    def name_of(self, model: Any) -> tuple[object, object]:
        """Return what `name` was told of a model."""
        known = self._names.get(id(model))
        return known[1] if known is not None and known[0]() is model else (None, None)

    def describe(self, model: Any, framework: Framework, metadata: Metadata) -> Description:
        """Return the model's description."""
        key = id(model)
        known = self._descriptions.get(key)
        if known is not None and known[0]() is model:
            return known[1]
        description = _described(model, framework, metadata, self.name_of)
        try:
            self._descriptions[key] = weakref.ref(model, lambda _: self._descriptions.pop(key, None)), description
        except TypeError:  # its class has no room for weak references: described anew each time
            pass
        return description


@cache
def registry() -> Registry:
    """Return the registry of this process."""
    return Registry()


def name_model(model: Any, name: str, version: str | None = None) -> None:
    """Call a model object by a name and a version from now on; one without weak references, as a dict, has none."""
    registry().name(model, name, version)


def no_metadata(_model: Any) -> tuple[object, object]:
    """Return nothing: the library stores no metadata with a model."""
    return None, None


def process_model() -> tuple[object, object]:
    """Return the model name and version in the resource of this process."""
    resource = getattr(trace.get_tracer_provider(), "resource", None)
    attributes = getattr(resource, "attributes", {})
    return attributes.get(schema.MODEL_NAME), attributes.get(schema.MODEL_VERSION)


def _described(model: Any, framework: Framework, metadata: Metadata, name_of: Metadata) -> Description:
    layers = list(_layers(model))
    of_process = process_model()
    candidates = [source(layer) for source in (name_of, _own_attributes, metadata) for layer in layers]
    name = next((text for found, _ in candidates if (text := _text(found))), None)
    own_version = next((text for _, found in candidates if (text := _text(found))), None)
    if name is None or name == _text(of_process[0]):
        name = name or _text(of_process[0])
        own_version = own_version or _text(of_process[1])
    cls = type(layers[-1])
    attributes: dict[str, Scalar] = {schema.FRAMEWORK_NAME: framework.name}
    if (framework_version := _version_of(framework)) is not None:
        attributes[schema.FRAMEWORK_VERSION] = framework_version
    attributes[schema.MODEL_CLASS] = f"{cls.__module__}.{cls.__qualname__}"[:MAX_CHARS]
    return Description(name or cls.__name__[:MAX_CHARS], own_version, attributes)


def _layers(model: Any) -> Iterator[Any]:
    """Yield the model, and what does its work if it is a pipeline or the result of a search."""
    for _ in range(8):
        yield model
        steps = getattr(model, "steps", None)
        inner = steps[-1][1] if isinstance(steps, list) and steps else getattr(model, "best_estimator_", None)
        if inner is None or isinstance(inner, str):
            return
        model = inner


def _own_attributes(model: Any) -> tuple[object, object]:
    """Return what was set on the model itself, such as before it was pickled."""
    own = getattr(model, "__dict__", {})
    return own.get(NAME_ATTRIBUTE), own.get(VERSION_ATTRIBUTE)


def _text(value: object) -> str | None:
    kept = scalar_of(value)
    return None if kept is None or kept == "" else str(kept)


@cache
def _version_of(framework: Framework) -> str | None:
    for distribution in framework.distributions:
        try:
            return version(distribution)
        except PackageNotFoundError:
            continue
    return None
