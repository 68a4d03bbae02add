"""Whole episodes from a batched environment, by TorchRL's collector."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import torch
from tensordict import TensorDict, TensorDictBase
from torchrl.collectors import Collector
from torchrl.envs import EnvBase

from rher_pl.collect.behavior import BehaviorPolicy
from rher_pl.collect.seeds import Stream, episode_seeds
from rher_pl.collect.threads import one_torch_thread
from rher_pl.envs.checks import check_episodes, check_states
from rher_pl.envs.episodes import empty_episode, require_episodes, whole_episodes
from rher_pl.errors import TrainingError, fault


class EpisodeCollector:
    """Collects N whole episodes at a time, with the policy as it is when collection begins.

    Episodes are numbered from 0, and each has its own seeds, a function of the run's seed and its
    number. So the count of episodes is all that there is to remember.

    Args:
        env: batched environment [N], see :mod:`rher_pl.envs.contract`.
        behavior_policy: who acts.
        run_seed: at least 0.
        random_episodes: how many of the first episodes take random actions only.
    """

    def __init__(
        self,
        env: EnvBase,
        behavior_policy: BehaviorPolicy,
        run_seed: int,
        random_episodes: int = 0,
    ) -> None:
        self.env = env
        self.behavior_policy = behavior_policy
        self.run_seed = run_seed
        self.random_episodes = random_episodes
        self.episodes = 0
        """Episodes begun so far."""
        self._collector: Collector | None = None
        self._batches: Iterator[TensorDictBase] = iter(())

    @property
    def logged_only(self) -> list[str]:
        """Keys [N, T, 1] of the policy that are told of collected episodes but not stored."""
        return [key for key in self.behavior_policy.out_keys if key != "action"]

    def collect(self) -> TensorDict:
        """Rows [N] as in :mod:`rher_pl.envs.episodes`, and the keys that are ``logged_only``.

        Raises:
            TrainingError: if environment or policy fail, or break the contract.
        """
        before = self.episodes
        try:
            return self._roll_out(self._begin())
        except BaseException:
            self.episodes = before  # they are begun again by whoever goes on from here
            raise

    def _begin(self) -> range:
        """Number the next N episodes, which the policy gets ready for."""
        numbers = range(self.episodes, self.episodes + self.env.num_envs)
        self.episodes = numbers.stop
        seeds = episode_seeds(self.run_seed, numbers, Stream.EXPLORATION)
        self.behavior_policy.begin(seeds, only_random=numbers.start < self.random_episodes)
        return numbers

    def _roll_out(self, numbers: range) -> TensorDict:
        if self._collector is None:
            self._seed(numbers)
            self._start()
        # TorchRL resets for the following episodes before it hands out these.
        self._seed(range(numbers.stop, numbers.stop + len(numbers)))
        try:
            with one_torch_thread():
                frames = next(self._batches)  # [N, T]
        except TrainingError:
            raise
        except Exception as error:  # an environment may fail in any way
            raise TrainingError(f"collecting episodes failed: {fault(error)}") from error
        check_states(frames, self.env)
        check_states(frames["next"], self.env)
        check_episodes(frames)
        return whole_episodes(frames, self.logged_only)

    def _seed(self, numbers: range) -> None:
        self.env.set_seeds(episode_seeds(self.run_seed, numbers, Stream.ENVIRONMENT))

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

    def state_dict(self) -> dict[str, Any]:
        """Exact at the end of a batch of episodes."""
        return {"episodes": self.episodes}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what :meth:`state_dict` gave; only before the first :meth:`collect`."""
        assert self._collector is None, "the episodes already begun cannot be taken back"
        pending = state.get("pending")
        ahead = 0 if pending is None else require_episodes(pending, empty_episode(self.env))
        self.episodes = state["episodes"] - ahead  # nobody has seen those: they are begun again

    def close(self) -> None:
        """Stop collector, environment and all of their threads; a second time does nothing."""
        if self._collector is not None:
            self._collector.shutdown(close_env=False)
            self._collector, self._batches = None, iter(())
        self.env.close(raise_if_closed=False)


class PipelinedCollector(EpisodeCollector):
    """Collects the next episodes in a thread of its own while the last ones are learned from.

    What :meth:`collect` returns was begun by the previous call, with the policy as it was then:
    one iteration older than with :class:`EpisodeCollector`. Nothing random is shared with the
    learner, so the result depends on the seed alone, not on which of the two is faster.
    """

    def __init__(
        self,
        env: EnvBase,
        behavior_policy: BehaviorPolicy,
        run_seed: int,
        random_episodes: int = 0,
    ) -> None:
        super().__init__(env, behavior_policy, run_seed, random_episodes)
        # A second pool of OpenMP threads would outnumber the cores and slow every operation down
        # threefold, so PyTorch gets one thread here.
        self._thread = ThreadPoolExecutor(1, "collector", torch.set_num_threads, (1,))
        self._next: Future[TensorDict] | None = None

    def collect(self) -> TensorDict:
        episodes = super().collect() if self._next is None else self._next.result()
        self._next = self._thread.submit(self._roll_out, self._begin())
        return episodes

    def state_dict(self) -> dict[str, Any]:
        """As of the episodes under way, which are waited for and are part of the state."""
        state, pending = super().state_dict(), None
        if self._next is not None and self._next.exception() is None:
            pending = dict(self._next.result().items())
        elif self._next is not None:  # they failed, and are begun again
            state["episodes"] -= self.env.num_envs
        return state | {"pending": pending}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        pending, self._next = state.get("pending"), None
        if pending is not None:
            ahead = state["episodes"] - self.episodes
            self.episodes = state["episodes"]
            self._next = Future()
            self._next.set_result(TensorDict(pending, batch_size=[ahead]))

    def close(self) -> None:
        self._thread.shutdown()
        super().close()
