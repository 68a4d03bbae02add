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
from rher_pl.collect.threads import one_torch_thread
from rher_pl.envs.checks import check_states
from rher_pl.errors import TrainingError, fault

COMMENTARY = ("chooser", "subtask")
"""Who chose each action, and the subtask that came next there: logged only."""


class EpisodeCollector:
    """Collects N whole episodes at a time, with the policy as it is when collection begins.

    Args:
        env: batched environment [N] whose episodes all last ``max_episode_steps``.
        behavior_policy: who acts.
        random_episodes: how many of the first episodes take random actions only.
    """

    def __init__(
        self, env: EnvBase, behavior_policy: BehaviorPolicy, random_episodes: int = 0
    ) -> None:
        self.env = env
        self.behavior_policy = behavior_policy
        self.random_episodes = random_episodes
        self.episodes = 0
        """Episodes begun so far."""
        self._collector: Collector | None = None
        self._batches: Iterator[TensorDictBase] = iter(())

    def _start(self) -> None:
        """Build the collector. That resets the environment, so randomness is restored before."""
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

    def collect(self) -> TensorDict:
        """Storage rows [N], plus ``COMMENTARY`` [N, T, 1]: what is told of them but not stored."""
        self._synchronize()
        return self._roll_out()

    def _synchronize(self) -> None:
        self.behavior_policy.only_random = self.episodes < self.random_episodes
        self.behavior_policy.synchronize()
        self.episodes += self.env.num_envs

    def _roll_out(self) -> TensorDict:
        if self._collector is None:
            self._start()
        try:
            with one_torch_thread():
                batch = next(self._batches)  # [N, T]
        except TrainingError:
            raise
        except Exception as error:  # an environment may fail in any way
            raise TrainingError(f"collecting episodes failed: {fault(error)}") from error
        check_states(batch, self.env)
        check_states(batch["next"], self.env)
        return TensorDict(
            {
                "observation": _states(batch, "observation"),
                "achieved_goals": _states(batch, "achieved_goals"),
                "desired_goals": batch["desired_goals"][:, 0],
                "action": batch["action"],
                **{key: batch[key] for key in COMMENTARY},
            },
            batch_size=batch.batch_size[:1],
        )

    def state_dict(self) -> dict[str, Any]:
        """Randomness of environment and policy; exact at the end of a batch of episodes."""
        return {
            "env": self.env.rng_state(),
            "policy": self.behavior_policy.generator.get_state(),
            "episodes": self.episodes,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what :meth:`state_dict` gave; only before the first :meth:`collect`."""
        assert self._collector is None, "the episodes already begun cannot be taken back"
        self.env.set_rng_state(state["env"])
        self.behavior_policy.generator.set_state(state["policy"])
        self.episodes = state["episodes"]

    def close(self) -> None:
        """Stop the collector and its environment."""
        if self._collector is not None:
            self._collector.shutdown()


class PipelinedCollector(EpisodeCollector):
    """Collects the next episodes in a thread of its own while the last ones are learned from.

    What :meth:`collect` returns was begun by the previous call, with the policy as it was then:
    one iteration older than with :class:`EpisodeCollector`. Nothing random is shared with the
    learner, so the result depends on the seed alone, not on which of the two is faster.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # A second pool of OpenMP threads would outnumber the cores and slow every operation down
        # threefold, so PyTorch gets one thread here.
        self._thread = ThreadPoolExecutor(1, "collector", torch.set_num_threads, (1,))
        self._next: Future[TensorDict] | None = None

    def collect(self) -> TensorDict:
        episodes = super().collect() if self._next is None else self._next.result()
        self._synchronize()
        self._next = self._thread.submit(self._roll_out)
        return episodes

    def state_dict(self) -> dict[str, Any]:
        """As of the episodes under way, which are waited for and are part of the state."""
        pending = None if self._next is None else dict(self._next.result().items())
        return super().state_dict() | {"pending": pending}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        if state["pending"] is not None:
            pending = TensorDict(state["pending"], batch_size=[self.env.num_envs])
            self._next = Future()
            self._next.set_result(pending)

    def close(self) -> None:
        self._thread.shutdown()
        super().close()


def _states(batch: TensorDictBase, key: str) -> torch.Tensor:
    """All T + 1 states of each episode, [N, T+1, ...]: the T current ones and the final one."""
    return torch.cat([batch[key], batch["next", key][:, -1:]], dim=1)
