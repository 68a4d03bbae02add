"""The learner: TD3 on mixed subtask batches, as a LightningModule."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from tensordict import TensorDict
from torch import Tensor
from torchrl.envs import EnvBase

from rher_pl.choices import Algorithm, Mixing, RelayMode, plain
from rher_pl.collect.progress import MovingSuccess
from rher_pl.errors import require
from rher_pl.evaluation.rollout import evaluate
from rher_pl.evaluation.statistics import (
    episode_statistics,
    evaluation_statistics,
    sample_statistics,
    update_statistics,
)
from rher_pl.learner.engine import Engine
from rher_pl.learner.learning import AtOnce, one_by_one
from rher_pl.learner.native.steps import adam_step, can_step
from rher_pl.learner.precision import compute_type
from rher_pl.learner.td3 import TD3, Sample, draw_subsets
from rher_pl.limits import require_memory
from rher_pl.networks.actor_critic import Actor, Critic
from rher_pl.networks.encoder import InputEncoder
from rher_pl.networks.policy import RelayPolicy
from rher_pl.tasks import get_task, task_relay


class RHERModule(pl.LightningModule):
    """TD3 (arXiv 1802.09477) conditioned on the goals of a relay (arXiv 2208.00843).

    One actor and one set of critics serve all subtasks. Optimisation is manual: one
    ``training_step`` takes one iteration's episodes and does U updates.

    Args:
        task: registered task name; the data module's task is used by the command line.
        relay: how much of the task's relay is trained; the data module's is used as well.
        mixing: joint updates on all subtasks at once; sequential goes through an iteration's
            updates once for each subtask, which are then counted as so many more.
        algorithm: td3; or ddpg, which is the same with one critic, no noise and no delay.
        gamma: discount, in (0, 1). RHER uses 1 - 1/T = 0.98; a shorter horizon learns sooner.
        tau: share by which the targets move towards the networks after every update, in (0, 1].
        learning_rate: of both Adam optimizers.
        policy_noise: standard deviation of the target policy smoothing noise; td3 only.
        noise_clip: bound of that noise.
        policy_delay: critic updates per actor update, at least 1; td3 only.
        critics: Q functions, td3 only. With more than two, targets take the smallest of a random
            two and the actor ascends the mean of all (REDQ, arXiv 2101.05982).
        critic_layer_norm: layer normalisation in the critics.
        bounded_target: clip targets to the returns that are possible, [-1 / (1 - gamma), 0].
        action_l2: weight of the mean squared action in the actor's loss.
        hidden_size: width of the hidden layers of actor and critics.
        hidden_layers: number of hidden layers.
        relative_goals: let the networks also see goal minus current position.
        absolute_positions: let the networks also see where on the table things are, beside where
            they are relative to each other; needed only where the place matters.
        average_rate: share by which the evaluated actor moves towards the trained one after every
            update, in (0, 1]; 1 evaluates the trained one itself.
        learned_threshold: moving success from which a subtask counts as learned, in [0, 1].
        compiled: compute the update, and actions while collecting, by machine code made for it,
            which needs a C++ compiler. None does where that takes seconds once: on a CPU with at
            most two critics and no layer norm. True also does elsewhere, with ``torch.compile``
            and half a minute of warm-up (a few seconds when cached).
    """

    def __init__(
        self,
        task: str = "FetchPush-v4",
        relay: RelayMode = RelayMode.full,
        mixing: Mixing = Mixing.joint,
        algorithm: Algorithm = Algorithm.td3,
        gamma: float = 0.95,
        tau: float = 0.01,
        learning_rate: float = 2e-3,
        policy_noise: float = 0.1,
        noise_clip: float = 0.5,
        policy_delay: int = 2,
        critics: int = 2,
        critic_layer_norm: bool = False,
        bounded_target: bool = True,
        action_l2: float = 0.5,
        hidden_size: int = 256,
        hidden_layers: int = 3,
        relative_goals: bool = True,
        absolute_positions: bool = False,
        average_rate: float = 0.001,
        learned_threshold: float = 0.8,
        compiled: bool | None = None,
    ) -> None:
        super().__init__()
        require(0.0 < gamma < 1.0, f"gamma must be in (0, 1), got {gamma}")
        require(0.0 < tau <= 1.0, f"tau must be in (0, 1], got {tau}")
        require(0.0 < average_rate <= 1.0, f"average_rate must be in (0, 1], got {average_rate}")
        require(policy_delay >= 1, f"policy_delay must be at least 1, got {policy_delay}")
        require(critics >= 1, f"critics must be at least 1, got {critics}")
        require(hidden_size >= 1, f"hidden_size must be at least 1, got {hidden_size}")
        require(hidden_layers >= 1, f"hidden_layers must be at least 1, got {hidden_layers}")
        require(
            math.isfinite(learning_rate) and learning_rate > 0,
            f"learning_rate must be above 0, got {learning_rate}",
        )
        require(
            relative_goals or absolute_positions,
            "relative_goals and absolute_positions are both false: the networks would see no goal",
        )
        for name, value in (
            ("policy_noise", policy_noise),
            ("noise_clip", noise_clip),
            ("action_l2", action_l2),
        ):
            require(0.0 <= value < math.inf, f"{name} must be at least 0, got {value}")
        require(hidden_layers <= 1_000, f"hidden_layers must be at most 1000, got {hidden_layers}")
        # Three networks, each with gradient, two Adam moments, target and average; float32.
        require_memory(4 * 3 * 6 * hidden_layers * hidden_size**2, "hidden_size and hidden_layers")
        self.save_hyperparameters()
        self.hparams.update(plain(self.hparams))
        self.automatic_optimization = False
        if Algorithm(algorithm) == Algorithm.ddpg:
            critics, policy_noise, policy_delay = 1, 0.0, 1
        self.policy_noise = policy_noise
        self.mixing = Mixing(mixing)
        spec = get_task(task)
        self.relay = task_relay(task, RelayMode(relay))
        encoder = InputEncoder(self.relay, spec.layout, relative_goals, absolute_positions)
        sizes = (encoder.size, spec.action_size, hidden_size, hidden_layers)
        self.policy = RelayPolicy(encoder, Actor(*sizes))
        self.critic = Critic(*sizes, members=critics, layer_norm=critic_layer_norm)
        self.target_actor = copy.deepcopy(self.policy.actor).requires_grad_(False)
        self.target_critic = copy.deepcopy(self.critic).requires_grad_(False)
        self.averaged_actor = copy.deepcopy(self.policy.actor).requires_grad_(False)
        self.td3 = TD3(
            self.policy.actor,
            self.critic,
            self.target_actor,
            self.target_critic,
            self.averaged_actor,
            gamma=gamma,
            tau=tau,
            noise_clip=noise_clip,
            policy_delay=policy_delay,
            action_l2=action_l2,
            average_rate=average_rate,
            bounded_target=bounded_target,
            compiled=compiled,
        )
        self.at_once = AtOnce(self.td3)
        self.progress = MovingSuccess(self.relay.num_subtasks)
        self.env_steps = 0
        self.updates = 0
        self.episodes = 0

    def configure_optimizers(self) -> OptimizerLRScheduler:
        rate = self.hparams["learning_rate"]
        return [
            torch.optim.Adam(self.critic.parameters(), lr=rate, fused=True),
            torch.optim.Adam(self.policy.actor.parameters(), lr=rate, fused=True),
        ], []

    def on_fit_start(self) -> None:
        """Run hidden layers in bfloat16 if the trainer's ``precision`` asks for it."""
        self.td3.compute_in(compute_type(self.trainer.precision))
        self.at_once.begin()

    @property
    def engine(self) -> Engine:
        """What computes gradients under the trainer's precision, on its device."""
        return self.td3.engine(
            compute_type(self.trainer.precision), self.trainer.strategy.root_device
        )

    # --- one iteration -------------------------------------------------------------------------

    def training_step(self, batch: dict[str, TensorDict], batch_idx: int) -> None:
        """Take in new episodes [N], then do U updates on mixed batches [U, B]."""
        episodes, pools = batch["episodes"], batch["pools"]
        self.policy.encoder.update(episodes)
        self.env_steps += episodes["action"].shape[:2].numel()
        self.episodes += len(episodes)
        self.metrics = episode_statistics(episodes, self.relay)
        if pools is None:
            return
        self.metrics |= sample_statistics(pools, self.relay)
        assert self.mixing == Mixing.joint
        with torch.autocast(self.device.type, enabled=False):  # dtypes are explicit in networks.py
            done = self.learn(self.encode(pools), counted=True)
        self.metrics |= update_statistics(done, [pool.shape[1] for pool in pools], self.relay)

    @torch.no_grad()
    def encode(self, pools: list[TensorDict]) -> TensorDict:
        """Network inputs of all U batches at once; the normaliser stands still meanwhile."""
        encoder = self.policy.encoder
        parts = [
            TensorDict(
                {
                    "inputs": encoder(p["observation"], p["achieved"], p["goals"], s),
                    "next_inputs": encoder(
                        p["next", "observation"], p["next", "achieved"], p["next", "goals"], s
                    ),
                    "action": p["action"],
                    "reward": p["next", "reward"].squeeze(-1),
                    "terminated": p["next", "terminated"].squeeze(-1),
                },
                batch_size=p.batch_size,
            )
            for s, p in enumerate(pools)
        ]
        encoded = torch.cat(parts, dim=1)
        # Drawn on the CPU, whose generator's state is what a checkpoint holds.
        noise = torch.randn(encoded["action"].shape) * self.policy_noise
        encoded["noise"] = noise.to(encoded["action"].device)
        if self.td3.ensemble:
            encoded["subset"] = draw_subsets(self.critic.members, *encoded.batch_size).to(
                self.device
            )
        return encoded

    def learn(self, samples: TensorDict, counted: bool = False) -> list[dict[str, Tensor]]:
        """One :meth:`update` after the other on batches of encoded samples [U, B].

        Args:
            samples: of the updates.
            counted: whether the first one is to be, see :meth:`update`.

        Returns:
            Metrics of all updates, of some or of one at a time: losses, and ``q`` [E, ... B].
        """
        done: list[dict[str, Tensor]] = []
        if counted:
            done.append(self.update(next(one_by_one(samples)), counted=True))
            samples = samples[1:]
        if any(getattr(type(self), name) is not usual for name, usual in _USUAL.items()):
            return done + [self.update(sample) for sample in one_by_one(samples)]
        first = self.updates + 1
        optimizers = self.optimizers(use_pl_optimizer=False)
        done += self.at_once(samples, first, optimizers, self.update)  # type: ignore[arg-type]
        self.updates = first + len(samples) - 1
        return done

    def update(self, sample: Sample, counted: bool = False) -> dict[str, Tensor]:
        """One TD3 update on a mixed batch [B] of encoded samples.

        ``counted`` lets Lightning see the critics' step, which raises its ``global_step`` and calls
        its hooks. That costs more than a small product, so one update of an iteration does.
        """
        self.updates += 1
        critics, actor = self.optimizers(use_pl_optimizer=False)  # type: ignore[misc]
        if counted:
            critics = self.optimizers()[0]  # type: ignore[index]
        return self.td3.update(
            sample,
            self.updates,
            partial(self._step, critics),
            partial(self._step, actor),
        )

    def _step(self, optimizer: Any, gradients: Sequence[Tensor]) -> None:
        """One step of an optimizer, by the engine itself where it knows the optimizer."""
        if self.td3.native and can_step(optimizer):
            adam_step(optimizer, gradients)
        else:
            apply_gradients(optimizer, gradients)

    def warm_up(self, batch_sizes: Sequence[int]) -> None:
        """Build the update ahead of its first use, for so many samples of each subtask."""
        sizes = [sum(batch_sizes)] if self.mixing == Mixing.joint else sorted({*batch_sizes})
        with torch.autocast(self.device.type, enabled=False):
            for size in sizes:
                self.td3.warm_up(size, self.policy.encoder.size, self.policy.actor.action_size)

    # --- evaluation ----------------------------------------------------------------------------

    @property
    def evaluated_policy(self) -> RelayPolicy:
        """The policy to use: the trained one with averaged weights, free of its last noise."""
        return RelayPolicy(self.policy.encoder, self.averaged_actor)

    def evaluate(self, env: EnvBase, seeds: Sequence[int], subtask: int) -> TensorDict:
        """Noise-free episodes under a subtask's own policy, one per seed; see ``evaluation.py``."""
        with torch.autocast(self.device.type, enabled=False):  # dtypes are explicit in networks.py
            return evaluate(
                env,
                self.evaluated_policy,
                seeds,
                subtask,
                self.hparams["gamma"],
                lambda inputs, action: self.critic(inputs, action)[0],
            )

    def validation_step(self, batch: Tensor, batch_idx: int) -> None:
        """Evaluate the task on all seeds, and every earlier subtask on one batch of them."""
        env = self.trainer.datamodule.eval_env  # type: ignore[attr-defined]
        seeds = batch.tolist()
        few = seeds[: env.num_envs]
        self.evaluations = {
            name: self.evaluate(env, seeds if subtask == self.relay.last else few, subtask)
            for subtask, name in enumerate(self.relay.names)
        }
        self.metrics_eval = evaluation_statistics(self.evaluations)
        self.log_dict(self.metrics_eval, batch_size=len(seeds), logger=False)
        if self.trainer.state.fn == TrainerFn.FITTING:
            names = self.relay.names
            self.progress.record([self.metrics_eval[f"eval/success/{n}"].item() for n in names])

    test_step = validation_step

    # --- checkpoints ---------------------------------------------------------------------------

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["rher_pl"] = {
            "task": self.hparams["task"],
            "relay": self.relay.to_dict(),
            "env_steps": self.env_steps,
            "updates": self.updates,
            "episodes": self.episodes,
            "progress": self.progress.state_dict(),
            "rng_state": torch.get_rng_state(),
        }
        # The data module saves the loader; the loop's copy would hold the replay a second time.
        checkpoint["loops"]["fit_loop"]["state_dict"].pop("combined_loader", None)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        state = checkpoint["rher_pl"]
        self.env_steps = state["env_steps"]
        self.updates = state["updates"]
        self.episodes = state["episodes"]
        self.progress.load_state_dict(state["progress"])
        torch.set_rng_state(state["rng_state"])


