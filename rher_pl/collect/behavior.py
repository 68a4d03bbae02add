"""Self-guided exploration (SGES): who acts at each step of a collected episode."""

from __future__ import annotations

import copy
from enum import IntEnum

import torch
from tensordict import TensorDictBase
from tensordict.nn import TensorDictModuleBase
from torch import Tensor

from rher_pl.collect.progress import RelayProgress
from rher_pl.learner.engine import agree
from rher_pl.learner.native.acting import Behavior, NativePolicy, meaningless_states
from rher_pl.networks.policy import RelayPolicy


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
        native: do what :meth:`behave` does in C++, where that is possible and comes to the same.
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
        if self._try_native and not self.only_random:  # not sooner, as building may take seconds
            self._native = NativePolicy.make(self.policy, self._behaves_like)
            self._try_native = False
        if self._native is None or self.only_random:
            action, actor, unsolved = self.behave(tensordict)
        else:
            action, actor, unsolved = self._behave_natively(self._native, tensordict)
        tensordict["action"] = action
        tensordict["actor"] = actor.unsqueeze(-1)
        tensordict["first_unsolved"] = unsolved.unsqueeze(-1)
        return tensordict

    def behave(self, states: TensorDictBase) -> tuple[Tensor, Tensor, Tensor]:
        """Actions [N, A] for states [N], who chose them [N], and the first unsolved subtasks [N].

        What it does with the numbers it draws is also done in C++, see ``native``, and that is held
        against this.
        """
        random_action = self._draw_action(len(states))
        unsolved = self.relay.first_unsolved(states["achieved_goals"], states["desired_goals"])
        if self.only_random:
            return random_action, torch.full_like(unsolved, int(Actor.RANDOM)), unsolved
        actor, subtask = self.choose(unsolved)
        noise = torch.randn(random_action.shape, generator=self.generator)
        action = self.policy(states, subtask) + noise.mul_(self.exploration_noise)
        is_random = (actor == Actor.RANDOM).unsqueeze(-1)
        return torch.where(is_random, random_action, action.clamp_(-1.0, 1.0)), actor, unsolved

    def _behave_natively(
        self, native: NativePolicy, states: TensorDictBase
    ) -> tuple[Tensor, Tensor, Tensor]:
        random_action = self._draw_action(len(states))
        uniform = torch.rand(len(states), generator=self.generator)
        normal = torch.randn(random_action.shape, generator=self.generator)
        behavior = Behavior(
            self.relay,
            self.guide_subtask,
            self.learner_subtask,
            self.guide_share,
            self.random_share,
            self.exploration_noise,
        )
        return native.behave(states, behavior, uniform, random_action, normal)

    def _draw_action(self, rows: int) -> Tensor:
        size = (rows, self.policy.action_size)
        return torch.empty(size).uniform_(-1.0, 1.0, generator=self.generator)

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

    def _behaves_like(self, native: NativePolicy) -> bool:
        """Whether C++ does what :meth:`behave` does, whoever the guide is; nothing here changes."""
        states = meaningless_states(self.policy, rows=64, spread=0.03)  # some subtasks are solved
        randomness, guide = self.generator.get_state(), self.guide_subtask
        same = True
        for self.guide_subtask in (guide, None, 0):
            found = self._behave_natively(native, states)
            self.generator.set_state(randomness)
            same &= agree(self.behave(states), found, 1e-4)
            self.generator.set_state(randomness)
        self.guide_subtask = guide
        return same


def _tensors(policy: RelayPolicy) -> list[Tensor]:
    return [*policy.parameters(), *policy.buffers()]
