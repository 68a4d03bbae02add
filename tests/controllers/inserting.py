"""Put the closed fingers into the hole: over it, then down."""

from __future__ import annotations

from itertools import count
from typing import Any

import numpy as np

from controllers.hand import Hand, Moves, up

TIP = 0.02  # metres from the grip site down to the tip
OVER = 0.12  # metres above the bottom of the hole where the grip site may move freely


class Inserting:
    """Moves over the hole, and down once it is there."""

    def __init__(self, env: Any) -> None:
        self._hand, self._bottom = Hand(env), env.goal

    def moves(self) -> Moves:
        hand, bottom = self._hand, self._bottom
        for _ in count():
            beside = np.linalg.norm(hand.at[:2] - bottom[:2])
            outside = hand.at[2] > bottom[2] + OVER - 0.03
            yield hand.toward(bottom + up(OVER if outside and beside > 0.008 else TIP))
