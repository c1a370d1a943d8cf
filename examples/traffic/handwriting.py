"""Handwritten digits without a data set: one model of each, drawn a little differently every time.

Pure but for the random generator passed in; `visits` sends them to digits-reader.
"""

from __future__ import annotations

import random

SHADES = " .:oO@"
DARKEST = 16
MODELS = """\
  .Oo   |   OO:  |  o@@.  | .O@@@. |   o@.  | .O@@@o |   OO   |  .O@@@o|  :O@o  |  OO
 .@O@o  |   o@o  | .@OOo  | Oo..@: |  .@o   | :@o:.  |  :@.   |  o@OO@:| .O:.o: | :@OOO
 :@. O. |  .@@:  | .@ oo  | .  oO  |  OO:o  | :@:.   |  Oo    |     Oo | :@: oo | oO @@.
 oO  oo | :@@@.  |    @o  |   @@.  | :@.OO. | o@@@:  |  O:    |    :@. |  :@oO. | .@O@@o
 oO  oo |   @@.  |   oO   |   .@o  | O@o@@o | .o.o@  |  @O@o. |  OO@@: |  .@@:  |  :o.oO
 oO  oo |   @@:  |  o@:   |     Oo | O@@@o  |    O@  | .@@oo@.|  @@@o. |  @oO:  |     :@
 .@OO@. |   @@:  | :@@O:: |  : .Oo |   :@.  |  .O@:  |  oO .@:|   @:   |  @:oO  |  :  o@
  o@O:  |   o@o  |  ::O@@.| .@@@o  |   oO   | .@@o   |   O@@@ |  :O.   |  .O@o  |  O@@@:"""


def draw_digit(digit: int, rng: random.Random) -> list[list[int]]:
    """Return eight rows of eight pixels, 0 for paper to 16 for ink: the model of this digit with uneven pressure."""
    return [[_pressed(shade, rng) for shade in line.split("|")[digit].ljust(8)] for line in MODELS.splitlines()]


def _pressed(shade: str, rng: random.Random) -> int:
    ink = DARKEST * SHADES.index(shade) / (len(SHADES) - 1)
    return min(DARKEST, max(0, round(ink + rng.gauss(0, 1)))) if ink else 0
