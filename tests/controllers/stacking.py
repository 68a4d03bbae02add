"""Build a tower: grasp, carry, put down, cube by cube."""

from __future__ import annotations

from itertools import count, product
from typing import Any

import numpy as np

from controllers.hand import FloatArray, Hand, Moves, up

HALF = 0.025  # of a cube, metres
BELOW = 0.016  # metres that the fingers reach below the grip site
MARGIN = 0.007
OPEN, NARROW, CLOSED = 0.05, 0.032, 0.0
SHIFT = 0.036  # metres that the tower may stand beside its goal


class Stacking:
    """Puts cube i onto cube i - 1, the first one onto the table at its goal, or near it.

    A cube that stands where the tower shall be is dragged aside first.
    """

    def __init__(self, env: Any) -> None:
        self._hand, self._goals = Hand(env), env.goal.reshape(-1, 3)
        self._number = len(self._goals)

    def moves(self) -> Moves:
        yield from self._clear_the_place()
        base = self._place()
        for index in range(self._number):
            rest = base if index == 0 else self._hand.object(index - 1) + up(2 * HALF)
            if np.linalg.norm(self._hand.object(index) - rest) > 0.012:
                yield from self._grasp(index)
                yield from self._put(index, rest)
        top = self._hand.at + up(0.1)
        for _ in count():
            yield self._hand.toward(top)

    # Where the tower shall stand
    # ---------------------------

    def _others(self, *indices: int) -> list[FloatArray]:
        return [self._hand.object(i) for i in range(self._number) if i not in indices]

    def _place(self) -> FloatArray:
        """The free point that is nearest to the goal of the first cube."""
        goal, first = self._goals[0], self._hand.object(0)
        offsets = sorted(product(np.linspace(-1, 1, 19), repeat=2), key=np.linalg.norm)
        near = SHIFT * np.array([[*o, 0.0] for o in offsets if np.linalg.norm(o) <= 1])
        stays = [first] if np.linalg.norm(first - goal) < SHIFT else []
        for room in (1.45, 1.0):
            for place in [*stays, *(goal + near)]:
                if not any(_collide(place, other, room) for other in self._others(0)):
                    return np.asarray(place)
        return goal

    def _clear_the_place(self) -> Moves:
        for index in range(1, self._number):
            place = self._place()
            if _collide(place, self._hand.object(index)):
                yield from self._grasp(index)
                yield from self._drag(index, self._goals[0])

    def _drag(self, index: int, place: FloatArray) -> Moves:
        """Along the table, out of the way."""
        hand, start = self._hand, self._hand.object(index)
        others = self._others(index)

        def cost(spot: FloatArray) -> float:
            free = all(_distance(spot, other) > 0.075 for other in others)
            return float(np.linalg.norm(spot - start)) + (0 if free else 1)

        angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
        ring = np.column_stack([np.cos(angles), np.sin(angles), np.zeros(24)])
        spot = min((place + 0.1 * offset for offset in ring), key=cost)
        hold = hand.at - start
        yield from hand.go(lambda: spot + hold + up(0.003), 0.01)
        hand.opening = NARROW
        yield from hand.stay(1)

    # Moves
    # -----

    def _grasp(self, index: int) -> Moves:
        hand = self._hand
        cube = hand.object(index)
        near = any(
            abs(cube[0] - o[0]) < 0.05 and _distance(cube, o) < 0.11 for o in self._others(index)
        )
        hand.opening = NARROW if near else OPEN
        for _ in range(30):
            cube = hand.object(index)
            if np.abs(cube - hand.at).max() < 0.007 and abs(hand.fingers - hand.opening) < 0.01:
                break
            yield self._travel(cube, BELOW, self._others())
        hand.opening = CLOSED
        while hand.fingers > HALF:
            yield hand.toward(hand.object(index))

    def _put(self, index: int, rest: FloatArray) -> Moves:
        hand = self._hand
        for _ in range(30):
            cube = hand.object(index)
            off = np.abs(rest[:2] - cube[:2]).max()
            if off < 0.008 and cube[2] - rest[2] < 0.004:
                break
            yield self._travel(
                rest + hand.at - cube, hand.at[2] - cube[2] + HALF, self._others(index)
            )
        near = any(_distance(rest, other) < 0.11 for other in self._others(index))
        hand.opening = NARROW if near else OPEN
        yield from hand.stay(1)

    def _travel(self, target: FloatArray, below: float, obstacles: list[FloatArray]) -> FloatArray:
        """A step toward ``target``, above all that is on the way.

        Args:
            below: metres that fingers, or what they hold, reach below the grip site.
        """
        at = self._hand.at
        path = target - at
        off = np.abs(path[:2]).max()
        if off < 0.01:
            return self._hand.toward(target)
        ahead = [at + path * min(1.0, d / off) for d in (0.0, 0.015, 0.03, 0.045, 0.06, 0.08)]
        need = max(self._height(point, below, obstacles) for point in ahead)
        aim = np.append(target[:2], max(need, target[2]))
        if (lack := need - at[2]) > 0.004:  # up first, hardly ahead
            crawl = 0.012 if lack < 0.03 else 0.0
            aim[:2] = at[:2] + crawl * np.clip(path[:2], -1, 1)
        return self._hand.toward(aim)

    def _height(self, point: FloatArray, below: float, obstacles: list[FloatArray]) -> float:
        """Least z of the grip site at a point."""
        reach = np.array([0.045, 0.095])
        tops = [o[2] + HALF for o in obstacles if np.all(np.abs(o - point)[:2] < reach)]
        return max(tops, default=0.4) + below + MARGIN


def _distance(a: FloatArray, b: FloatArray) -> float:
    return float(np.linalg.norm(a[:2] - b[:2]))


def _collide(place: FloatArray, other: FloatArray, room: float = 1.0) -> bool:
    """Whether a cube cannot be put down at a place because of another one; fingers need room."""
    return bool(np.all(np.abs(place - other)[:2] < room * np.array([0.053, 0.075])))
