"""The learner: TD3 on mixed subtask batches, as a LightningModule."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from tensordict import TensorDict
from torch import Tensor
from torchrl.envs import EnvBase

from rher_pl.checkpoints.file import versions
from rher_pl.checkpoints.layout import Entry, make_header, read_entry, write_entry
from rher_pl.choices import Algorithm, Engine, Mixing, RelayMode, plain
from rher_pl.collect.progress import MovingSuccess
from rher_pl.errors import require
from rher_pl.evaluation.rollout import EvaluationBatch, evaluate
from rher_pl.evaluation.statistics import (
    episode_statistics,
    evaluation_statistics,
    sample_statistics,
    success_when_served,
    update_statistics,
)
from rher_pl.gymnasium_task import GymnasiumTask
from rher_pl.learner.engines import check_learner, warm_up, with_engine
from rher_pl.learner.precision import compute_type
from rher_pl.learner.td3 import TD3, TD3Settings
from rher_pl.limits import (
    ABOVE_ZERO_SHARE,
    COUNT,
    NOT_NEGATIVE,
    Range,
    check_ranges,
    require_memory,
)
from rher_pl.networks.actor_critic import NetworkSizes
from rher_pl.networks.encoder import InputEncoder
from rher_pl.networks.policy import RelayPolicy
from rher_pl.own_modules import import_path
from rher_pl.tasks import get_task
from rher_pl.training.batches import encode, episode_length, rounds
from rher_pl.training.restoring import complete, continue_under
from rher_pl.training.settings import settings_of

RANGES = {
    "gamma": Range(0, 1, low_open=True, high_open=True),
    "tau": ABOVE_ZERO_SHARE,
    "average_rate": ABOVE_ZERO_SHARE,
    "policy_delay": Range(1, 1_000),
    "critics": Range(1, 1_000),
    "hidden_size": COUNT,
    "hidden_layers": Range(1, 1_000),
    "learning_rate": Range(0, low_open=True),
    "final_learning_rate": Range(0, low_open=True),
    "learning_rate_epochs": COUNT,
    "policy_noise": NOT_NEGATIVE,
    "noise_clip": NOT_NEGATIVE,
    "action_l2": NOT_NEGATIVE,
    "epsilon": Range(0, low_open=True),
}


class RHERModule(pl.LightningModule):
    """TD3 (arXiv 1802.09477) conditioned on the goals of a relay (arXiv 2208.00843).

    One actor and one set of critics serve all subtasks. Optimisation is manual: one
    ``training_step`` takes one iteration's episodes and does U updates.

    Args:
        task: as in ``RelayDataModule``; the command line passes the same one.
        relay: as in ``RelayDataModule``; the command line passes the same one.
        mixing: what a batch holds. joint: each update uses a mixed batch of all subtasks;
            sequential: the updates of an iteration are done for each subtask separately, so S
            subtasks mean S times as many.
        algorithm: which update: td3, or ddpg, which is the same with one critic, no target noise
            and no delayed actor.
        gamma: discount, in (0, 1). RHER uses 1 - 1/T = 0.98 for T = 50 env steps; a shorter
            horizon learns sooner.
        tau: share by which the targets move towards the networks after every update, in (0, 1].
        learning_rate: of the Adam optimizers of actor and critics.
        final_learning_rate: falls linearly to it, epoch by epoch, and then stays; null: the
            learning rate does not change.
        learning_rate_epochs: number of epochs after which ``final_learning_rate`` is reached.
        policy_noise: standard deviation of the target policy smoothing noise; td3 only.
        noise_clip: largest absolute value of the target policy smoothing noise.
        policy_delay: critic updates per actor update, at least 1; td3 only.
        critics: number of Q functions, td3 only. With more than two, targets take the smaller of
            two random ones and the actor ascends the mean of all (REDQ, arXiv 2101.05982).
        critic_layer_norm: layer normalisation in the critics.
        bounded_target: clip targets to the returns that are possible, [-1 / (1 - gamma), 0].
        action_l2: weight of the mean squared action in the actor's loss.
        hidden_size: width of the hidden layers of actor and critics.
        hidden_layers: number of hidden layers.
        relative_goals: let the networks also see goal minus current position.
        absolute_positions: let the networks also see x and y in the world's frame, not only
            relative positions; needed only where the place on the table matters.
        roles: with several objects, let the networks see the active object first and the others
            after it, each marked done or pending. Else every object keeps its place in the input.
        stay: with several objects, if a finished object is home, show the networks its position
            instead of its goal, so that the policy has no reason to move it.
        average_rate: share by which the evaluated actor moves towards the trained one after every
            update, in (0, 1]; 1 evaluates the trained one itself.
        engine: what computes the updates: PyTorch operation by operation (eager), one graph by
            ``torch.compile`` (compile), or C++ (native). auto is native on a CPU with a C++
            compiler, at most two critics and no layer norm, else eager; eager, too, on CPUs with
            AMX in bf16-mixed precision.
        learner: your own subclass of ``rher_pl.TD3`` to learn with, such as ``my_package.MyTD3``.
            It runs as it is written, by engine eager.
        epsilon: as in ``RelayDataModule``; the command line passes the same one.

    Raises:
        ConfigError: for an option out of its range, or options that do not fit together.
    """

    def __init__(
        self,
        task: GymnasiumTask | str = "FetchPush-v4",
        relay: RelayMode = RelayMode.full,
        mixing: Mixing = Mixing.joint,
        algorithm: Algorithm = Algorithm.td3,
        gamma: float = 0.95,
        tau: float = 0.01,
        learning_rate: float = 2e-3,
        final_learning_rate: float | None = None,
        learning_rate_epochs: int = 50,
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
        roles: bool = True,
        stay: bool = True,
        average_rate: float = 0.001,
        engine: Engine = Engine.auto,
        learner: type[TD3] | None = None,
        epsilon: float | None = None,
    ) -> None:
        super().__init__()
        self.save_hyperparameters(ignore=["task", "learner"])
        self.hparams.update(plain(self.hparams))
        check_ranges(self.hparams, RANGES)
        check_learner(learner or TD3, Engine(engine))
        require(
            relative_goals or absolute_positions,
            "relative_goals and absolute_positions are both false: the networks would see no goal",
        )
        # Of each network: weights, gradient, two Adam moments, target and average; float32.
        networks = 1 + critics
        require_memory(
            4.0 * 6 * networks * hidden_layers * hidden_size**2,
            "hidden_size, hidden_layers and critics",
        )
        self.automatic_optimization = False
        self.mixing = Mixing(mixing)
        self.task = get_task(task).varied(epsilon, None)
        self.hparams["task"] = self.task.name
        self.hparams["learner"] = None if learner is None else import_path(learner)
        self.relay = self.task.trained_relay(RelayMode(relay))
        self.encoder = InputEncoder(
            self.relay, self.task.layout, relative_goals, absolute_positions, roles, stay
        )
        plain_ddpg = {"policy_noise": 0.0, "policy_delay": 1}
        ddpg = Algorithm(algorithm) == Algorithm.ddpg
        sizes = settings_of(
            NetworkSizes,
            self.hparams,
            inputs=self.encoder.size,
            actions=self.task.action_size,
            critics=1 if ddpg else critics,
        )
        settings = settings_of(TD3Settings, self.hparams, **(plain_ddpg if ddpg else {}))
        self.td3 = (learner or TD3)(sizes, settings)
        self.success = MovingSuccess(self.relay.num_subtasks)
        self._engine_chosen = False
        self._knows_values = True
        """Whether the critic belongs to the policy; a file cut down to its policy has none."""
        self.env_steps = 0
        self.episodes = 0
        self.metrics: dict[str, Tensor] = {}
        """Metrics of the latest iteration, by name."""
        self.metrics_eval: dict[str, Tensor] = {}
        """Metrics of the latest evaluation, by name."""
        self.evaluations: dict[str, TensorDict] = {}
        """Results of the latest evaluation's episodes, by subtask; the task itself last."""

    @property
    def updates(self) -> int:
        """Critic updates so far."""
        return self.td3.updates

    @property
    def policy(self) -> RelayPolicy:
        """The policy that is being trained."""
        return RelayPolicy(self.encoder, self.td3.actor)

    @property
    def evaluated_policy(self) -> RelayPolicy:
        """The policy to use: the trained one, with its weights averaged over the updates.

        It is on the CPU, where the environments are; a copy if the module is on another device.
        """
        policy = RelayPolicy(self.encoder, self.td3.averaged_actor)
        return policy if self.device.type == "cpu" else copy.deepcopy(policy).cpu()

    def configure_optimizers(self) -> OptimizerLRScheduler:
        return [self.td3.critic_optimizer, self.td3.actor_optimizer], []

    def setup(self, stage: str) -> None:
        self._engine_chosen = False

    def on_fit_start(self) -> None:
        """Choose what computes the updates, now that device and precision are known."""
        if not self._engine_chosen:
            self._engine_chosen = True
            self.td3.compute_type = compute_type(self.trainer.precision)
            device = self.trainer.strategy.root_device
            self.td3 = with_engine(self.td3, Engine(self.hparams["engine"]), device)

    def on_train_start(self) -> None:
        self._set_learning_rate()  # of a run that is continued within an epoch

    def on_train_epoch_start(self) -> None:
        self._set_learning_rate()

    def _set_learning_rate(self) -> None:
        """Set the rate of this epoch, if it falls: by the epoch's number alone, to continue it."""
        first, last = self.hparams["learning_rate"], self.hparams["final_learning_rate"]
        if last is None:
            return
        done = min(self.current_epoch / self.hparams["learning_rate_epochs"], 1.0)
        for optimizer in (self.td3.critic_optimizer, self.td3.actor_optimizer):
            for group in optimizer.param_groups:
                group["lr"] = first + (last - first) * done

    # --- one iteration -------------------------------------------------------------------------

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        """Take in new episodes [N], then do U updates on mixed batches [U, B]."""
        episodes: TensorDict = batch["episodes"]
        pools: list[TensorDict] | None = batch["pools"]
        self.encoder.update(episodes)
        self.env_steps += int(episode_length(episodes).sum())
        self.episodes += len(episodes)
        self.metrics = episode_statistics(episodes, self.relay)
        if pools is None:
            return
        self.metrics |= sample_statistics(pools, self.relay)
        sizes = [pool.shape[1] for pool in pools]
        gamma = self.td3.gamma
        encoded = [encode(self.encoder, pool, s, gamma) for s, pool in enumerate(pools)]
        with torch.autocast(self.device.type, enabled=False):  # TD3 reduces precision itself
            done = [
                self.td3.learn(batches)
                for batches in rounds(encoded, self.mixing, self.td3.policy_noise, self.td3.sizes)
            ]
        self.metrics |= update_statistics(done, sizes, self.relay)
        if self.hparams["final_learning_rate"] is not None:
            rate = self.td3.critic_optimizer.param_groups[0]["lr"]
            self.metrics["train/learning_rate"] = torch.tensor(rate)
        # TD3 steps its optimizers itself. This step has no gradients and changes nothing: it lets
        # Lightning count an iteration, and call the hooks of an optimizer step.
        self.optimizers()[0].step()  # type: ignore[index]

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.send(self.metrics)

    def on_validation_end(self) -> None:
        if self.trainer.state.fn == TrainerFn.FITTING and not self.trainer.sanity_checking:
            self.send(self.metrics_eval)

    def send(self, metrics: Mapping[str, Tensor | float]) -> None:
        """Log metrics to every logger of the trainer, against env steps.

        ``log`` would leave out most of them, as an epoch has few iterations.
        """
        for logger in self.trainer.loggers:
            logger.log_metrics({k: float(v) for k, v in metrics.items()}, self.env_steps)

    def warm_up(self, batch_sizes: Sequence[int]) -> None:
        """Choose and build what computes the updates, before its first use.

        Args:
            batch_sizes: samples of each subtask in a mixed batch.
        """
        self.on_fit_start()
        joint = self.mixing == Mixing.joint
        warm_up(self.td3, [sum(batch_sizes)] if joint else sorted({*batch_sizes}))

    # --- evaluation ----------------------------------------------------------------------------

    def evaluate(
        self, env: EnvBase, seeds: Sequence[int], last_policy: bool = False
    ) -> dict[str, TensorDict]:
        """Play noise-free episodes, one per seed; see ``evaluation/rollout.py``."""
        critic, gamma, device = self.td3.critic, self.td3.gamma, self.device
        policy = self.evaluated_policy

        def value(inputs: Tensor, action: Tensor) -> Tensor:
            if not self._knows_values:
                return inputs[:, 0] * torch.nan
            return critic(inputs.to(device), action.to(device))[0]

        # Not in inference mode, whose tensors cannot be changed later: the environment keeps some.
        with (
            torch.inference_mode(False),
            torch.no_grad(),
            torch.autocast(self.device.type, enabled=False),
        ):
            return evaluate(env, policy, seeds, gamma, value, last_policy)

    def validation_step(self, batch: EvaluationBatch, batch_idx: int) -> None:
        """Evaluate the task on all seeds; every subtask is judged in these episodes."""
        self.evaluations = self.evaluate(batch.env, batch.seeds)
        self.metrics_eval = evaluation_statistics(self.evaluations)
        if batch.last_policy:
            *_, last = self.evaluate(batch.env, batch.seeds, last_policy=True).values()
            self.metrics_eval["eval/success_last_policy"] = last["success"].float().mean()
        fitting = self.trainer.state.fn == TrainerFn.FITTING
        self._log_evaluation(fitting, len(batch.seeds))
        if fitting and not self.trainer.sanity_checking:
            self.success.record(success_when_served(self.evaluations))

    test_step = validation_step

    def _log_evaluation(self, fitting: bool, episodes: int) -> None:
        """Give metrics to callbacks; in ``validate`` and ``test`` to loggers and caller, too."""
        # Lightning's loggers take a metric named ``step`` as their x axis.
        axis = {} if fitting else {"step": torch.tensor(float(self.env_steps))}
        with warnings.catch_warnings():  # results are returned without a logger, too
            warnings.filterwarnings("ignore", message=".*no logger configured.*")
            self.log_dict(self.metrics_eval | axis, batch_size=episodes, logger=not fitting)

    # --- checkpoints ---------------------------------------------------------------------------

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint |= make_header(versions())  # also in files that Lightning writes by itself
        write_entry(checkpoint, replace(self.entry(), rng_state=torch.get_rng_state()))

    def entry(self) -> Entry:
        """What is trained, and how far training has come."""
        return Entry(
            task=self.task.name,
            relay=self.relay.to_dict(),
            layout=self.task.layout.to_list(),
            action_size=self.task.action_size,
            interface=None if self.task.interface is None else self.task.interface.to_dict(),
            written=self.task.written,
            env_steps=self.env_steps,
            episodes=self.episodes,
            updates=self.updates,
            success=self.success.recent,
            engine=self.td3.engine.value,
        )

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        if self._trainer is not None and self.trainer.state.fn == TrainerFn.FITTING:
            data = getattr(self.trainer.datamodule, "hparams", {})  # type: ignore[attr-defined]
            continue_under(checkpoint, self.hparams, data)
        else:
            self._knows_values = complete(checkpoint, self.state_dict())
        entry = read_entry(checkpoint, "the checkpoint")
        self.env_steps, self.episodes = entry.env_steps, entry.episodes
        self.td3.updates = entry.updates
        self.success.restore(entry.success)
        if entry.rng_state is not None:  # not in a file cut down to its policy
            torch.set_rng_state(entry.rng_state)