_USUAL = {"update": RHERModule.update, "_step": RHERModule._step}
"""What derived classes may do otherwise, which is then called for each update."""


def split_rounds(samples: TensorDict, mixing: Mixing) -> list[TensorDict]:
    """Mixed batches [U, B] in the order in which they are learned from.

    Joint: as they are. Sequential: one round [U, B_s] for each subtask s, first to last.
    """
    if mixing == Mixing.joint:
        return [samples]
    columns = samples["subtask"][0, :, 0]  # every batch holds its subtasks in the same order
    return [samples[:, columns == subtask] for subtask in columns.unique()]


def apply_gradients(optimizer: Any, gradients: Sequence[Tensor]) -> None:
    """One step of an optimizer with gradients computed elsewhere."""
    copies: list[Tensor] = []
    originals: list[Tensor] = []
    for parameter, gradient in zip(optimizer.param_groups[0]["params"], gradients, strict=True):
        # Fused Adam takes a gradient to be as its parameter is, and does not check.
        if gradient.dtype == parameter.dtype and gradient.stride() == parameter.stride():
            parameter.grad = gradient
            continue
        if parameter.grad is None:
            parameter.grad = torch.empty_like(parameter)
        copies.append(parameter.grad)
        originals.append(gradient)
    if copies:
        torch._foreach_copy_(copies, originals)
    optimizer.step()
