"""Open a drawer by its handle; take the box out of it and put it on the case."""

from __future__ import annotations

from itertools import count
from typing import Any

import numpy as np

from controllers.hand import FloatArray, Hand, Moves, up

OPEN, CLOSED = 0.05, 0.0
ABOVE = 0.07  # metres above the handle, and above the box, from which the fingers come down


class Pulling:
    """Drawer: the fingers, which nothing moves, press on the handle and take it along."""

    def __init__(self, env: Any) -> None:
        self._hand, self._goal = Hand(env), env.goal[:3]

    def moves(self) -> Moves:
        hand = self._hand
        yield from hand.go(lambda: hand.object(0) + up(ABOVE), 0.005)
        yield from hand.go(lambda: hand.object(0) + up(0.028), 0.005, patience=8)
        for _ in count():
            pull = hand.at + (self._goal - hand.object(0))
            pull[1] = hand.object(0)[1]
            action = hand.toward(pull)
            action[2] = -1.0
            yield action


class Unpacking:
    """DrawerBox: takes hold of the handle and pulls; then of the box, which it lifts out."""

    def __init__(self, env: Any) -> None:
        self._hand, self._goals = Hand(env), env.goal.reshape(2, 3)

    def moves(self) -> Moves:
        hand, (opened, placed) = self._hand, self._goals

        def pull() -> FloatArray:
            return (opened - hand.object(0)) * [1.0, 0.0, 0.0]

        yield from self._grasp(0)
        yield from hand.go(lambda: hand.at + pull(), 0.01, most=0.8)
        hand.opening = OPEN
        yield from hand.stay(1)
        yield from self._rise(hand.object(0)[2] + 0.08)
        yield from self._grasp(1)
        yield from self._rise(placed[2] + 0.03)
        yield from hand.go(lambda: hand.at + placed + up(0.03) - hand.object(1), 0.02)
        yield from hand.go(lambda: hand.at + placed + up(0.006) - hand.object(1), 0.006)
        hand.opening = OPEN
        yield from hand.stay(1)
        yield from self._rise(placed[2] + ABOVE)
        yield from hand.stay(1000)

    def _grasp(self, index: int) -> Moves:
        hand = self._hand
        hand.opening = OPEN
        yield from hand.go(lambda: hand.object(index) + up(ABOVE), 0.01)
        yield from hand.go(lambda: hand.object(index), 0.008)
        hand.opening = CLOSED
        for _ in range(4):
            before = hand.fingers
            yield hand.toward(hand.object(index))
            if before - hand.fingers < 0.001:
                break

    def _rise(self, height: float) -> Moves:
        hand = self._hand
        place = np.append(hand.at[:2], height)
        yield from hand.go(lambda: place, 0.02)
