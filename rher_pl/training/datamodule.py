"""From environment to samples, as a LightningDataModule."""

from __future__ import annotations

from typing import Any, Protocol

import lightning.pytorch as pl
import torch
from torchrl.envs import EnvBase

from rher_pl.choices import Hindsight, RelayMode, plain
from rher_pl.collect.behavior import Exploration
from rher_pl.collect.collector import EpisodeCollector, PipelinedCollector
from rher_pl.collect.progress import MovingSuccess
from rher_pl.errors import require
from rher_pl.evaluation.rollout import EvaluationBatch
from rher_pl.gymnasium_task import GymnasiumTask
from rher_pl.limits import check_ranges, require_memory
from rher_pl.networks.policy import RelayPolicy
from rher_pl.replay.sampling import SamplingRule
from rher_pl.tasks import get_task, make_env
from rher_pl.training.checks import check_trainer
from rher_pl.training.data_limits import (
    RANGES,
    check_mirror,
    check_mirrored_inputs,
    check_shards,
    split_batch,
)
from rher_pl.training.loader import EvaluationLoader, LoaderSettings, RelayLoader
from rher_pl.training.playing import make_player
from rher_pl.training.settings import settings_of

EVALUATION_SEED = 1_000_000
"""Evaluation episodes use this seed and the following ones; training uses none of them."""
SAMPLING_SEED = 2_000_000
"""Added to the run's seed for sampling, so that sampling and weights have different seeds."""


class Acts(Protocol):
    """What the data module needs of the Lightning module."""

    policy: RelayPolicy
    success: MovingSuccess


