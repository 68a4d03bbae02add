"""Players of episodes: their interface, and one that plays in this process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from tensordict import TensorDict, TensorDictBase
from torchrl.collectors import Collector
from torchrl.envs import EnvBase

from rher_pl.collect.behavior import BehaviorPolicy
from rher_pl.collect.threads import one_torch_thread
from rher_pl.envs.checks import check_episodes, check_states
from rher_pl.envs.episodes import whole_episodes
from rher_pl.errors import TrainingError, fault


class Player(Protocol):
    """Plays N whole episodes at a time, which depend on weights and seeds alone."""

    num_envs: int
    """N."""
    env: EnvBase
    """An environment with the shapes of the episodes."""

    def begin(self, seeds: Sequence[int], only_random: bool) -> None:
        """Take the policy as it is now, for the episodes that :meth:`play` plays next.

        Args:
            seeds: of the exploration, one for each episode [N].
            only_random: take random actions only.
        """
        ...

    def play(self, seeds: Sequence[int], following: Sequence[int]) -> TensorDict:
        """Rows [N] as in :mod:`rher_pl.envs.episodes`, with the keys of ``logged_only`` besides.

        Args:
            seeds: of the environment, one for each episode [N].
            following: the same for the N episodes after these.

        Raises:
            TrainingError: if the environment or the policy fails, or breaks its contract.
        """
        ...

    def close(self) -> None:
        """Stop playing and release what it needs; a second call does nothing."""
        ...


def logged_only(behavior: BehaviorPolicy) -> list[str]:
    """Keys [N, T, 1] that the policy adds to episodes for logging, and that are not stored."""
    return [key for key in behavior.out_keys if key != "action"]


def episodes_of(frames: TensorDictBase, env: EnvBase, behavior: BehaviorPolicy) -> TensorDict:
    """Rows [N] of frames [N, T], which are checked first.

    Raises:
        TrainingError: if they break the contract of :mod:`rher_pl.envs.contract`.
    """
    check_states(frames, env)
    check_states(frames["next"], env)
    check_episodes(frames)
    return whole_episodes(frames, logged_only(behavior))


class LocalPlayer:
    """Plays in this process, by TorchRL's collector.

    Args:
        env: batched environment [N], see :mod:`rher_pl.envs.contract`.
        behavior_policy: who acts.
    """

    def __init__(self, env: EnvBase, behavior_policy: BehaviorPolicy) -> None:
        self.env = env
        self.num_envs = env.num_envs
        self.behavior_policy = behavior_policy
        self._collector: Collector | None = None
        self._batches: Iterator[TensorDictBase] = iter(())

    def begin(self, seeds: Sequence[int], only_random: bool) -> None:
        self.behavior_policy.begin(seeds, only_random)

    def play(self, seeds: Sequence[int], following: Sequence[int]) -> TensorDict:
        if self._collector is None:
            self.env.set_seeds(seeds)
            self._start()
        # TorchRL resets for the following episodes before it returns these.
        self.env.set_seeds(following)
        try:
            with one_torch_thread():
                frames = next(self._batches)  # [N, T]
        except TrainingError:
            raise
        except Exception as error:  # an environment may fail in any way
            raise TrainingError(f"collecting episodes failed: {fault(error)}") from error
        return episodes_of(frames, self.env, self.behavior_policy)

    def _start(self) -> None:
        """Build TorchRL's collector, which resets the environment."""
        self._collector = Collector(
            self.env,
            self.behavior_policy,
            frames_per_batch=self.env.num_envs * self.env.max_episode_steps,
            total_frames=-1,
            use_buffers=False,
            auto_register_policy_transforms=False,
            device="cpu",
            no_cuda_sync=True,
            track_traj_ids=False,
        )
        self._batches = iter(self._collector)

    def close(self) -> None:
        if self._collector is not None:
            self._collector.shutdown(close_env=False)
            self._collector, self._batches = None, iter(())
        self.env.close(raise_if_closed=False)
