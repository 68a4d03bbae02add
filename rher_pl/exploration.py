"""Self-guided exploration (SGES): who acts at each step of a collected episode."""

from __future__ import annotations

import copy
from enum import IntEnum

import torch
from tensordict import TensorDictBase
from tensordict.nn import TensorDictModuleBase
from torch import Tensor

from rher_pl.native.acting import NativePolicy
from rher_pl.policy import RelayPolicy
from rher_pl.progress import RelayProgress


class Actor(IntEnum):
    """Who chose an action."""

    GUIDE = 0
    """The policy conditioned on the guide subtask."""
    LEARNER = 1
    """The policy conditioned on the learner subtask."""
    RANDOM = 2
    """A uniform random action."""


class BehaviorPolicy(TensorDictModuleBase):
    """Guide, learner and random actions mixed step by step (arXiv 2208.00843, section 4.3).

    While the guide subtask is unsolved in a state, the guide acts with probability
    ``guide_share``, a random action is taken with ``random_share``, else the learner acts. Once it
    is solved the guide's share goes to the learner. Gaussian noise is added to all but random
    actions.

    It acts with a copy of the policy, taken by :meth:`synchronize`, so that episodes can be
    collected while the policy itself is being updated.

    Args:
        policy: actor, normalisers and relay, on any device; the copy is on the CPU.
        progress: tells which subtasks are guide and learner.
        guide_share, random_share: probabilities in [0, 1], together at most 1.
        exploration_noise: standard deviation of the Gaussian noise on actions.
        reached_distance: gripper to target, in metres, at which a reach-subtask counts as solved
            here; None takes the subtask's epsilon.
        generator: the only source of randomness.
        fading_guide: multiply the guide's share by the learner's failure rate in evaluations.
        native: compute the policy's actions in C++ where that is possible.
    """

    in_keys = ("observation", "achieved_goals", "desired_goals")
    out_keys = ("action", "actor", "first_unsolved")

    def __init__(
        self,
        policy: RelayPolicy,
        progress: RelayProgress,
        guide_share: float,
        random_share: float,
        exploration_noise: float,
        reached_distance: float | None,
        generator: torch.Generator,
        fading_guide: bool = False,
        native: bool = False,
    ) -> None:
        super().__init__()
        self._trained = (policy, progress)
        self.policy = copy.deepcopy(policy).requires_grad_(False).cpu()
        self._try_native = native
        self._native: NativePolicy | None = None
        self.full_guide_share = guide_share
        self.fading_guide = fading_guide
        self.random_share = random_share
        self.exploration_noise = exploration_noise
        self.relay = policy.relay.reaching(reached_distance)
        self.generator = generator
        self.only_random = True
        """Set while the first episodes are collected."""
        self.synchronize()

    @torch.no_grad()
    def synchronize(self) -> None:
        """Act from now on as policy and relay progress are at this moment."""
        policy, progress = self._trained
        torch._foreach_copy_(_tensors(self.policy), _tensors(policy))
        if self._native is not None:
            self._native.refresh()
        self.guide_subtask: int | None = progress.guide_subtask
        self.learner_subtask: int = progress.learner_subtask
        failure = 1.0 - progress.success[self.learner_subtask]
        self.guide_share = self.full_guide_share * (failure if self.fading_guide else 1.0)

    @torch.inference_mode()
    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        """Add to the states in ``tensordict`` [N] an ``action`` [N, A], the ``actor`` [N, 1] that
        chose it, and the ``first_unsolved`` subtask [N, 1] there.
        """
        size = (tensordict.shape[0], self.policy.action_size)
        random_action = torch.empty(size).uniform_(-1.0, 1.0, generator=self.generator)
        unsolved = self.relay.first_unsolved(
            tensordict["achieved_goals"], tensordict["desired_goals"]
        )
        if self.only_random:
            actor = torch.full(size[:1], int(Actor.RANDOM))
            action = random_action
        else:
            actor, subtask = self.choose(unsolved)
            noise = torch.randn(size, generator=self.generator).mul_(self.exploration_noise)
            action = self.act(tensordict, subtask).add_(noise).clamp_(-1.0, 1.0)
            action = torch.where((actor == Actor.RANDOM).unsqueeze(-1), random_action, action)
        tensordict["action"] = action
        tensordict["actor"] = actor.unsqueeze(-1)
        tensordict["first_unsolved"] = unsolved.unsqueeze(-1)
        return tensordict

    def act(self, states: TensorDictBase, subtask: Tensor) -> Tensor:
        """The policy's own actions [N, A] for states [N] under subtask [N]."""
        if self._try_native:  # not before it is needed, as building C++ may take seconds
            self._native, self._try_native = NativePolicy.make(self.policy), False
        return (self._native or self.policy)(states, subtask)

    def choose(self, unsolved: Tensor) -> tuple[Tensor, Tensor]:
        """Actor [N] and subtask [N] for states whose first unsolved subtask is ``unsolved`` [N]."""
        uniform = torch.rand(unsolved.shape, generator=self.generator)
        guide = self.guide_subtask
        actor = torch.where(uniform < self.random_share, int(Actor.RANDOM), int(Actor.LEARNER))
        if guide is None:
            return actor, torch.full_like(unsolved, self.learner_subtask)
        guided = (unsolved <= guide) & (uniform >= 1.0 - self.guide_share)
        actor = actor.masked_fill_(guided, int(Actor.GUIDE))
        return actor, torch.where(guided, guide, self.learner_subtask)


def _tensors(policy: RelayPolicy) -> list[Tensor]:
    return [*policy.parameters(), *policy.buffers()]
