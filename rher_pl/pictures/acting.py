"""What chooses the actions of an episode that is drawn."""

from __future__ import annotations

from typing import Protocol

from tensordict import TensorDictBase
from torch import Tensor

from rher_pl.collect.behavior import BehaviorPolicy, Chooser
from rher_pl.networks.policy import RelayPolicy


class Acting(Protocol):
    """What chooses the actions of an episode."""

    def begin(self, seed: int) -> None:
        """Start the episode of that seed."""
        ...

    def __call__(self, state: TensorDictBase) -> tuple[Tensor, str]:
        """Action [1, A] for a state [1], and who chose it."""
        ...


class TaskPolicy:
    """The policy of the subtask that acts (``Relay.serving``), without noise, as in evaluations."""

    def __init__(self, policy: RelayPolicy) -> None:
        self.policy = policy

    def begin(self, seed: int) -> None:
        """Nothing is random."""

    def __call__(self, state: TensorDictBase) -> tuple[Tensor, str]:
        achieved, desired = state["achieved_goals"], state["desired_goals"]
        served = int(self.policy.relay.serving(achieved, desired))
        action = self.policy.act(state["observation"], achieved, desired)
        return action, f"{self.policy.relay.names[served]} policy, no noise"


class Exploring:
    """Guide, learner and random actions with noise, as when episodes are collected."""

    def __init__(self, behavior_policy: BehaviorPolicy) -> None:
        self.behavior_policy = behavior_policy

    def begin(self, seed: int) -> None:
        """Draw everything random from the episode's seed."""
        self.behavior_policy.begin([seed])

    def __call__(self, state: TensorDictBase) -> tuple[Tensor, str]:
        relay = self.behavior_policy.relay
        choice = self.behavior_policy(state.clone())
        who, following = Chooser(int(choice["chooser"])), int(choice["subtask"])
        if who is Chooser.RANDOM:
            return choice["action"], "random action"
        subtask = following if who is Chooser.GUIDE else relay.bring_of(following)
        return choice["action"], f"{who.name.lower()}: {relay.names[subtask]} policy"
