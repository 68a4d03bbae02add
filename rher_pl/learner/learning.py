"""The updates of an iteration: one by one, or at once in C++ where that comes to the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from tensordict import TensorDict
from torch import Tensor

from rher_pl.learner.td3 import TD3, Sample

Metrics = dict[str, Tensor]

AT_ONCE = 100
"""Updates in a call into C++, which cannot be interrupted; a quarter of a second."""


class AtOnce:
    """Does many updates by :meth:`TD3.learn`, if they are what updates one by one are.

    The first ones after :meth:`begin` are done in both ways. Unless metrics, and weights and the
    optimizers' state afterwards, are the same to the bit, all that follow are done one by one: so
    whoever changes what an update does, or how it is applied, gets what they wrote.

    Args:
        td3: whose updates.
    """

    def __init__(self, td3: TD3) -> None:
        self._td3 = td3
        self.begin()

    def begin(self) -> None:
        """Find out anew."""
        self.same: bool | None = None
        """Whether updates at once are those one by one; None before that is known."""

    def __call__(
        self,
        samples: TensorDict,
        number: int,
        optimizers: Sequence[torch.optim.Optimizer],
        update: Callable[[Sample], Metrics],
    ) -> list[Metrics]:
        """Updates ``number`` and on, on batches [U, B].

        Args:
            samples: encoded.
            number: of the first update, from 1.
            optimizers: of the critics and of the actor.
            update: does one.

        Returns:
            Metrics of all updates, of some or of one at a time.
        """
        done: list[Metrics] = []
        if self.same is None:
            tried = 2 * self._td3.policy_delay  # the actor is updated in two of them
            if self._td3.can_learn(*optimizers) and len(samples) >= tried:
                first = samples[:tried]
                done = self._try(
                    optimizers,
                    lambda: [update(sample) for sample in one_by_one(first)],
                    lambda: self._learn(first, number, optimizers),
                )
                samples, number = samples[tried:], number + tried
        if not self.same or not self._td3.can_learn(*optimizers):
            return done + [update(sample) for sample in one_by_one(samples)]
        for some in samples.split(AT_ONCE) if len(samples) else ():
            done.append(self._learn(some, number, optimizers))
            number += len(some)
        return done

    def _try(
        self,
        optimizers: Sequence[torch.optim.Optimizer],
        singly: Callable[[], list[Metrics]],
        at_once: Callable[[], Metrics],
    ) -> list[Metrics]:
        """Do some updates ``singly`` and see whether ``at_once`` they are the same."""
        tensors = self._changed(optimizers)
        before = [tensor.clone() for tensor in tensors]
        done = singly()
        expected = [tensor.clone() for tensor in tensors]
        _set(tensors, before)
        found = at_once()
        self.same = all(map(torch.equal, tensors, expected)) and _same_metrics(done, found)
        _set(tensors, expected)
        return done

    def _changed(self, optimizers: Sequence[torch.optim.Optimizer]) -> list[Tensor]:
        """Everything that updates change."""
        states = (state for optimizer in optimizers for state in optimizer.state.values())
        return [*self._td3.weights(), *(value for state in states for value in state.values())]

    def _learn(
        self, samples: TensorDict, number: int, optimizers: Sequence[torch.optim.Optimizer]
    ) -> Metrics:
        critics, actor = optimizers
        assert isinstance(critics, torch.optim.Adam)
        assert isinstance(actor, torch.optim.Adam)
        return self._td3.learn(dict(samples.items()), number, critics, actor)


def _same_metrics(one_by_one: list[Metrics], at_once: Metrics) -> bool:
    """Whether updates returned the same: losses, and values ``q`` [E, B] or of all [E, U B]."""
    names = {name for metrics in one_by_one for name in metrics}

    def joined(name: str) -> Tensor:
        values = [metrics[name] for metrics in one_by_one if name in metrics]
        return torch.cat(values, dim=1) if name == "q" else torch.stack(values)

    return names == at_once.keys() and all(joined(n).equal(at_once[n]) for n in names)


@torch.no_grad()
def _set(tensors: Sequence[Tensor], values: Sequence[Tensor]) -> None:
    for tensor, value in zip(tensors, values, strict=True):
        tensor.copy_(value)


def one_by_one(samples: TensorDict) -> Iterator[dict[str, Tensor]]:
    """Each batch of [U, B]; as dictionaries, which are looked into many times an update."""
    columns = [value.unbind(0) for value in samples.values()]
    return (dict(zip(samples.keys(), values)) for values in zip(*columns, strict=True))
