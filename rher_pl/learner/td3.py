"""TD3 (Fujimoto et al., arXiv 1802.09477): networks, optimizers and updates.

With one critic, no noise and no delay it is DDPG (arXiv 1509.02971). With more than two critics it
is an ensemble as in REDQ (arXiv 2101.05982): targets take the smallest of ``SUBSET`` of them, drawn
at random for each update, and the actor ascends the mean of all.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from rher_pl.choices import Engine
from rher_pl.learner import losses
from rher_pl.learner.adam import make_adam, parameters_of, require_sound_state
from rher_pl.learner.batches import SUBSET, Batch, sound_batches
from rher_pl.networks.actor_critic import Actor, Critic, NetworkSizes


@dataclass(frozen=True)
class TD3Settings:
    """How :class:`TD3` learns; see ``RHERModule`` for the meaning of each."""

    gamma: float = 0.95
    tau: float = 0.01
    learning_rate: float = 2e-3
    policy_noise: float = 0.1
    noise_clip: float = 0.5
    policy_delay: int = 2
    action_l2: float = 0.5
    average_rate: float = 0.001
    bounded_target: bool = True


class TD3(nn.Module):
    """Actor, critics, their slowly following copies, and their optimizers.

    Settings are plain attributes, read anew by each update; learning rates are those of the
    optimizers. This class is the reference: subclasses with another ``engine`` compute the same.

    Args:
        sizes: of the networks.
        settings: initial values of the attributes of the same names.
    """

    engine = Engine.eager
    """The engine that computes the next update."""

    def __init__(self, sizes: NetworkSizes, settings: TD3Settings | None = None) -> None:
        super().__init__()
        settings = settings or TD3Settings()
        self.sizes = sizes
        self.actor, self.critic = Actor(sizes), Critic(sizes)
        self.target_actor = copy.deepcopy(self.actor).requires_grad_(False)
        self.target_critic = copy.deepcopy(self.critic).requires_grad_(False)
        self.averaged_actor = copy.deepcopy(self.actor).requires_grad_(False)
        self.actor_optimizer = make_adam(self.actor.parameters(), settings.learning_rate)
        self.critic_optimizer = make_adam(self.critic.parameters(), settings.learning_rate)
        self.updates = 0
        self.compute_type = torch.float32  # of hidden layers; all else is float32
        self.gamma, self.bounded_target = settings.gamma, settings.bounded_target
        self.policy_noise, self.noise_clip = settings.policy_noise, settings.noise_clip
        self.policy_delay, self.action_l2 = settings.policy_delay, settings.action_l2
        self.tau, self.average_rate = settings.tau, settings.average_rate

    def learn(self, batches: Batch) -> dict[str, Tensor]:
        """One :meth:`update` after the other on batches [U, B, ...].

        Returns:
            Metrics of all updates, ``critic_loss`` [U], ``q`` [E, U B], and ``actor_loss``, one for
            each update of the actor, if there was any.

        Raises:
            ValueError: if the batches do not fit the networks.
            ConfigError: if the optimizers' state does not fit them.
        """
        batches = sound_batches(batches, self.sizes, self.device)
        require_sound_state(critic=self.critic_optimizer, actor=self.actor_optimizer)
        done = [self.update(dict(zip(batches, rows))) for rows in zip(*batches.values())]
        names = {name: None for metrics in done for name in metrics}
        return {
            name: torch.cat([torch.atleast_1d(m[name]) for m in done if name in m], dim=-1)
            for name in names
        }

    def update(self, batch: Batch) -> dict[str, Tensor]:
        """One update on a batch [B, ...]; returns its metrics."""
        self.updates += 1
        return self.step(batch, with_actor=self.updates % self.policy_delay == 0)

    def step(self, batch: Batch, with_actor: bool) -> dict[str, Tensor]:
        """Update the critics, the actor if it is its turn, then the averages."""
        metrics = self.update_critic(batch)
        if with_actor:
            metrics |= self.update_actor(batch)
        self.move_averages()
        return metrics

    def update_critic(self, batch: Batch) -> dict[str, Tensor]:
        """Regress all critics on the target."""
        with self.autocast():
            target = self.target_q(batch)
            q = self.critic(batch["inputs"], batch["action"])  # [E, B]
            loss = losses.critic_loss(q, target)
        self.descend(self.critic_optimizer, loss)
        return {"critic_loss": loss.detach(), "q": q.detach()}

    @torch.no_grad()
    def target_q(self, batch: Batch) -> Tensor:
        """Clipped, bounded double-Q target [B] with target policy smoothing."""
        action = self.target_actor(batch["next_inputs"])
        action = losses.smoothed_action(action, batch["noise"], self.noise_clip)
        next_q = self.target_critic(batch["next_inputs"], action)  # [E, B]
        if "subset" in batch:
            next_q = next_q.gather(0, batch["subset"].mT)  # [SUBSET, B]
        rewards = (batch["reward"], batch["terminated"])
        return losses.target_q(*rewards, next_q, self.gamma, self.bounded_target)

    def update_actor(self, batch: Batch) -> dict[str, Tensor]:
        """Ascend the first critic's value of the actor's actions, or the mean of an ensemble."""
        judges = self.critic.members if self.critic.members > SUBSET else 1
        with self.autocast():
            action = self.actor(batch["inputs"])
            q = self.critic.judge(batch["inputs"], action, judges).mean(0)
            loss = losses.actor_loss(q, action, self.action_l2)
        self.descend(self.actor_optimizer, loss)
        return {"actor_loss": loss.detach()}

    def move_averages(self) -> None:
        """Move the targets by ``tau``, and the evaluated actor by ``average_rate``."""
        for target, source, rate in (
            (self.target_critic, self.critic, self.tau),
            (self.target_actor, self.actor, self.tau),
            (self.averaged_actor, self.actor, self.average_rate),
        ):
            losses.polyak_update(list(target.parameters()), list(source.parameters()), rate)

    def descend(self, optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
        """One step of an optimizer down a loss; gradients are None before and after."""
        # Autocast must not round in the backward pass: heads are float32.
        with torch.autocast(loss.device.type, enabled=False):
            loss.backward(inputs=parameters_of(optimizer))
            optimizer.step()
        optimizer.zero_grad()

    def autocast(self) -> torch.autocast:
        """Run hidden layers in ``compute_type``, and convert the weights anew at each use."""
        reduced = self.compute_type != torch.float32
        # A cache of rounded weights would not see that an optimizer has changed them.
        options = {"dtype": self.compute_type} if reduced else {}
        return torch.autocast(self.device.type, enabled=reduced, cache_enabled=False, **options)

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    def _apply(self, function, recurse=True):  # type: ignore[no-untyped-def]
        """Moving the networks to a device takes the optimizers' state along."""
        super()._apply(function, recurse)
        for optimizer in (self.critic_optimizer, self.actor_optimizer):
            optimizer.load_state_dict(optimizer.state_dict())
        return self
