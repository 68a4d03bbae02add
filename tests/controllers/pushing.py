"""Push cubes to their goals with closed fingers: from behind, past what is in the way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import permutations, product
from typing import Any

import numpy as np

from controllers.hand import FloatArray, Hand, Moves, up

HALF = 0.025  # of a cube, metres
TOUCH = 0.040  # metres between the centres of cube and fingers that touch
GAP = 0.010  # metres between them before a push
LOW, HIGH = -0.009, 0.052  # of the grip site against a cube's centre, z: to push, and to pass over
GOOD, NEAR = 0.042, 0.025  # metres from its goal at which a cube can wait, and is left alone
BRAKE = 30.0  # 1/m: a cube that moves v metres in a step slides on for BRAKE * v^2
WALL_HALF = np.array([0.01, 0.04])
PREFER = 0.3  # metres of pushing by which a cube is preferred to the next one in the order
TURN = 0.12  # metres of pushing that going round a cube costs


@dataclass(frozen=True)
class Leg:
    """Push cube ``index`` straight to ``end [2]``."""

    index: int
    end: FloatArray
    cost: float
    last: bool


class Pushing:
    """Chooses, until all are home, the cube whose way is shortest, and pushes it a leg.

    Args:
        env: one of the suite, unwrapped.
        order: of the cubes, those to be preferred first; empty for no preference.
    """

    def __init__(self, env: Any, order: Sequence[int] = ()) -> None:
        self._order = {index: PREFER * rank for rank, index in enumerate(order)}
        self._hand, self._goals = Hand(env), env.goal.reshape(-1, 3)[:, :2]
        self._walls = [self._hand.site(name)[:2] for name in env.places]
        self._number = len(self._goals)

    def moves(self) -> Moves:
        while True:
            away = [i for i in range(self._number) if self._far(i) > NEAR]
            if not away:
                yield from self._hand.stay(1)
                continue
            away = [i for i in away if self._far(i) > GOOD] or away
            leg = min((self._plan(i, away) for i in away), key=lambda leg: leg.cost)
            yield from self._behind(leg)
            yield from self._push(leg)
            yield self._hand.toward(self._hand.at + up(0.05))  # the cube slides on meanwhile

    def _cube(self, index: int) -> FloatArray:
        return self._hand.object(index)[:2]

    def _far(self, index: int) -> float:
        return float(np.linalg.norm(self._goals[index] - self._cube(index)))

    # Planning
    # --------

    def _plan(self, index: int, away: list[int]) -> Leg:
        """The first leg of the best way with at most one turn."""
        start, goal = self._cube(index), self._goals[index]
        reach = float(np.linalg.norm(self._hand.at[:2] - start)) + self._order.get(index, 0.0)
        best = Leg(index, goal, self._cost(index, start, goal, away) + reach, True)
        grid = np.linspace(-0.15, 0.15, 11)
        for offset in product(grid, grid):
            turn = (start + goal) / 2 + offset
            if min(np.linalg.norm(turn - start), np.linalg.norm(turn - goal)) < 0.03:
                continue
            cost = reach + TURN + self._cost(index, start, turn, away)
            if cost < best.cost:
                cost += self._cost(index, turn, goal, away)
                if cost < best.cost:
                    best = Leg(index, turn, cost, False)
        return best

    def _cost(self, index: int, start: FloatArray, end: FloatArray, away: list[int]) -> float:
        """Metres of a straight push, and what it costs to run into things."""
        length = float(np.linalg.norm(end - start))
        behind = start - (end - start) / length * (TOUCH + GAP)
        cost = length
        for wall in self._walls:
            cost += _crosses(start, end, wall, WALL_HALF + HALF + 0.008)
            cost += _crosses(behind, behind, wall, WALL_HALF + np.array([0.018, 0.02]))
        for other in range(self._number):
            if other != index:
                price = 0.25 if other in away else 1.0
                cost += price * self._hits(start, end, self._cube(other))
                cost += _crosses(behind, behind, self._cube(other), np.full(2, 0.043))
        return cost

    @staticmethod
    def _hits(start: FloatArray, end: FloatArray, other: FloatArray) -> bool:
        """Whether a cube on its way comes nearer to another one, and touches it."""
        way = other - start
        return bool(way @ (end - start) > 0 and _crosses(start, end, other, np.full(2, 0.052)))

    # Moves
    # -----

    def _behind(self, leg: Leg) -> Moves:
        """To where the push starts; over everything that is on the way."""
        hand = self._hand
        stuck, lowest = 0, np.inf
        for _ in range(20):
            cube, ahead = self._direction(leg)
            spot = cube - ahead * (TOUCH + GAP)
            off = np.abs(spot - hand.at[:2]).max()
            low, high = hand.object(leg.index)[2] + [LOW, HIGH]
            stuck = stuck + 1 if off < 0.012 and hand.at[2] > lowest - 0.004 else 0
            lowest = hand.at[2]
            if stuck > 2:
                return
            if off < 0.008 and hand.at[2] < low + 0.015:
                return
            if off < 0.012:
                yield hand.toward(np.append(spot, low))
            elif hand.at[2] > high - 0.008 or self._free(spot):
                yield hand.toward(
                    np.append(spot, max(hand.at[2], low) if self._free(spot) else high)
                )
            else:
                yield hand.toward(np.append(hand.at[:2], high))

    def _free(self, spot: FloatArray) -> bool:
        """Whether nothing is between the fingers and a spot, at the height of the cubes."""
        at = self._hand.at[:2]
        cubes = [(self._cube(i), np.full(2, HALF)) for i in range(self._number)]
        things = cubes + [(wall, WALL_HALF) for wall in self._walls]
        return not any(_crosses(at, spot, centre, half + 0.018) for centre, half in things)

    def _direction(self, leg: Leg) -> tuple[FloatArray, FloatArray]:
        """Where the cube is [2], and the unit vector to the end of the leg [2]."""
        cube = self._cube(leg.index)
        way = leg.end - cube
        return cube, way / max(float(np.linalg.norm(way)), 1e-6)

    def _push(self, leg: Leg) -> Moves:
        hand = self._hand
        before = self._cube(leg.index)
        for _ in range(20):
            cube, ahead = self._direction(leg)
            left = float(np.linalg.norm(leg.end - cube)) - BRAKE * float(
                np.sum((cube - before) ** 2)
            )
            before = cube
            lag = hand.at[:2] - cube
            aside = lag - ahead * (lag @ ahead)
            if left < 0.006 or lag @ ahead > -0.02 or np.linalg.norm(aside) > 0.028:
                return
            most = 1.0 if left > 0.06 else 0.6
            step = ahead * min(left - 0.005, 0.033) - 0.6 * aside
            yield hand.toward(np.append(hand.at[:2] + step, hand.object(leg.index)[2] + LOW), most)


def orders(env: Any) -> list[Callable[[], Pushing]]:
    """Controllers to rehearse: one without a preferred order, then one for each order."""
    every = permutations(range(len(env.object_names)))
    return [partial(Pushing, env), *(partial(Pushing, env, order) for order in every)]


def _crosses(start: FloatArray, end: FloatArray, centre: FloatArray, half: Any) -> bool:
    """Whether the segment between two points [2] meets a box."""
    points = start + (end - start) * np.linspace(0, 1, 9)[:, None]
    return bool((np.abs(points - centre) < half).all(-1).any())
