"""An environment's own ``compute_reward``, as the judge of whether a goal is met."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import gymnasium
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rher_pl.errors import ConfigError, fault, require
from rher_pl.relay import Interface, Relay

BISECTIONS = 40
FARTHEST = 100.0
"""Metres; a goal so far away is assumed to be met in no environment."""


class OwnReward:
    """Whether goals are met, by the environment's own sparse reward.

    A goal is met where the reward equals that of achieving exactly the desired goal, whatever
    number that is (0 or 1). The constructor tries whether ``compute_reward`` takes batches.

    Args:
        env: has ``compute_reward(achieved_goal, desired_goal, info)``; it stays open.
        interface: how its goals become points.
        achieved, desired: goals that were seen, [M, G].

    Raises:
        ConfigError: if there is no such method, if it needs ``info``, or if it is not sparse.
    """

    def __init__(
        self,
        env: gymnasium.Env,
        interface: Interface,
        achieved: NDArray[Any],
        desired: NDArray[Any],
    ) -> None:
        self.interface, self.dtype = interface, achieved.dtype
        name = env.spec.id if env.spec else "the environment"
        try:
            self._compute: Callable[..., Any] = env.get_wrapper_attr("compute_reward")
        except AttributeError as error:
            raise ConfigError(
                f"{name} has no compute_reward(achieved_goal, desired_goal, info), by which "
                "hindsight goals of this kind are rewarded: add it to the environment"
            ) from error
        self.batched = True
        try:
            single = self._one_by_one(achieved, desired)
            self.solved = float(self._one_by_one(achieved[:1], achieved[:1])[0])
            far = float(self._one_by_one(achieved[:1], achieved[:1] + FARTHEST)[0])
        except (Exception, SystemExit) as error:
            raise ConfigError(
                f"compute_reward of {name} fails on two goals and an empty info "
                f"({fault(error)[:100]}): hindsight goals have no info, so it must return a "
                "number for the goals alone"
            ) from error
        self.batched = self._agrees(achieved, desired, single)
        values = {*single.tolist(), self.solved, far}
        require(
            bool(np.isfinite([*values]).all()), f"compute_reward of {name} returns NaN or infinity"
        )
        require(
            len(values) > 1,  # goals seen may all be met, so ``far`` is one of them
            f"compute_reward of {name} returns {far:g} whatever the goal: it must depend on the "
            "goals that it is given, and on nothing else",
        )
        require(
            len(values) <= 2,
            f"compute_reward of {name} returns {len(values)} different values: learning needs "
            "a sparse reward of two values, often make_kwargs: {reward_type: sparse}",
        )

    def _agrees(self, achieved: NDArray[Any], desired: NDArray[Any], single: NDArray[Any]) -> bool:
        """Whether rewards of a whole batch are those of its rows."""
        try:
            rewards = np.asarray(self._compute(achieved, desired, {}), dtype=np.float64)
        except Exception:  # made for one goal at a time
            return False
        return rewards.shape == single.shape and bool(np.array_equal(rewards, single))

    def _one_by_one(self, achieved: NDArray[Any], desired: NDArray[Any]) -> NDArray[Any]:
        rewards = [float(self._compute(a, d, {})) for a, d in zip(achieved, desired)]
        return np.array(rewards)

    def rewards(self, achieved: NDArray[Any], desired: NDArray[Any]) -> NDArray[Any]:
        """Rewards of goals [M, G], float64 [M]."""
        if self.batched:
            return np.asarray(self._compute(achieved, desired, {}), dtype=np.float64)
        return self._one_by_one(achieved, desired)

    def __call__(self, desired: Tensor, achieved: Tensor) -> Tensor:
        """Whether goals [*, D, 3] are met by achieved goals [*, D, 3], [*] bool."""
        both = [
            self.interface.flat(slots).reshape(-1, self.interface.goal_size).cpu().numpy()
            for slots in (achieved, desired)
        ]
        rewards = self.rewards(*(values.astype(self.dtype) for values in both))
        met = torch.from_numpy(np.isclose(rewards, self.solved, atol=1e-6))
        return met.view(desired.shape[:-2]).to(desired.device)

    def threshold(self, achieved: NDArray[Any]) -> float:
        """How far off the first number of a goal [G] may be while the goal is met, metres.

        Infinite if it may be off by any distance.
        """

        def met(distance: float) -> bool:
            desired = achieved.copy()
            desired[0] += distance
            rewards = self._one_by_one(achieved[None], desired[None])
            return bool(np.isclose(rewards[0], self.solved, atol=1e-6))

        low, high = 0.0, FARTHEST
        if met(high):
            return float("inf")
        for _ in range(BISECTIONS):
            middle = (low + high) / 2.0
            low, high = (middle, high) if met(middle) else (low, middle)
        return low

    def __deepcopy__(self, memo: dict[int, Any]) -> OwnReward:
        return self  # a simulator cannot be copied, and nothing in here changes


@dataclass(frozen=True)
class RewardedRelay(Relay):
    """A chain of one subtask, whose goal is met where the environment's own reward says so.

    This is plain HER. A checkpoint keeps it as a ``Relay``, since acting needs no reward.
    """

    reward: OwnReward | None = field(default=None, compare=False, repr=False)

    def met(self, goals: Tensor, achieved: Tensor, subtask: Tensor | int) -> Tensor:
        assert self.reward is not None
        return self.reward(goals, achieved)

    def rewarded(self, share: float) -> Relay:
        require(
            share == 1.0,
            f"reward_radius must be 1 where the environment itself rewards, got {share}",
        )
        return self

    def to_dict(self) -> dict[str, Any]:
        return Relay(**{name: getattr(self, name) for name in Relay.__dataclass_fields__}).to_dict()
