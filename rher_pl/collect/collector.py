"""Collectors of whole episodes, which are numbered and have seeds of their own."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import torch
from tensordict import TensorDict

from rher_pl.collect.players import Player
from rher_pl.collect.seeds import Stream, episode_seeds
from rher_pl.envs.episodes import empty_episode, require_episodes


class EpisodeCollector:
    """Collects N whole episodes at a time, with the policy as it is when collection begins.

    Episodes are numbered from 0, and each has its own seeds, a function of the run's seed and its
    number. So the count of episodes is the collector's whole state.

    Args:
        player: plays the episodes.
        run_seed: at least 0.
        random_episodes: how many of the first episodes take random actions only.
    """

    def __init__(self, player: Player, run_seed: int, random_episodes: int = 0) -> None:
        self.player = player
        self.run_seed = run_seed
        self.random_episodes = random_episodes
        self.episodes = 0
        """Episodes begun so far."""
        self._has_played = False

    def collect(self) -> TensorDict:
        """Rows [N] as in :mod:`rher_pl.envs.episodes`, with the keys of ``logged_only`` besides.

        Raises:
            TrainingError: if the environment or the policy fails, or breaks its contract.
        """
        before = self.episodes
        try:
            return self._play(self._begin())
        except BaseException:
            self.episodes = before  # the next call begins them again
            raise

    def _begin(self) -> range:
        """Number the next N episodes, and let the player get ready for them."""
        numbers = range(self.episodes, self.episodes + self.player.num_envs)
        self.episodes = numbers.stop
        seeds = episode_seeds(self.run_seed, numbers, Stream.EXPLORATION)
        self.player.begin(seeds, only_random=numbers.start < self.random_episodes)
        return numbers

    def _play(self, numbers: range) -> TensorDict:
        self._has_played = True
        following = range(numbers.stop, numbers.stop + len(numbers))
        seeds, after = (
            episode_seeds(self.run_seed, each, Stream.ENVIRONMENT) for each in (numbers, following)
        )
        return self.player.play(seeds, after)

    def state_dict(self) -> dict[str, Any]:
        """The count of episodes; exact after a batch of episodes, not within one."""
        return {"episodes": self.episodes}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what :meth:`state_dict` gave; only before the first :meth:`collect`."""
        assert not self._has_played, "the episodes already begun cannot be taken back"
        pending = state.get("pending")
        example = empty_episode(self.player.env)
        ahead = 0 if pending is None else require_episodes(pending, example)
        self.episodes = state["episodes"] - ahead  # begin again those that nothing used yet

    def close(self) -> None:
        """Stop the player and all of its threads; a second call does nothing."""
        self.player.close()


class PipelinedCollector(EpisodeCollector):
    """Collects the next episodes in its own thread while training uses the last ones.

    What :meth:`collect` returns was begun by the previous call, with the policy as it was then:
    one iteration older than with :class:`EpisodeCollector`. Nothing random is shared with the
    learner, so the result depends on the seed alone, not on which of the two is faster.
    """

    def __init__(self, player: Player, run_seed: int, random_episodes: int = 0) -> None:
        super().__init__(player, run_seed, random_episodes)
        # A second pool of OpenMP threads would outnumber the cores and slow every operation down
        # threefold, so PyTorch gets one thread here.
        self._thread = ThreadPoolExecutor(1, "collector", torch.set_num_threads, (1,))
        self._next: Future[TensorDict] | None = None

    def collect(self) -> TensorDict:
        episodes = super().collect() if self._next is None else self._next.result()
        self._next = self._thread.submit(self._play, self._begin())
        return episodes

    def state_dict(self) -> dict[str, Any]:
        """Waits for the episodes under way, which are part of the state as ``pending``."""
        state, pending = super().state_dict(), None
        if self._next is not None and self._next.exception() is None:
            pending = dict(self._next.result().items())
        elif self._next is not None:  # they failed, and are begun again
            state["episodes"] -= self.player.num_envs
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
