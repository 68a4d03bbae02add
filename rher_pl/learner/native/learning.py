"""Many TD3 updates by one call into C++; see ``learning.cpp``."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from rher_pl.learner.native.gradients import NativeGradients, Samples
from rher_pl.learner.native.library import load, pointers
from rher_pl.learner.native.steps import AdamRule, AdamTensors, adam_rule


class _Trained(ctypes.Structure):
    _fields_ = [
        ("rule", AdamRule),
        *[(name, ctypes.c_void_p) for name in ("values", "means", "squares", "steps")],
        *[(name, ctypes.c_void_p) for name in ("targets", "averages")],
        *[(name, ctypes.c_float) for name in ("tau", "average_rate")],
    ]


class _Batches(ctypes.Structure):
    _fields_ = [
        ("first", Samples),
        *[(name, ctypes.c_int32) for name in ("count", "number", "policy_delay")],
    ]


class _Results(ctypes.Structure):
    _fields_ = [(name, ctypes.c_void_p) for name in ("q", "critic_losses", "actor_losses", "terms")]


class NativeLearner:
    """Does what ``TD3.update`` does with :class:`NativeGradients` and two plain Adams.

    Args:
        gradients: of the networks that are trained.
        critic_targets, actor_targets: parameters of the target networks, float32 on the CPU.
        averages: of the actor that is evaluated.
    """

    def __init__(
        self,
        gradients: NativeGradients,
        critic_targets: Sequence[Tensor],
        actor_targets: Sequence[Tensor],
        averages: Sequence[Tensor],
    ) -> None:
        self._gradients = gradients
        self._kept = (critic_targets, actor_targets, averages)
        self._followers = [pointers(values) for values in self._kept]

    def learn(
        self,
        samples: Mapping[str, Tensor],
        number: int,
        policy_delay: int,
        critics: torch.optim.Adam,
        actor: torch.optim.Adam,
        tau: float,
        average_rate: float,
    ) -> dict[str, Tensor]:
        """Updates ``number`` and on.

        Args:
            samples: the arguments of ``TD3.critic_gradients`` by name, each [U, B, ...].
            number: of the first update, from 1.
            policy_delay, tau, average_rate: see ``RHERModule``.
            critics, actor: optimizers that ``can_step`` knows.

        Returns:
            What the updates give: ``critic_loss`` [U], ``q`` [E, U B], and ``actor_loss``, one for
            each update of the actor, if there was any.
        """
        names = ("inputs", "action", "next_inputs", "noise", "reward", "terminated")
        values = [samples[name].contiguous() for name in names]
        updates, batch_size = values[0].shape[:2]
        memory = self._gradients.prepare(batch_size)
        q = torch.empty(memory.members, updates * batch_size)
        critic_losses = torch.empty(updates, dtype=torch.float64)
        ascents = (number + updates - 1) // policy_delay - (number - 1) // policy_delay
        actor_losses = torch.empty(ascents, dtype=torch.float64)
        first = Samples(*[value.data_ptr() for value in values])
        results, rates = (q, critic_losses, actor_losses), (tau, average_rate)
        critic_targets, actor_targets, averages = self._followers
        library = load()
        assert library is not None, "there are gradients"
        library.learn(
            *self._gradients.arguments(memory),
            ctypes.byref(_trained(critics, critic_targets, None, rates)),
            ctypes.byref(_trained(actor, actor_targets, averages, rates)),
            ctypes.byref(_Batches(first, updates, number, policy_delay)),
            memory.scratch,
            memory.critic_gradients,
            memory.actor_gradients,
            ctypes.byref(_Results(*[r.data_ptr() for r in results], memory.terms.value)),
        )
        done = {"critic_loss": critic_losses.float(), "q": q}
        return done | ({"actor_loss": actor_losses.float()} if len(actor_losses) else {})


def _trained(
    optimizer: torch.optim.Adam,
    targets: ctypes.Array,
    averages: ctypes.Array | None,
    rates: tuple[float, float],
) -> _Trained:
    tensors = AdamTensors.of(optimizer)
    places = [tensors.parameters, *tensors.columns, targets, averages]
    addresses = [None if place is None else ctypes.addressof(place) for place in places]
    return _Trained(adam_rule(optimizer), *addresses, *rates)
