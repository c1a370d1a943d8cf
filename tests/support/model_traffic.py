"""Traffic of fourteen made-up model services, second by second, as RED points: two of them in trouble.

For looking at pages and testing them; the same seed gives the same traffic.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from telemetry import ExponentialHistogram, RedPoint, SeriesKey


@dataclass(frozen=True)
class Model:
    """A service's usual rate, median duration and shares of errors; `slow_from_s` and `burst` are its incidents."""

    name: str
    version: str
    rate_per_s: float
    median_s: float
    error_rate: float = 0.001
    client_error_rate: float = 0.004
    environment: str = "production"
    slow_factor: float = 1.0
    burst_error_rate: float = 0.0


MODELS = (
    Model("churn-xgb", "2.9", 12, 0.064),
    Model("ctr-ranker", "18.0", 110, 0.021, 0.0004),
    Model("doc-ocr", "2.2", 4, 0.34, 0.002),
    Model("eta-regressor", "7.3", 60, 0.047),
    Model("fraud-scorer", "4.2.1", 45, 0.038),
    Model("img-moderation", "5.0", 14, 0.24, 0.004, slow_factor=5.0),
    Model("lead-score", "1.1", 6, 0.033, 0.0, 0.03),
    Model("ltv-forecast", "3.3", 0.2, 0.071, 0.0),
    Model("next-basket", "6.2", 31, 0.055),
    Model("price-elasticity", "0.9", 3, 0.088, environment="staging"),
    Model("search-embed", "3.1", 88, 0.029, 0.0002),
    Model("speech-intent", "1.8", 18, 0.11, 0.003, burst_error_rate=0.11),
    Model("summarizer-sm", "0.4", 3, 0.12, environment="staging"),
    Model("toxicity-bert", "1.4", 21, 0.13, 0.003),
)


def traffic(start_s: int, end_s: int, trouble_from_s: int, seed: int = 7) -> Iterator[RedPoint]:
    """Yield the points of [start_s, end_s); incidents begin at `trouble_from_s`."""
    for second in range(start_s, end_s):
        for index, model in enumerate(MODELS):
            chance = np.random.default_rng((seed, second, index))
            yield from _points(model, second, second >= trouble_from_s, index, chance)


def _points(
    model: Model, second: int, is_in_trouble: bool, index: int, chance: np.random.Generator
) -> Iterator[RedPoint]:
    rate = model.rate_per_s * (1 + 0.22 * math.sin(second / 41 + index))
    median_s = model.median_s * (1 + 0.12 * math.sin(second / 29 + 2 * index))
    if is_in_trouble:
        median_s *= model.slow_factor
    error_rate = model.burst_error_rate if is_in_trouble and model.burst_error_rate else model.error_rate
    calls = int(chance.poisson(rate))
    errors = int(chance.binomial(calls, error_rate))
    client_errors = int(chance.binomial(calls - errors, model.client_error_rate))
    batch_calls = int(chance.binomial(calls - errors - client_errors, 0.2))
    parts = (
        ("/predict", "2xx", calls - errors - client_errors - batch_calls, 0, 1.0),
        ("/predict/batch", "2xx", batch_calls, 0, 1.6),
        ("/predict", "4xx", client_errors, 0, 0.2),
        ("/predict", "5xx", errors, errors, 1.2),
    )
    for route, status_class, count, failed, factor in parts:
        if count:
            durations_ns = chance.lognormal(math.log(median_s * factor), 0.35, count) * 1e9
            series = SeriesKey(
                service_name=model.name,
                service_version=model.version,
                service_instance_id=f"{model.name}-1",
                deployment_environment=model.environment,
                http_method="POST",
                http_route=route,
                http_status_class=status_class,
            )
            yield RedPoint(series, second, count, failed, ExponentialHistogram.of(durations_ns.astype(np.int64)))