class RelayDataModule(pl.LightningDataModule):
    """Wires environment, collector, storage and sampling.

    Args:
        task: name of a registered task; or class_path and init_args of a ``GymnasiumTask``, which
            is any goal environment of Gymnasium.
        relay: which subtasks are trained. full: all (RHER), the nearest object first in tasks that
            allow any order; ordered: all, with the objects in the order of their numbers; none:
            only the last one, without a guide (plain HER).
        seed: of environments, exploration and sampling.
        num_envs: N, episodes collected side by side in one iteration.
        num_threads: threads that step the environments, by default as many as PyTorch uses
            (``OMP_NUM_THREADS``); the result does not depend on it.
        updates_per_episode: TD3 updates for each collected episode.
        batch_size: samples of each subtask in a mixed batch; one number for all subtasks, or one
            for each.
        replay_capacity: transitions kept, at least one episode.
        relabel_ratio: share of samples with a hindsight goal, in [0, 1].
        hindsight: state of the same episode whose achieved goal becomes the hindsight goal: future
            (a later one), final (the last one) or episode (any).
        inert_ratio: probability, in [0, 1], of keeping a relabelled sample whose hindsight goal is
            already met before the action. A sample that is not kept is replaced by another draw. 1
            is plain HER.
        unmet_ratio: with several objects, probability, in [0, 1], of keeping a relabelled sample in
            which another object is away from its goal: in such a state the policy would work on
            that object instead. A sample that is not kept is replaced by another draw. 1 is plain
            HER.
        turn_share: with several objects, share of samples, in [0, 1], that are drawn only from
            states in which it is the turn of the subtask's own object, the first that is not home;
            the others are drawn from all states.
        prioritize_motion: share, in [0, 1], of samples from episodes drawn in proportion to how far
            objects moved in them (arXiv 1810.01363); the others are drawn uniformly. With several
            objects, of the samples that ``turn_share`` leaves.
        reward_radius: share of epsilon, in (0, 1], within which learning counts the active goal as
            met. Below 1 the policy learns to come closer than it must, which leaves room for error.
            Evaluation uses the whole epsilon. 1 is plain HER. In FetchThreeStack it is
            a share of half of epsilon, the distance at which the next object's turn comes.
        mirror: learn from mirror images of the samples as well, for tasks whose scenes are their
            own mirror images (arXiv 1909.10707).
        guide_share: probability that the guide, which reaches for the object, acts while the object
            is not reached.
        fading_guide: multiply the guide's share by the failure rate, in the last evaluations, of
            the subtask that brings the object.
        fading_noise: multiply random_share and exploration_noise by that failure rate as well.
        random_share: probability of a uniform random action.
        exploration_noise: standard deviation of the Gaussian action noise.
        hold_steps: env steps for which each random draw of exploration (who acts, random action,
            noise) is kept (arXiv 2006.01782). Use more than 1 where a skill takes several similar
            steps, such as grasping and lifting.
        reached_distance: distance from gripper to object, in metres, within which the object counts
            as reached and the guide stops; null: the task's epsilon. Pushing begins at about
            0.045, so with a smaller value the guide pushes, too.
        random_episodes: episodes of random actions, without updates, before learning starts.
        shards: number of equal parts into which the N environments are divided; Ray actors step
            them. Use it for simulators slower than 5 ms a step. 0 steps all environments in this
            process. The result depends on the seed and on this number, not on the workers.
        workers: Ray actors that step the shards, one core each; null: one for each core of the
            cluster. RAY_ADDRESS names the cluster; without it, Ray is started on this machine.
        pipelined: collect the next episodes in a thread while learning from the last ones. The
            thread takes a core from the updates: slower on two cores, worth a try on more. The
            episodes come from a policy one iteration older; the result still depends on the seed,
            not on timing.
        eval_every_env_steps: env steps between evaluations, that is, in an epoch.
        eval_episodes: episodes of an evaluation, always on the same seeds.
        eval_envs: evaluation episodes run side by side.
        eval_last_policy: also evaluate with the last subtask's policy alone, on the same seeds, as
            published for RHER; a control for tasks with several objects.
        epsilon: distance within which learning counts a goal as met, in metres; null: the task's.
        max_episode_steps: env steps in an episode; null: the task's.

    Raises:
        ConfigError: for an option out of its range, or options that do not fit together.
    """

    def __init__(
        self,
        task: GymnasiumTask | str = "FetchPush-v4",
        relay: RelayMode = RelayMode.full,
        seed: int = 0,
        num_envs: int = 5,
        num_threads: int | None = None,
        updates_per_episode: int = 40,
        batch_size: int | list[int] = 256,
        replay_capacity: int = 1_000_000,
        relabel_ratio: float = 0.8,
        hindsight: Hindsight = Hindsight.future,
        inert_ratio: float = 0.2,
        unmet_ratio: float = 0.3,
        turn_share: float = 0.5,
        prioritize_motion: float = 0.0,
        reward_radius: float = 1.0,
        mirror: bool = False,
        guide_share: float = 0.5,
        fading_guide: bool = False,
        fading_noise: bool = False,
        random_share: float = 0.2,
        exploration_noise: float = 0.2,
        hold_steps: int = 1,
        reached_distance: float | None = None,
        random_episodes: int = 20,
        shards: int = 0,
        workers: int | None = None,
        pipelined: bool = False,
        eval_every_env_steps: int = 2_500,
        eval_episodes: int = 25,
        eval_envs: int = 25,
        eval_last_policy: bool = False,
        epsilon: float | None = None,
        max_episode_steps: int | None = None,
    ) -> None:
        super().__init__()
        self.save_hyperparameters(ignore=["task"])
        self.hparams.update(plain(self.hparams))
        check_ranges(self.hparams, RANGES)
        require(
            guide_share + random_share <= 1.0,
            "guide_share and random_share must add up to at most 1, "
            f"got {guide_share} + {random_share}",
        )
        check_shards(shards, workers, num_envs)
        self.exploration = settings_of(Exploration, self.hparams)
        self.task = get_task(task).varied(epsilon, max_episode_steps)
        check_mirror(mirror, self.task)
        self.rule = settings_of(
            SamplingRule,
            self.hparams,
            hindsight=Hindsight(hindsight),
            mirrors=self.task.mirrors if mirror else (),
        )
        self.hparams["task"] = self.task.name
        self.relay = self.task.trained_relay(RelayMode(relay))
        self.batch_sizes = split_batch(
            batch_size, self.relay.num_subtasks, RelayMode(relay), self.task.name
        )
        self.eval_env: EnvBase | None = None
        self.loader: RelayLoader | None = None
        self._state: dict[str, Any] = {}
        self._torch_threads: int | None = None

    # --- set-up and teardown -------------------------------------------------------------------

    def setup(self, stage: str) -> None:
        hp = self.hparams
        if self.trainer is not None:
            check_trainer(self.trainer)
        if stage == "fit" and hp["pipelined"]:
            self._leave_a_core_to_the_collector()
        threads = hp["num_threads"] or self._torch_threads or torch.get_num_threads()
        if self.eval_env is None:
            count = min(hp["eval_envs"], hp["eval_episodes"])
            self.eval_env = make_env(self.task, count, EVALUATION_SEED, threads)
        if stage == "fit" and self.loader is None:
            self._check_memory(self.eval_env)
            self.loader = self._make_loader(self.eval_env, threads)
            if self._state:
                self.loader.load_state_dict(self._state)

    def teardown(self, stage: str) -> None:
        """Close environments and threads; a later fit goes on with the same episodes."""
        try:
            if self.loader is not None:
                self._state = self.loader.state_dict()
        finally:
            self._close()

    def on_exception(self, exception: BaseException) -> None:
        """Close everything and keep no state: Lightning calls no teardown after an exception."""
        self._close()
        self._state = {}

    def _close(self) -> None:
        if self._torch_threads is not None:
            torch.set_num_threads(self._torch_threads)
            self._torch_threads = None
        if self.loader is not None:
            self.loader.close()
        if self.eval_env is not None:
            self.eval_env.close()
        self.eval_env = self.loader = None

    def _leave_a_core_to_the_collector(self) -> None:
        """Until :meth:`teardown`, let PyTorch use one thread less, for the collector's thread."""
        # A failed run may have skipped the teardown: only the first count is the original one.
        self._torch_threads = self._torch_threads or torch.get_num_threads()
        torch.set_num_threads(max(1, self._torch_threads - 1))

    def _check_memory(self, env: EnvBase) -> None:
        """Require memory for the replay and one iteration's mixed batches, in float32."""
        hp, length = self.hparams, env.max_episode_steps
        require(
            hp["replay_capacity"] >= length,
            f"replay_capacity must hold at least one episode of {length} env steps, "
            f"got {hp['replay_capacity']}",
        )
        spec = env.observation_spec
        state = sum(spec[key].shape[1:].numel() for key in ("observation", "achieved_goals"))
        require_memory(4.0 * hp["replay_capacity"] * state, "replay_capacity")
        samples = hp["updates_per_episode"] * hp["num_envs"] * sum(self.batch_sizes)
        require_memory(4.0 * samples * 4 * state, "updates_per_episode, num_envs and batch_size")

    def _make_loader(self, env: EnvBase, threads: int) -> RelayLoader:
        hp, steps = self.hparams, env.max_episode_steps
        module: Acts = self.trainer.lightning_module  # type: ignore[union-attr,assignment]
        check_mirrored_inputs(self.rule.mirrors, module.policy.encoder.options)
        device = self.trainer.strategy.root_device  # type: ignore[union-attr]
        acting = (module.policy, module.success, self.exploration)
        player = make_player(self.task, hp, acting, threads, env)
        make_collector = PipelinedCollector if hp["pipelined"] else EpisodeCollector
        return RelayLoader(
            make_collector(player, hp["seed"], hp["random_episodes"]),
            self.relay,
            self.rule,
            LoaderSettings(
                self.batch_sizes,
                capacity=hp["replay_capacity"] // steps,
                updates=hp["updates_per_episode"] * hp["num_envs"],
                iterations=max(1, round(hp["eval_every_env_steps"] / (hp["num_envs"] * steps))),
            ),
            torch.Generator(device).manual_seed(SAMPLING_SEED + hp["seed"]),
            layout=self.task.layout,
            waiting=env,
        )

    # --- what the trainer asks for -------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Episodes, counters and all randomness outside the module."""
        return self._state if self.loader is None else self.loader.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        if self.loader is not None:  # evaluation needs neither replay nor exploration
            self.loader.load_state_dict(state_dict)

    def train_dataloader(self) -> RelayLoader:
        assert self.loader is not None, "setup('fit') comes first"
        return self.loader

    def val_dataloader(self) -> EvaluationLoader:
        assert self.eval_env is not None, "setup() comes first"
        episodes = self.hparams["eval_episodes"]
        seeds = range(EVALUATION_SEED, EVALUATION_SEED + episodes)
        batch = EvaluationBatch(self.eval_env, seeds, self.hparams["eval_last_policy"])
        return EvaluationLoader(batch)

    test_dataloader = val_dataloader
