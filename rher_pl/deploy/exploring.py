"""A trained policy that acts as it did in training: with guide, random actions and noise."""

from __future__ import annotations

from rher_pl.checkpoints.policy import EXPLORATION
from rher_pl.collect.behavior import BehaviorPolicy, Exploration
from rher_pl.collect.progress import MovingSuccess
from rher_pl.deploy.trained import TrainedPolicy
from rher_pl.errors import require

BEFORE = {"fading_noise": False, "hold_steps": 1}
"""How a run explored whose file does not say so, as it is older."""


def make_behavior_policy(trained: TrainedPolicy, steps: int) -> BehaviorPolicy:
    """Who acts while episodes are collected, as the policy's own run set it up.

    Raises:
        ConfigError: if the file does not say how the run explored.
    """
    settings = BEFORE | trained.stored.exploration
    require(
        set(settings) == set(EXPLORATION),
        f"{trained.source} does not say how its run explored: leave out --explore",
    )
    success = MovingSuccess(trained.relay.num_subtasks)
    success.restore(trained.stored.entry.success)
    return BehaviorPolicy(trained.policy, success, Exploration(**settings), steps)
