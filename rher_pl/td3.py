"""One TD3 update on an encoded mixed batch (Fujimoto et al., arXiv 1802.09477)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from tensordict import TensorDict, TensorDictBase
from torch import Tensor

from rher_pl import losses
from rher_pl.errors import ConfigError
from rher_pl.networks import Actor, TwinCritic

Gradients = tuple[Tensor, ...]
Apply = Callable[[Gradients], None]


class TD3:
    """Losses and gradients of actor and critics; who applies them is told to :meth:`update`.

    Both gradient functions are pure: they change no weight and draw no random number (the noise
    comes with the sample). That is what lets ``compiled`` turn each into one graph.

    Args:
        actor, critic: the networks that are trained.
        target_actor, target_critic: their slow copies, which give the targets.
        averaged_actor: an even slower copy of the actor, the one that is evaluated.
        gamma, tau, noise_clip, policy_delay, action_l2, average_rate: see ``RHERModule``.
        compiled: compile forward and backward passes with ``torch.compile``.

    Raises:
        ConfigError: ``compiled`` with a PyTorch that cannot trace gradients.
    """

    def __init__(
        self,
        actor: Actor,
        critic: TwinCritic,
        target_actor: Actor,
        target_critic: TwinCritic,
        averaged_actor: Actor,
        *,
        gamma: float,
        tau: float,
        noise_clip: float,
        policy_delay: int,
        action_l2: float,
        average_rate: float,
        compiled: bool = False,
    ) -> None:
        self.actor, self.critic = actor, critic
        self.target_actor, self.target_critic = target_actor, target_critic
        self.gamma, self.tau, self.noise_clip = gamma, tau, noise_clip
        self.policy_delay, self.action_l2, self.average_rate = policy_delay, action_l2, average_rate
        self.actor_parameters = list(actor.parameters())
        self.critic_parameters = list(critic.parameters())
        self._targets = [*target_critic.parameters(), *target_actor.parameters()]
        self._averaged = list(averaged_actor.parameters())
        self._critic_gradients, self._actor_gradients = self.critic_gradients, self.actor_gradients
        if compiled:
            compile_ = _compiler()
            self._critic_gradients = compile_(self.critic_gradients)
            self._actor_gradients = compile_(self.actor_gradients)

    def update(
        self, sample: TensorDictBase, number: int, apply_critic: Apply, apply_actor: Apply
    ) -> dict[str, Tensor]:
        """Update number ``number`` (from 1) on a batch [B]; returns metrics."""
        gradients, critic_loss, q = self._critic_gradients(*_critic_inputs(sample))
        apply_critic(gradients)
        metrics = {"critic_loss": critic_loss, "q": q}
        if number % self.policy_delay == 0:
            gradients, metrics["actor_loss"] = self._actor_gradients(sample["inputs"])
            apply_actor(gradients)
        sources = self.critic_parameters + self.actor_parameters
        losses.polyak_update(self._targets, sources, self.tau)
        losses.polyak_update(self._averaged, self.actor_parameters, self.average_rate)
        return metrics

    def critic_gradients(
        self,
        inputs: Tensor,
        action: Tensor,
        next_inputs: Tensor,
        noise: Tensor,
        reward: Tensor,
        terminated: Tensor,
    ) -> tuple[Gradients, Tensor, Tensor]:
        """Regress both critics on the target.

        Args:
            inputs, next_inputs: of the networks, [B, I].
            action: [B, A].
            noise: target policy smoothing noise, [B, A].
            reward, terminated: [B].

        Returns:
            Gradients of the critics' parameters, their summed loss, and mean Q [B].
        """
        target = self.target_q(next_inputs, noise, reward, terminated)
        q = self.critic(inputs, action)  # [2, B]
        loss = losses.critic_loss(q, target)
        gradients = torch.autograd.grad(loss, self.critic_parameters)
        return gradients, loss.detach(), q.detach().mean(0)

    @torch.no_grad()
    def target_q(
        self, next_inputs: Tensor, noise: Tensor, reward: Tensor, terminated: Tensor
    ) -> Tensor:
        """Clipped, bounded double-Q target [B] with target policy smoothing."""
        action = losses.smoothed_action(self.target_actor(next_inputs), noise, self.noise_clip)
        next_q = self.target_critic(next_inputs, action)
        return losses.target_q(reward, terminated, next_q, self.gamma)

    def actor_gradients(self, inputs: Tensor) -> tuple[Gradients, Tensor]:
        """Ascend the first critic's value of the actor's own actions at ``inputs`` [B, I]."""
        action = self.actor(inputs)
        q = self.critic.first(inputs, action)
        loss = losses.actor_loss(q, action, self.action_l2)
        return torch.autograd.grad(loss, self.actor_parameters), loss.detach()

    def warm_up(self, batch_size: int, input_size: int, action_size: int) -> None:
        """Compile for this batch size, on zeros; nothing learned changes."""
        device = self.actor_parameters[0].device

        def zeros(*shape: int) -> Tensor:
            return torch.zeros(batch_size, *shape, device=device)

        sample = TensorDict(
            {
                "inputs": zeros(input_size),
                "next_inputs": zeros(input_size),
                "action": zeros(action_size),
                "noise": zeros(action_size),
                "reward": zeros(),
                "terminated": zeros().bool(),
            },
            batch_size=[batch_size],
        )
        self._critic_gradients(*_critic_inputs(sample))
        self._actor_gradients(sample["inputs"])


def _critic_inputs(sample: TensorDictBase) -> Sequence[Tensor]:
    keys = ("inputs", "action", "next_inputs", "noise", "reward", "terminated")
    return [sample[key] for key in keys]


def _compiler() -> Callable[[Callable], Callable]:
    """``torch.compile`` that makes one graph of a function, its gradients included."""
    from torch._dynamo import config
    from torch._inductor.cpp_builder import get_cpp_compiler
    from torch._inductor.exc import InvalidCxxCompiler

    if not hasattr(config, "trace_autograd_ops"):
        raise ConfigError(
            f"torch {torch.__version__} cannot compile the update: "
            'use --model.compiled false, or pip install "torch>=2.13"'
        )
    try:
        get_cpp_compiler()
    except InvalidCxxCompiler:
        raise ConfigError(
            "compiling the update needs a C++ compiler: install g++, or use --model.compiled false"
        ) from None
    config.trace_autograd_ops = True
    return lambda function: torch.compile(function, fullgraph=True, dynamic=False)
