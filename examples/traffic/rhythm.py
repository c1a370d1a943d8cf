"""How many visits per second each API gets at any moment: a slow wave with noise, its own for each API.

Pure; `generator` asks it before every visit.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

NOISE_WINDOW_S = 4.0
NOISE_SIGMA = 0.18


@dataclass(frozen=True)
class Rhythm:
    """A wave around this API's share of all visits: `depth` is its height relative to the mean, 0 to 1."""

    share: float
    period_s: float
    phase: float
    depth: float = 0.45

    def rate_per_s(self, elapsed_s: float, total_per_s: float, seed: str = "") -> float:
        """Return the rate at this moment; noise is log-normal, steady for 4 s, and follows from the seed."""
        wave = 1 + self.depth * math.sin(2 * math.pi * elapsed_s / self.period_s + self.phase)
        noise = random.Random(f"{seed}/{elapsed_s // NOISE_WINDOW_S}").lognormvariate(0, NOISE_SIGMA)
        return total_per_s * self.share * wave * noise


RHYTHMS = {
    "tumour-classifier": Rhythm(share=0.34, period_s=95, phase=0.0),
    "diabetes-regressor": Rhythm(share=0.26, period_s=140, phase=2.1),
    "digits-reader": Rhythm(share=0.40, period_s=70, phase=4.2),
}
