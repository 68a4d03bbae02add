"""From environment to mixed batches: the endless, stateful loader of a run."""

from __future__ import annotations

import math
from dataclasses import fields
from typing import Any

import lightning.pytorch as pl
import torch
from torch.utils.data import DataLoader
from torchrl.envs import EnvBase

from rher_pl.choices import Hindsight, RelayMode, plain
from rher_pl.collect.behavior import BehaviorPolicy, Exploration
from rher_pl.collect.collector import EpisodeCollector, PipelinedCollector
from rher_pl.errors import require
from rher_pl.limits import MAX_ENVS, MAX_EVAL_EPISODES, require_memory
from rher_pl.replay.sampling import SamplingRule
from rher_pl.tasks import get_task, make_env, task_relay
from rher_pl.training.loader import RelayLoader
from rher_pl.training.module import RHERModule

EVALUATION_SEED = 1_000_000
"""Evaluation episodes use this seed and those after it; training seeds stay far below."""

SAMPLING_SEED = 2_000_000
"""Added to the seed for sampling, so that it differs from exploration's."""


_EXPLORATION = [field.name for field in fields(Exploration)]


class RelayDataModule(pl.LightningDataModule):
    """Wires environment, collector, storage and buffers.

    Args:
        task: registered task name.
        relay: full is RHER; none is plain HER, which trains the last subtask alone, unguided.
        seed: of environments, exploration and sampling.
        num_envs: N, episodes collected side by side in one iteration.
        num_threads: threads that step the environments, by default as many as PyTorch uses
            (``OMP_NUM_THREADS``); the result does not depend on it.
        updates_per_episode: TD3 updates for each collected episode.
        batch_size: samples in a mixed batch from each subtask's pool, or one number per subtask.
        replay_capacity: transitions kept, at least one episode.
        relabel_ratio: share of samples with a hindsight goal, in [0, 1].
        hindsight: state that gives a hindsight goal: future, final or episode.
        inert_ratio: share of drawn hindsight goals that are met already which is kept, in [0, 1];
            the others are drawn again. 1 is plain HER.
        prioritize_motion: share of samples from episodes drawn in proportion to how far objects
            moved in them (arXiv 1810.01363), in [0, 1]; the others are drawn uniformly.
        reward_radius: share of a subtask's epsilon within which learning counts a goal as met, in
            (0, 1]. Below 1 the policy learns to come closer than it must, which leaves room for
            error. Evaluation, relay and exploration go by the whole epsilon; 1 is plain HER.
        guide_share: probability that the guide acts while its subtask is unsolved.
        fading_guide: multiply the guide's share by the learner's failure rate in the last
            evaluations, so that a learner that can do without its guide collects for itself.
        random_share: probability of a uniform random action.
        exploration_noise: standard deviation of the Gaussian action noise.
        reached_distance: gripper to object, in metres, up to which the guide acts; None is the
            task's epsilon. Pushing begins at about 0.045, so a smaller value lets the guide push.
        random_episodes: episodes of random actions, without updates, before learning starts.
        pipelined: collect the next episodes in a thread while learning from the last ones, which
            takes a core from the updates: slower on two cores, worth a try on more. They come
            from a policy one iteration older; the result is still a function of the seed.
        eval_every_env_steps: env steps between evaluations, an epoch.
        eval_episodes: episodes of an evaluation, always on the same seeds.
        eval_envs: evaluation episodes run side by side.
    """

    def __init__(
        self,
        task: str = "FetchPush-v4",
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
        prioritize_motion: float = 0.0,
        reward_radius: float = 1.0,
        guide_share: float = 0.5,
        fading_guide: bool = False,
        random_share: float = 0.2,
        exploration_noise: float = 0.2,
        reached_distance: float | None = None,
        random_episodes: int = 20,
        pipelined: bool = False,
        eval_every_env_steps: int = 2_500,
        eval_episodes: int = 100,
        eval_envs: int = 25,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.hparams.update(plain(self.hparams))
        for name in ("num_envs", "num_threads", "eval_episodes", "eval_envs"):
            value = self.hparams[name]
            require(value is None or value >= 1, f"{name} must be at least 1, got {value}")
        for name in ("num_envs", "eval_envs"):
            count = self.hparams[name]
            require(count <= MAX_ENVS, f"{name} must be at most {MAX_ENVS}, got {count}")
        require(
            eval_episodes <= MAX_EVAL_EPISODES,
            f"eval_episodes must be at most {MAX_EVAL_EPISODES}, got {eval_episodes}",
        )
        require(
            eval_every_env_steps >= 1,
            f"eval_every_env_steps must be at least 1, got {eval_every_env_steps}",
        )
        for name in ("exploration_noise", "reached_distance"):
            noise = self.hparams[name]
            require(
                noise is None or 0.0 <= noise < math.inf, f"{name} must be at least 0, got {noise}"
            )
        require(
            updates_per_episode >= 0,
            f"updates_per_episode must be at least 0, got {updates_per_episode}",
        )
        shares = ("relabel_ratio", "inert_ratio", "prioritize_motion", "guide_share")
        for name in (*shares, "random_share"):
            value = self.hparams[name]
            require(0.0 <= value <= 1.0, f"{name} must be in [0, 1], got {value}")
        require(0.0 < reward_radius <= 1.0, f"reward_radius must be in (0, 1], got {reward_radius}")
        require(
            guide_share + random_share <= 1.0,
            "guide_share and random_share must add up to at most 1, "
            f"got {guide_share} + {random_share}",
        )
        self.relay = task_relay(task, RelayMode(relay))
        sizes = batch_size if isinstance(batch_size, list) else [batch_size]
        require(
            relay == RelayMode.full or len(sizes) == 1,
            f"batch_size has {len(sizes)} numbers, but relay none trains the last subtask alone: "
            f"write one, as --data.batch_size {sum(sizes)} for as many samples in all",
        )
        self.batch_sizes = sizes * self.relay.num_subtasks if len(sizes) == 1 else sizes
        require(
            len(self.batch_sizes) == self.relay.num_subtasks and min(self.batch_sizes) >= 1,
            f"batch_size must be one number of at least 1, or {self.relay.num_subtasks} of them "
            f"(one per subtask of {task}), got {batch_size}",
        )
        self.loader: RelayLoader | None = None
        self._torch_threads: int | None = None

    def setup(self, stage: str) -> None:
        hp, task = self.hparams, get_task(self.hparams["task"])
        if stage == "fit" and hp["pipelined"]:
            self._leave_a_core_to_the_collector()
        if self.loader is not None or hasattr(self, "eval_env"):
            return
        eval_envs = min(hp["eval_envs"], hp["eval_episodes"])
        threads = hp["num_threads"] or self._torch_threads or torch.get_num_threads()
        self.eval_env = make_env(task, eval_envs, EVALUATION_SEED, threads)
        if stage == "fit":
            self.env = make_env(task, hp["num_envs"], hp["seed"], threads)
            length = self.env.max_episode_steps
            require(
                hp["replay_capacity"] >= length,
                f"replay_capacity must hold at least one episode of {length} env steps, "
                f"got {hp['replay_capacity']}",
            )
            self._check_memory(length)
            self.loader = self._make_loader(self.env)

    def _leave_a_core_to_the_collector(self) -> None:
        """Until :meth:`teardown`, updates beside which episodes are collected do without one."""
        # A run that failed may not have been torn down: the first count is the true one.
        self._torch_threads = self._torch_threads or torch.get_num_threads()
        torch.set_num_threads(max(1, self._torch_threads - 1))

    def teardown(self, stage: str) -> None:
        if self._torch_threads is not None:
            torch.set_num_threads(self._torch_threads)
            self._torch_threads = None

    def _check_memory(self, length: int) -> None:
        """Replay and the mixed batches of one iteration must fit, bytes of float32."""
        hp, spec = self.hparams, self.env.observation_spec
        state = sum(spec[key].shape[1:].numel() for key in ("observation", "achieved_goals"))
        require_memory(4.0 * hp["replay_capacity"] * state, "replay_capacity")
        samples = hp["updates_per_episode"] * hp["num_envs"] * sum(self.batch_sizes)
        require_memory(4.0 * samples * 4 * state, "updates_per_episode, num_envs and batch_size")

    def _make_loader(self, env: EnvBase) -> RelayLoader:
        hp, module = self.hparams, self.trainer.lightning_module  # type: ignore[union-attr]
        device = self.trainer.strategy.root_device  # type: ignore[union-attr]
        assert isinstance(module, RHERModule)
        behavior_policy = BehaviorPolicy(
            module.policy,
            module.progress,
            Exploration(**{field: hp[field] for field in _EXPLORATION}),
            torch.Generator().manual_seed(hp["seed"]),
        )
        make_collector = PipelinedCollector if hp["pipelined"] else EpisodeCollector
        return RelayLoader(
            make_collector(env, behavior_policy, hp["random_episodes"]),
            module.relay,
            self.batch_sizes,
            capacity=hp["replay_capacity"] // env.max_episode_steps,
            rule=SamplingRule(
                hp["relabel_ratio"],
                Hindsight(hp["hindsight"]),
                hp["inert_ratio"],
                hp["prioritize_motion"],
                hp["reward_radius"],
            ),
            updates=hp["updates_per_episode"] * hp["num_envs"],
            iterations=max(
                1, round(hp["eval_every_env_steps"] / (hp["num_envs"] * env.max_episode_steps))
            ),
            # Apart from exploration's, which may run beside it.
            generator=torch.Generator(device).manual_seed(SAMPLING_SEED + hp["seed"]),
        )

    def state_dict(self) -> dict[str, Any]:
        """Replay content, counters and all randomness outside the module."""
        return {} if self.loader is None else self.loader.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        if self.loader is not None:  # evaluation needs neither replay nor exploration
            self.loader.load_state_dict(state_dict)

    def train_dataloader(self) -> RelayLoader:
        assert self.loader is not None, "setup('fit') comes first"
        return self.loader

    def val_dataloader(self) -> DataLoader:
        """One batch: the seeds of all evaluation episodes."""
        episodes = self.hparams["eval_episodes"]
        seeds = range(EVALUATION_SEED, EVALUATION_SEED + episodes)
        return DataLoader(seeds, batch_size=episodes)  # type: ignore[arg-type]

    test_dataloader = val_dataloader
