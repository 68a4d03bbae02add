"""Updates that are recorded once, as CUDA graphs, and replayed: no Python, no launches between."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from rher_pl.learner.batches import Batch

Work = Callable[[], None]
"""Something to do whose tensors lie where they lay before."""
Step = Callable[[dict[str, Tensor], bool], dict[str, Tensor]]
"""An update on a batch [B, ...], with or without the actor, to its metrics."""


def as_cuda_graph(work: Work) -> Work:
    """What does ``work`` again, by one launch; it must have run before, and does not run now."""
    graph = torch.cuda.CUDAGraph()
    # Threads that step environments beside this one are none of its business.
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        work()
    return graph.replay


class ReplayedUpdates:
    """Updates on batches [U, B, ...] in memory of its own, of which each takes the next.

    Each of the two kinds, with and without the actor, runs once as it is written (which compiles
    what is not compiled yet), is recorded at its second turn, and replayed from then on. So all
    that it reads and writes must stay where it is.

    Args:
        step: the update.
        batches: like all that will be learned from.
        record: how to record; without a GPU, by doing the work again.
    """

    def __init__(self, step: Step, batches: Batch, record: Callable[[Work], Work]) -> None:
        self.step = step
        self.record = record
        self._batches = {name: torch.empty_like(part) for name, part in batches.items()}
        some = self._batches["inputs"]
        self._count = some.shape[0]
        self._row = torch.zeros(1, dtype=torch.int64, device=some.device)
        self._metrics: dict[str, Tensor] = {}  # each [U, ...]
        self._works: dict[bool, Work] = {}
        self._recorded: set[bool] = set()

    def run(self, batches: Batch, with_actor: Sequence[bool]) -> dict[str, Tensor]:
        """One update after the other.

        Args:
            batches: [U, B, ...].
            with_actor: for each update [U], whether it is the actor's turn.

        Returns:
            Metrics of all updates, as :meth:`rher_pl.learner.td3.TD3.learn` gives them.
        """
        for name, part in self._batches.items():
            part.copy_(batches[name])
        self._row.zero_()
        for turn in with_actor:
            self._work(turn)()
        turns = [i for i, turn in enumerate(with_actor) if turn]
        q = self._metrics["q"].movedim(0, 1).flatten(1)  # [U, E, B] to [E, U B], as a copy
        metrics = {"critic_loss": self._metrics["critic_loss"].clone(), "q": q.clone()}
        return metrics | ({"actor_loss": self._metrics["actor_loss"][turns]} if turns else {})

    def _work(self, with_actor: bool) -> Work:
        if with_actor not in self._works:
            self._works[with_actor] = lambda: self._update(with_actor)
        elif with_actor not in self._recorded:
            self._works[with_actor] = self.record(self._works[with_actor])
            self._recorded.add(with_actor)
        return self._works[with_actor]

    def _update(self, with_actor: bool) -> None:
        rows = {k: v.index_select(0, self._row).squeeze(0) for k, v in self._batches.items()}
        for name, value in self.step(rows, with_actor).items():
            if name not in self._metrics:
                self._metrics[name] = value.new_zeros(self._count, *value.shape)
            self._metrics[name].index_copy_(0, self._row, value.unsqueeze(0))
        self._row += 1


def addresses(tensors: Sequence[Tensor]) -> tuple[Any, ...]:
    """Where tensors lie: what was recorded holds as long as this is the same."""
    return tuple((tensor.data_ptr(), tensor.shape) for tensor in tensors)
