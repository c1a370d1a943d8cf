"""What a visitor asks of each API: mostly sensible questions, some mistakes, now and then one that no model can digest.

Pure but for the random generator passed in; `generator` sends what is made here.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from examples.traffic.handwriting import draw_digit

Json = dict[str, Any] | list[Any]


@dataclass(frozen=True)
class Visit:
    """One request; `body` is sent as JSON unless it is None."""

    method: str
    path: str
    body: Json | None = None


Maker = Callable[[random.Random], Visit]


def measurements(rng: random.Random) -> dict[str, float]:
    """Return a plausible tumour: the bigger, the rougher."""
    size = rng.gauss(0, 1)
    radius = max(6.0, 14.1 + 3.4 * size)
    roughness = max(0.2, 1 + 0.35 * size + rng.gauss(0, 0.25))
    return {
        "radius": radius,
        "texture": max(9.0, rng.gauss(19.3 + size, 4)),
        "perimeter": 2 * math.pi * radius * rng.uniform(1.01, 1.08),
        "area": math.pi * radius**2 * rng.uniform(0.97, 1.03),
        "smoothness": max(0.05, rng.gauss(0.096, 0.012)),
        "compactness": 0.104 * roughness,
        "concavity": 0.089 * roughness,
        "concave_points": 0.049 * roughness,
        "symmetry": max(0.1, rng.gauss(0.181, 0.025)),
        "fractal_dimension": max(0.05, rng.gauss(0.063, 0.006)),
    }


def patient(rng: random.Random) -> dict[str, float]:
    """Return a plausible blood test."""
    hdl = min(99.0, max(22.0, rng.gauss(50, 13)))
    ldl = min(240.0, max(42.0, rng.gauss(115, 30)))
    return {
        "age": rng.randint(19, 79),
        "sex": rng.choice((1, 2)),
        "bmi": min(42.0, max(18.0, rng.gauss(26.4, 4.4))),
        "blood_pressure": min(133.0, max(62.0, rng.gauss(95, 14))),
        "cholesterol": hdl + ldl + rng.uniform(10, 40),
        "ldl": ldl,
        "hdl": hdl,
        "triglycerides": min(450.0, 104 * rng.lognormvariate(0, 0.5)),
        "glucose": min(124.0, max(58.0, rng.gauss(91, 11))),
    }


def image(rng: random.Random) -> dict[str, list[list[int]]]:
    """Return a digit in somebody's hand."""
    return {"pixels": draw_digit(rng.randrange(10), rng)}


def several(make: Callable[[random.Random], Any], rng: random.Random, at_most: int) -> list[Any]:
    """Return 2 to `at_most` of them."""
    return [make(rng) for _ in range(rng.randint(2, at_most))]


HEALTH: Maker = lambda rng: Visit("GET", "/health")  # noqa: E731
OLD_PATH: Maker = lambda rng: Visit("GET", "/v1/predict")  # noqa: E731

TUMOUR_CLASSIFIER: dict[Maker, float] = {
    lambda rng: Visit("POST", "/predict", measurements(rng)): 45,
    lambda rng: Visit("GET", f"/patients/{rng.randrange(569)}/diagnosis"): 34,
    lambda rng: Visit("POST", "/predict/batch", several(measurements, rng, 40)): 12,
    lambda rng: Visit("GET", f"/patients/{rng.randint(569, 9999)}/diagnosis"): 1.2,
    lambda rng: Visit("POST", "/predict", measurements(rng) | {"radius": -1.0}): 1.2,
    lambda rng: Visit("POST", "/predict", {"radius": 14.1}): 0.5,
    lambda rng: Visit("POST", "/predict", measurements(rng) | {"area": 0.0}): 0.1,
    HEALTH: 3,
    OLD_PATH: 0.5,
}
DIABETES_REGRESSOR: dict[Maker, float] = {
    lambda rng: Visit("POST", "/predict", patient(rng)): 70,
    lambda rng: Visit("POST", "/predict/batch", several(patient, rng, 100)): 14,
    lambda rng: Visit("POST", "/explain", {"patient": patient(rng), "effort_s": 0.02}): 8,
    lambda rng: Visit("POST", "/predict", patient(rng) | {"sex": "f"}): 1.5,
    lambda rng: Visit("POST", "/predict/batch", []): 0.5,
    lambda rng: Visit("POST", "/predict", patient(rng) | {"triglycerides": 0}): 0.1,
    HEALTH: 4,
    OLD_PATH: 0.5,
}
DIGITS_READER: dict[Maker, float] = {
    lambda rng: Visit("POST", "/predict", image(rng)): 45,
    lambda rng: Visit("GET", f"/scans/{rng.randrange(1797)}/reading"): 30,
    lambda rng: Visit("POST", "/predict/batch", several(image, rng, 30)): 10,
    lambda rng: Visit("POST", "/predict/stream", several(image, rng, 6)): 8,
    lambda rng: Visit("GET", f"/scans/{rng.randint(1797, 9999)}/reading"): 1.2,
    lambda rng: Visit("POST", "/predict", {"pixels": [[0] * 8] * 7}): 1.5,
    lambda rng: Visit("POST", "/predict", {"pixels": [[0] * 8] * 8}): 0.1,
    HEALTH: 3,
    OLD_PATH: 0.5,
}
MIXES: Mapping[str, dict[Maker, float]] = {
    "tumour-classifier": TUMOUR_CLASSIFIER,
    "diabetes-regressor": DIABETES_REGRESSOR,
    "digits-reader": DIGITS_READER,
}


def next_visit(service: str, rng: random.Random) -> Visit:
    """Draw the next request to this API from its mix."""
    mix = MIXES[service]
    return rng.choices(list(mix), list(mix.values()))[0](rng)
