"""A trained policy that acts as it did in training: with guide, random actions and noise."""

from __future__ import annotations

from rher_pl.checkpoints.policy import EXPLORATION
from rher_pl.collect.behavior import BehaviorPolicy, Exploration
from rher_pl.collect.progress import MovingSuccess
from rher_pl.deploy.trained import TrainedPolicy
from rher_pl.errors import require

BEFORE = {"fading_noise": False, "hold_steps": 1}
"""Settings of older runs, whose files do not hold them."""


def make_behavior_policy(trained: TrainedPolicy, steps: int) -> BehaviorPolicy:
    """The behavior policy with which the policy's own run collected episodes.

    Args:
        trained: the policy.
        steps: env steps in an episode.

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
