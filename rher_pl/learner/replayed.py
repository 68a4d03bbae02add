"""Updates that are recorded as CUDA graphs and replayed, each with a single launch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from rher_pl.learner.batches import Batch

Work = Callable[[], None]
"""A function whose tensors have the same memory addresses at every call."""
Step = Callable[[dict[str, Tensor], bool], dict[str, Tensor]]
"""An update on a batch [B, ...], with or without the actor; returns its metrics."""


def as_cuda_graph(work: Work) -> Work:
    """A function that repeats ``work`` by one launch; ``work`` must have run before."""
    graph = torch.cuda.CUDAGraph()
    # Only this thread is recorded: others may step environments meanwhile.
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        work()
    return graph.replay


class ReplayedUpdates:
    """Updates on batches [U, B, ...] that are copied to fixed memory; each takes the next batch.

    Each of the two kinds of update, with and without the actor, runs once as it is (which compiles
    it if necessary), is recorded at its second turn, and is replayed from then on. So everything
    that it reads and writes must keep its memory address.

    Args:
        step: the update.
        batches: an example, with the names, shapes and types of all batches to come.
        record: turns an update into one that replays it, such as :func:`as_cuda_graph`.
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
        """Do one update after the other.

        Args:
            batches: [U, B, ...].
            with_actor: for each update [U], whether it updates the actor.

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
    """Addresses and shapes of tensors; a recording is valid while they stay the same."""
    return tuple((tensor.data_ptr(), tensor.shape) for tensor in tensors)
