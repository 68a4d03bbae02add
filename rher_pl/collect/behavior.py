"""Self-guided exploration (SGES): who acts at each step of a collected episode."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import torch
from tensordict import TensorDictBase
from tensordict.nn import TensorDictModuleBase
from torch import Tensor

from rher_pl.collect.progress import MovingSuccess
from rher_pl.networks.policy import RelayPolicy


class Chooser(IntEnum):
    """Who chose an action."""

    GUIDE = 0
    """The policy, under the subtask that reaches the object."""
    LEARNER = 1
    """The policy, under the subtask that brings the object."""
    RANDOM = 2
    """A uniform random action."""


@dataclass(frozen=True)
class Exploration:
    """How episodes are explored; see ``RelayDataModule`` for each setting."""

    guide_share: float = 0.5
    random_share: float = 0.2
    exploration_noise: float = 0.2
    reached_distance: float | None = None
    fading_guide: bool = False
    fading_noise: bool = False
    hold_steps: int = 1


class BehaviorPolicy(TensorDictModuleBase):
    """Guide, learner and random actions mixed step by step (arXiv 2208.00843, section 4.3).

    A state is served by the bring-subtask of its first object that is not home, see
    ``Relay.serving``. While that object is not reached, the guide acts with probability
    ``guide_share``, a random action is taken with probability ``random_share``, and otherwise the
    learner acts. Once it is reached, the guide's share goes to the learner. Gaussian noise is added
    to all but random actions. Who acts, random actions and noise may be held for some env steps,
    as closing the hand and lifting take several (temporally extended exploration, arXiv 2006.01782,
    where the number of steps is random).

    It acts with a copy of the policy, taken by :meth:`begin`, so that episodes can be collected
    while the policy itself is being updated. All randomness of an episode is drawn from the
    episode's own seed, so that it does not depend on the row that plays it.

    Args:
        policy: input encoder and actor, on any device; the copy is on the CPU.
        success: of each subtask. With ``fading_guide``, the guide's share is multiplied by the
            failure rate (1 - success) of the bring-subtask that serves; with ``fading_noise``, so
            are random share and noise.
        exploration: shares and noise.
        steps: T, env steps in an episode.
    """

    in_keys = ("observation", "achieved_goals", "desired_goals")
    out_keys = ("action", "chooser", "subtask")

    def __init__(
        self,
        policy: RelayPolicy,
        success: MovingSuccess,
        exploration: Exploration,
        steps: int,
    ) -> None:
        super().__init__()
        self._trained = (policy, success)
        self.policy = copy.deepcopy(policy).requires_grad_(False).cpu()
        self.exploration = exploration
        distance = exploration.reached_distance
        self.relay = policy.relay if distance is None else policy.relay.reaching(distance)
        self._guided = torch.tensor([subtask.reach for subtask in self.relay.subtasks])
        self._bring = torch.tensor([self.relay.bring_of(s) for s in self.relay.indices])
        self.steps = steps
        self.begin([], only_random=True)

    @torch.no_grad()
    def begin(self, seeds: Sequence[int], only_random: bool = False) -> None:
        """Prepare the next episodes, with the policy and its success as they are now.

        Args:
            seeds: of the episodes, one for each row [N].
            only_random: take random actions only, as in the first episodes of a run.
        """
        self.only_random, self._step = only_random, 0
        draws = [self._draw(seed) for seed in seeds]
        self._draws = [torch.stack(each, dim=1) for each in zip(*draws)]  # [T, N, ...]
        policy, success = self._trained
        torch._foreach_copy_(_tensors(self.policy), _tensors(policy))
        settings = self.exploration
        failure = 1.0 - torch.tensor(success.values, dtype=torch.float64)[self._bring]
        never = torch.ones_like(failure)
        share = settings.guide_share * (failure if settings.fading_guide else never)
        self.guided_from = (1.0 - share).float()
        """The guide may act if the uniform draw is at least this, for each subtask [S]."""
        self.noise_scale = (failure if settings.fading_noise else never).float()
        """Factor of random share and noise, for each subtask [S]."""

    def _draw(self, seed: int) -> tuple[Tensor, Tensor, Tensor]:
        """Draws for who acts [T], random actions [T, A] and noise [T, A] of an episode."""
        generator = torch.Generator().manual_seed(seed)
        size = (self.steps, self.policy.actor.action_size)
        return (
            self._held(torch.rand(self.steps, generator=generator)),
            self._held(torch.empty(size).uniform_(-1.0, 1.0, generator=generator)),
            self._held(
                torch.randn(size, generator=generator).mul_(self.exploration.exploration_noise)
            ),
        )

    def _held(self, draws: Tensor) -> Tensor:
        """Draws [T, ...], each held for ``hold_steps`` steps."""
        return draws[torch.arange(self.steps) // self.exploration.hold_steps]

    @torch.no_grad()
    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        """Add to the states in ``tensordict`` [N] an ``action`` [N, A], its ``chooser`` [N, 1], and
        the ``subtask`` [N, 1] that comes next, see ``Relay.working_on``.
        """
        states = self.policy.numbered(*(tensordict[key] for key in self.in_keys))
        uniform, action, noise = (draws[self._step] for draws in self._draws)
        self._step += 1
        following = self.relay.working_on(states[1], states[2])
        chooser = torch.full_like(following, int(Chooser.RANDOM))
        if not self.only_random:
            chooser = self.choose(following, uniform)
            bring = self._bring[following]
            subtask = torch.where(chooser == Chooser.GUIDE, following, bring)
            noise = noise * self.noise_scale[following].unsqueeze(-1)
            chosen = (self.policy(*states, subtask) + noise).clamp_(-1.0, 1.0)
            action = torch.where((chooser == Chooser.RANDOM).unsqueeze(-1), action, chosen)
        tensordict["action"] = action
        tensordict["chooser"] = chooser.unsqueeze(-1)
        tensordict["subtask"] = following.unsqueeze(-1)
        return tensordict

    def choose(self, following: Tensor, uniform: Tensor) -> Tensor:
        """Who acts, [N], if subtask ``following`` [N] comes next; draws ``uniform`` [N] decide."""
        is_random = uniform < self.exploration.random_share * self.noise_scale[following]
        chooser = torch.where(is_random, int(Chooser.RANDOM), int(Chooser.LEARNER))
        guided = self._guided[following] & (uniform >= self.guided_from[following])
        return chooser.masked_fill_(guided, int(Chooser.GUIDE))


def _tensors(policy: RelayPolicy) -> list[Tensor]:
    return [*policy.parameters(), *policy.buffers()]
