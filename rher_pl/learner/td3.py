"""One TD3 update on an encoded mixed batch (Fujimoto et al., arXiv 1802.09477).

With one critic, no noise and no delay it is DDPG (arXiv 1509.02971). With more than two critics it
is an ensemble as in REDQ (arXiv 2101.05982): targets take the smallest of ``SUBSET`` of them, drawn
at random for each update, and the actor ascends the mean of all.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from rher_pl.learner import losses
from rher_pl.learner.engine import Engine, Gradients, agree, make_compiler, random_sample
from rher_pl.learner.native.gradients import NativeGradients
from rher_pl.learner.native.learning import NativeLearner
from rher_pl.learner.native.steps import PolyakStep, can_step
from rher_pl.networks.actor_critic import Actor, Critic
from rher_pl.networks.reduced import ReducedCopy

CriticGradients = Callable[..., tuple[Gradients, Tensor, Tensor]]
ActorGradients = Callable[[Tensor], tuple[Gradients, Tensor]]
Apply = Callable[[Gradients], None]
Sample = Mapping[str, Tensor]
"""The arguments of :meth:`TD3.critic_gradients` by name."""

SUBSET = 2
"""Critics whose smallest value is the target."""


class TD3:
    """Losses and gradients of actor and critics; who applies them is told to :meth:`update`.

    Both gradient functions are pure: they change no weight and draw no random number (noise and
    subsets come with the sample). That is what lets an :class:`Engine` stand in for them.

    Args:
        actor, critic: the networks that are trained.
        target_actor, target_critic: their slow copies, which give the targets.
        averaged_actor: an even slower copy of the actor, the one that is evaluated.
        gamma, tau, noise_clip, policy_delay, action_l2, average_rate, bounded_target: see
            ``RHERModule``.
        compiled: False computes with the plain engine; True with the native one where that is
            possible, else with the compiled one; None with the native or the plain one.

    Raises:
        ConfigError: ``compiled`` is True, and there is no C++ compiler or a PyTorch that cannot
            trace gradients.
    """

    def __init__(
        self,
        actor: Actor,
        critic: Critic,
        target_actor: Actor,
        target_critic: Critic,
        averaged_actor: Actor,
        *,
        gamma: float,
        tau: float,
        noise_clip: float,
        policy_delay: int,
        action_l2: float,
        average_rate: float,
        bounded_target: bool = True,
        compiled: bool | None = None,
    ) -> None:
        self._trained = (actor, critic, target_actor, target_critic)
        self.ensemble = critic.members > SUBSET
        self.gamma, self.tau, self.noise_clip = gamma, tau, noise_clip
        self.bounded_target = bounded_target
        self.policy_delay, self.action_l2, self.average_rate = policy_delay, action_l2, average_rate
        self._actor_weights = list(actor.parameters())
        self._critic_weights = list(critic.parameters())
        self._actor_targets = list(target_actor.parameters())
        self._critic_targets = list(target_critic.parameters())
        self._averaged = list(averaged_actor.parameters())
        self._kind: tuple[torch.dtype, torch.device] | None = None
        self._compiled = compiled
        self._compile = make_compiler() if compiled else None
        self._functions: tuple[CriticGradients, ActorGradients] | None = None
        self._found: tuple[NativeGradients | None] | None = None
        self._polyak_steps: list[PolyakStep] = []
        self._learner: NativeLearner | None = None
        self.compute_in(torch.float32)

    def compute_in(self, dtype: torch.dtype) -> None:
        """Run hidden layers in ``dtype``, from the weights as they are now, where they are now.

        To be called again when weights were changed or moved by others than :meth:`update`. What
        was compiled stays valid as long as type and device do.
        """
        kind = (dtype, self._critic_weights[0].device)
        if kind != self._kind:
            self._kind, self._functions, self._found = kind, None, None
            self._make_copies(dtype)
        for copy in self._copies:
            copy.refresh()
        if self._found is not None and self._found[0] is not None:
            self._found[0].bind()
            self._bind_averages(self._found[0])

    def _refresh(self, *copies: ReducedCopy) -> None:
        """Copies that an engine computes with follow the weights; the native one reads those."""
        if not self.native:
            for copy in copies:
                copy.refresh()

    def _make_copies(self, dtype: torch.dtype) -> None:
        actor, critic, target_actor, target_critic = self._trained
        self._actor, self._critic = ReducedCopy(actor, dtype), ReducedCopy(critic, dtype)
        self._target_actor = ReducedCopy(target_actor, dtype)
        self._target_critic = ReducedCopy(target_critic, dtype)
        self._copies = (self._actor, self._critic, self._target_actor, self._target_critic)
        self.actor, self.critic = self._actor.network, self._critic.network
        self.target_actor = self._target_actor.network
        self.target_critic = self._target_critic.network
        self.actor_parameters = list(self.actor.parameters())
        self.critic_parameters = list(self.critic.parameters())

    def engine(self, dtype: torch.dtype, device: torch.device) -> Engine:
        """What computes gradients in ``dtype`` on ``device``."""
        if self._compiled is False:
            return Engine.plain
        if NativeGradients.suits(self._trained[1], dtype, device) and self._native() is not None:
            return Engine.native
        return Engine.compiled if self._compiled else Engine.plain

    def gradients(self) -> tuple[CriticGradients, ActorGradients]:
        """The functions of the engine, which is chosen when it is first needed."""
        if self._functions is None:
            engine = self.engine(self.critic_parameters[0].dtype, self._critic_weights[0].device)
            self._functions = self.critic_gradients, self.actor_gradients
            if engine == Engine.native:
                native = self._native()
                assert native is not None
                self._bind_averages(native)
                self._functions = native.critic_gradients, native.actor_gradients
            elif engine == Engine.compiled:
                assert self._compile is not None
                self._functions = (
                    self._compile(self.critic_gradients),
                    self._compile(self.actor_gradients),
                )
        return self._functions

    @property
    def native(self) -> bool:
        """Whether the native engine computes; not before one has been chosen."""
        return self._functions is not None and bool(self._found and self._found[0])

    def _native(self) -> NativeGradients | None:
        """The native engine, if it can be built and computes what the losses here say."""
        if self._found is None:
            self._found = (self._make_native(),)
        return self._found[0]

    def _make_native(self) -> NativeGradients | None:
        if not NativeGradients.available():
            return None
        dtype = self.critic_parameters[0].dtype
        if (
            self._agrees_with_native(torch.float32, 1e-3)
            and self._agrees_with_native(dtype, 0.2)
            and self._averages_as_native()
        ):
            return self._native_in(dtype)
        print(
            "warning: the update in C++ does not compute what the losses in Python say; "
            "PyTorch computes it, more slowly (--model.compiled false leaves this line out)",
            file=sys.stderr,
        )
        return None

    def _native_in(self, dtype: torch.dtype) -> NativeGradients:
        return NativeGradients(
            *self._trained,
            dtype,
            gamma=self.gamma,
            noise_clip=self.noise_clip,
            action_l2=self.action_l2,
            bounded_target=self.bounded_target,
        )

    def _agrees_with_native(self, dtype: torch.dtype, tolerance: float) -> bool:
        """Whether C++ and the losses here give the same on a sample of no meaning."""
        native, sample = self._native_in(dtype), random_sample(self._trained[0], batch_size=64)
        kept = self.critic_parameters[0].dtype
        self._make_copies(dtype)
        for copy in self._copies:
            copy.refresh()
        same = agree(
            self.critic_gradients(**sample), native.critic_gradients(**sample), tolerance
        ) and agree(
            self.actor_gradients(sample["inputs"]),
            native.actor_gradients(sample["inputs"]),
            tolerance,
        )
        self._make_copies(kept)
        return same

    def _averages_as_native(self) -> bool:
        sources = self._critic_weights
        found, expected = [[torch.zeros_like(s) for s in sources] for _ in range(2)]
        PolyakStep(found, sources)(self.tau)
        losses.polyak_update(expected, sources, self.tau)
        return agree([tuple(expected)], [tuple(found)], 1e-5)

    def update(
        self, sample: Sample, number: int, apply_critic: Apply, apply_actor: Apply
    ) -> dict[str, Tensor]:
        """Update number ``number`` (from 1) on a batch [B]; returns metrics."""
        critic_gradients, actor_gradients = self.gradients()
        gradients, critic_loss, q = critic_gradients(**sample)
        apply_critic(gradients)
        self._refresh(self._critic)
        metrics = {"critic_loss": critic_loss, "q": q}
        if number % self.policy_delay == 0:
            gradients, metrics["actor_loss"] = actor_gradients(sample["inputs"])
            apply_actor(gradients)
            self._refresh(self._actor)
        self._move_averages()
        self._refresh(self._target_actor, self._target_critic)
        return metrics

    def can_learn(self, critics: Any, actor: Any) -> bool:
        """Whether :meth:`learn` can do what :meth:`update` does with these optimizers."""
        self.gradients()  # chooses the engine
        return self.native and can_step(critics) and can_step(actor)

    def learn(
        self, samples: Sample, number: int, critics: torch.optim.Adam, actor: torch.optim.Adam
    ) -> dict[str, Tensor]:
        """Updates ``number`` and on, on batches [U, B], where :meth:`can_learn` says so.

        Returns:
            What :meth:`update` returns, of one update after the other: losses, each [...], and
            ``q`` [E, U B].
        """
        assert self._learner is not None
        rates = (self.tau, self.average_rate)
        return self._learner.learn(samples, number, self.policy_delay, critics, actor, *rates)

    def weights(self) -> Sequence[Tensor]:
        """Everything that :meth:`update` changes beside the optimizers' state."""
        sources = self._critic_weights + self._actor_weights
        return sources + self._critic_targets + self._actor_targets + self._averaged

    def _averages(self) -> list[tuple[Sequence[Tensor], Sequence[Tensor], float]]:
        """What follows what, and by which share."""
        sources = self._critic_weights + self._actor_weights
        return [
            (self._critic_targets + self._actor_targets, sources, self.tau),
            (self._averaged, self._actor_weights, self.average_rate),
        ]

    def _bind_averages(self, native: NativeGradients) -> None:
        self._polyak_steps = [
            PolyakStep(targets, sources) for targets, sources, _ in self._averages()
        ]
        self._learner = NativeLearner(
            native, self._critic_targets, self._actor_targets, self._averaged
        )

    def _move_averages(self) -> None:
        if self.native:
            for step, rate in zip(self._polyak_steps, (self.tau, self.average_rate), strict=True):
                step(rate)
        else:
            for targets, sources, tau in self._averages():
                losses.polyak_update(targets, sources, tau)

    def critic_gradients(
        self,
        inputs: Tensor,
        action: Tensor,
        next_inputs: Tensor,
        noise: Tensor,
        reward: Tensor,
        terminated: Tensor,
        subset: Tensor | None = None,
    ) -> tuple[Gradients, Tensor, Tensor]:
        """Regress all critics on the target.

        Args:
            inputs, next_inputs: of the networks, [B, I].
            action: [B, A].
            noise: target policy smoothing noise, [B, A].
            reward, terminated: [B].
            subset: members that give the target, [B, SUBSET] int64; None is all of them.

        Returns:
            Gradients of the critics' parameters, their summed loss, and Q values [E, B].
        """
        target = self.target_q(next_inputs, noise, reward, terminated, subset)
        q = self.critic(inputs, action)  # [E, B]
        loss = losses.critic_loss(q, target)
        gradients = torch.autograd.grad(loss, self.critic_parameters)
        return gradients, loss.detach(), q.detach()

    @torch.no_grad()
    def target_q(
        self,
        next_inputs: Tensor,
        noise: Tensor,
        reward: Tensor,
        terminated: Tensor,
        subset: Tensor | None = None,
    ) -> Tensor:
        """Clipped, bounded double-Q target [B] with target policy smoothing."""
        action = losses.smoothed_action(self.target_actor(next_inputs), noise, self.noise_clip)
        next_q = self.target_critic(next_inputs, action)
        if subset is not None:
            next_q = next_q.gather(0, subset.T)
        return losses.target_q(reward, terminated, next_q, self.gamma, self.bounded_target)

    def actor_gradients(self, inputs: Tensor) -> tuple[Gradients, Tensor]:
        """Ascend the value of the actor's own actions at ``inputs`` [B, I]."""
        action = self.actor(inputs)
        members = self.critic.members if self.ensemble else 1
        q = self.critic.judge(inputs, action, members).mean(0)
        loss = losses.actor_loss(q, action, self.action_l2)
        return torch.autograd.grad(loss, self.actor_parameters), loss.detach()

    def warm_up(self, batch_size: int, input_size: int, action_size: int) -> None:
        """Build the engine for this batch size, on zeros; nothing learned changes."""
        critic_gradients, actor_gradients = self.gradients()
        device = self.actor_parameters[0].device

        def zeros(*shape: int) -> Tensor:
            return torch.zeros(batch_size, *shape, device=device)

        sample = {
            "inputs": zeros(input_size),
            "next_inputs": zeros(input_size),
            "action": zeros(action_size),
            "noise": zeros(action_size),
            "reward": zeros(),
            "terminated": zeros().bool(),
        }
        if self.ensemble:
            sample["subset"] = zeros(SUBSET).long()
        critic_gradients(**sample)
        actor_gradients(sample["inputs"])


def draw_subsets(members: int, updates: int, batch_size: int) -> Tensor:
    """For each update, ``SUBSET`` different ones of ``members``: [updates, batch_size, SUBSET]."""
    drawn = torch.rand(updates, members).argsort(-1)[:, :SUBSET]
    return drawn.unsqueeze(1).expand(-1, batch_size, -1)
