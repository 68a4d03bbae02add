"""Hindsight substitution and reward: pure functions, and the thin Transform around them."""

from __future__ import annotations

import torch
from tensordict import TensorDict, TensorDictBase
from torchrl.envs.transforms import Transform

from rher_pl.relay import Relay


def relabel(relay: Relay, transitions: TensorDictBase, subtask: int) -> TensorDict:
    """Turn gathered transitions into learner samples of one subtask each.

    Where ``relabeled`` is set, the goal is what the later state achieved ("future" strategy of
    HER); elsewhere it is the original one. The reward is recomputed from the *next* state: 0
    exactly where every slot in use is met by it, else -1.

    Args:
        relay: the chain.
        transitions: [B] with ``observation``, ``achieved_goals`` [B, P, 3], ``desired_goals``
            [B, D, 3], ``action``, ``hindsight_goals`` [B, P, 3] (positions at a later time),
            ``relabeled`` [B, 1], ``("next", "observation")``, ``("next", "achieved_goals")``.
        subtask: whose goals.

    Returns:
        TensorDict [B] with the keys of a learner sample, plus ``inert`` [B, 1]: relabelled
        samples whose goal was met before the action and still is after it, so that the reward is
        0 whatever the action (identical non-negative reward, INNR).
    """
    achieved, later = transitions["achieved_goals"], transitions["hindsight_goals"]
    desired, relabeled = transitions["desired_goals"], transitions["relabeled"]
    next_achieved = transitions["next", "achieved_goals"]

    hindsight = relay.hindsight_goals(achieved, later, subtask)
    choose = relabeled.unsqueeze(-1)  # [B, 1, 1]
    goals = hindsight.where(choose, relay.goals(achieved, desired, subtask))
    next_goals = hindsight.where(choose, relay.goals(next_achieved, desired, subtask))
    met = relay.met(goals, next_achieved, subtask)
    met_before = relay.met(goals, achieved, subtask)
    return TensorDict(
        {
            "observation": transitions["observation"],
            "achieved": achieved,
            "goals": goals,
            "action": transitions["action"],
            "relabeled": relabeled,
            "inert": relabeled & (met & met_before).unsqueeze(-1),
            "next": {
                "observation": transitions["next", "observation"],
                "achieved": next_achieved,
                "goals": next_goals,
                "reward": met.unsqueeze(-1).to(desired.dtype) - 1.0,
                "terminated": torch.zeros_like(relabeled),  # episodes are only ever truncated
            },
        },
        batch_size=transitions.batch_size,
    )


class RelayRelabel(Transform):
    """Replay-buffer transform of one subtask's pool; see :func:`relabel`."""

    def __init__(self, relay: Relay, subtask: int) -> None:
        super().__init__()
        self.relay = relay
        self.subtask = subtask

    def forward(self, tensordict: TensorDictBase) -> TensorDict:
        return relabel(self.relay, tensordict, self.subtask)
