"""Hindsight substitution and reward: pure functions, and the thin Transform around them."""

from __future__ import annotations

from tensordict import TensorDict, TensorDictBase
from torch import Tensor
from torchrl.envs.transforms import Transform

from rher_pl.envs.contract import Ending
from rher_pl.relay import Relay


def relabel(relay: Relay, transitions: TensorDictBase, subtask: int) -> TensorDict:
    """Turn gathered transitions into samples of one subtask.

    Where ``relabeled`` is set, the goal is what the later state achieved (HER, arXiv 1707.01495);
    elsewhere it is the original one. The reward is recomputed from the *next* state: 0 where that
    state meets every slot in use, else -1.

    Args:
        relay: the chain.
        transitions: [B], as :meth:`rher_pl.replay.storage.EpisodeStorage.get` gives them.
        subtask: index of the subtask, from 0.

    Returns:
        TensorDict [B] with ``observation``, ``achieved`` and ``goals`` [B, P, 3] (the absolute
        goal of each slot, metres), ``action``, ``relabeled`` [B, 1], and under ``next``:
        ``observation``, ``achieved``, ``goals``, ``reward`` and ``terminated`` [B, 1]. ``inert``
        [B, 1] marks relabelled samples whose goal was met before the action and still is after it,
        so that the reward is 0 whatever the action (identical non-negative reward, INNR). In a
        transition in which the episode failed, no goal is met.
    """
    achieved, later = transitions["achieved_goals"], transitions["hindsight_goals"]
    desired, relabeled = transitions["desired_goals"], transitions["relabeled"]
    next_achieved = transitions["next", "achieved_goals"]

    hindsight = relay.hindsight_goals(achieved, later, subtask)
    choose = relabeled.unsqueeze(-1)  # [B, 1, 1]
    goals = hindsight.where(choose, relay.goals(achieved, desired, subtask))
    # As while acting, the slot of an object that must not be disturbed follows the object.
    next_hindsight = relay.hindsight_goals(next_achieved, later, subtask)
    next_goals = next_hindsight.where(choose, relay.goals(next_achieved, desired, subtask))
    failed = transitions["next", "ending"] == Ending.FAILURE
    met = relay.met(goals, next_achieved, subtask).unsqueeze(-1) & ~failed
    met_before = relay.met(goals, achieved, subtask).unsqueeze(-1)
    solves = met if subtask == relay.last else met.new_zeros(())
    return TensorDict(
        {
            "observation": transitions["observation"],
            "achieved": achieved,
            "goals": goals,
            "action": transitions["action"],
            "relabeled": relabeled,
            "inert": relabeled & met & met_before,
            "next": {
                "observation": transitions["next", "observation"],
                "achieved": next_achieved,
                "goals": next_goals,
                "reward": met.to(desired.dtype) - 1.0,
                "terminated": terminated(transitions["next", "ending"], solves),
            },
        },
        batch_size=transitions.batch_size,
    )


def terminated(ending: Tensor, solves: Tensor) -> Tensor:
    """Which transitions are terminal, so that values are not bootstrapped, [B, 1] bool.

    A failure is terminal under every goal and in every subtask. A success ended the episode because
    the task's original goal was met: it is terminal only in the last subtask, and only if the goal
    in use is met as well. Otherwise the episode would have gone on. Being cut off by time is never
    terminal.

    Args:
        ending: an :class:`Ending`, how the episode ended with the transition, [B, 1] uint8.
        solves: whether the transition meets the goal in use of the last subtask, [B, 1] bool, or
            [] for another subtask, where it is false.
    """
    return (ending == Ending.FAILURE) | ((ending == Ending.SUCCESS) & solves)


class RelayRelabel(Transform):
    """Replay-buffer transform that makes samples of one subtask; see :func:`relabel`."""

    def __init__(self, relay: Relay, subtask: int) -> None:
        super().__init__()
        self.relay = relay
        self.subtask = subtask

    def forward(self, tensordict: TensorDictBase) -> TensorDict:
        return relabel(self.relay, tensordict, self.subtask)
