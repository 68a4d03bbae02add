"""Gradients of TD3 in C++, for CPUs that compute in float32; see ``gradients.cpp``."""

from __future__ import annotations

import ctypes
from functools import cache
from math import inf
from pathlib import Path
from subprocess import SubprocessError
from typing import Any

import torch
from torch import Tensor

from rher_pl.networks import Actor, Critic

Gradients = tuple[Tensor, ...]


SIZES = ("batch", "inputs", "actions", "hidden", "layers", "members", "threads")


class _Sizes(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int32) for name in SIZES]


class _Rule(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_float) for name in ("gamma", "noise_clip", "lowest", "highest", "action_l2")
    ]


class _Sample(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_void_p)
        for name in ("inputs", "action", "next_inputs", "noise", "reward", "terminated")
    ]


class NativeGradients:
    """What ``TD3.critic_gradients`` and ``TD3.actor_gradients`` return, by one call into C++.

    Gradients are views of memory that the next call writes again.

    Args:
        actor, critic, target_actor, target_critic: float32 networks on the CPU, without layer
            normalisation, the critics at most two.
        gamma, noise_clip, action_l2, bounded_target: see ``RHERModule``.
    """

    def __init__(
        self,
        actor: Actor,
        critic: Critic,
        target_actor: Actor,
        target_critic: Critic,
        *,
        gamma: float,
        noise_clip: float,
        action_l2: float,
        bounded_target: bool,
    ) -> None:
        library = _load()
        assert library is not None, "available() says whether there is one"
        self._library = library
        self._networks = (actor, critic, target_actor, target_critic)
        bounds = (-1.0 / (1.0 - gamma), 0.0) if bounded_target else (-inf, inf)
        self._rule = _Rule(gamma, noise_clip, *bounds, action_l2)
        self._memory: tuple[Tensor, Tensor, Tensor] | None = None
        self._sizes = _Sizes()

    @staticmethod
    def suits(critic: Critic, dtype: torch.dtype, device: torch.device) -> bool:
        """Whether this can train such a critic in ``dtype`` on ``device``."""
        known = critic.members <= 2 and not critic.net.layer_norm
        return known and dtype == torch.float32 and device.type == "cpu"

    @staticmethod
    def available() -> bool:
        """Whether this machine can build it: that takes a C++ compiler, and a few seconds once."""
        return _load() is not None

    def critic_gradients(
        self,
        inputs: Tensor,
        action: Tensor,
        next_inputs: Tensor,
        noise: Tensor,
        reward: Tensor,
        terminated: Tensor,
    ) -> tuple[Gradients, Tensor, Tensor]:
        """See ``TD3.critic_gradients``."""
        _, critic, target_actor, target_critic = self._networks
        kept = [v.contiguous() for v in (inputs, action, next_inputs, noise, reward, terminated)]
        scratch, gradients, _ = self._prepare(inputs, action.shape[1])
        q = torch.empty(critic.members, len(inputs))
        losses = torch.empty(self._sizes.threads, dtype=torch.float64)
        self._library.critic_gradients(
            ctypes.byref(self._sizes),
            ctypes.byref(self._rule),
            _pointers(critic),
            _pointers(target_actor),
            _pointers(target_critic),
            ctypes.byref(_Sample(*[value.data_ptr() for value in kept])),
            _pointer(scratch),
            _pointer(gradients),
            ctypes.c_int64(gradients.shape[1]),
            _pointer(q),
            _pointer(losses),
        )
        return _shaped(gradients[0], critic), losses.sum().float(), q

    def actor_gradients(self, inputs: Tensor) -> tuple[Gradients, Tensor]:
        """See ``TD3.actor_gradients``."""
        actor, critic, _, _ = self._networks
        kept = inputs.contiguous()
        actions = actor.net.layers()[-1][0].shape[-1]
        scratch, _, gradients = self._prepare(inputs, actions)
        losses = torch.empty(self._sizes.threads, dtype=torch.float64)
        self._library.actor_gradients(
            ctypes.byref(self._sizes),
            ctypes.byref(self._rule),
            _pointers(actor),
            _pointers(critic),
            _pointer(kept),
            _pointer(scratch),
            _pointer(gradients),
            ctypes.c_int64(gradients.shape[1]),
            _pointer(losses),
        )
        return _shaped(gradients[0], actor), losses.sum().float()

    def _prepare(self, inputs: Tensor, actions: int) -> tuple[Tensor, Tensor, Tensor]:
        """Scratch and gradients of critic and actor, each with a row for every thread."""
        actor, critic, _, _ = self._networks
        threads = min(torch.get_num_threads(), len(inputs))
        hidden = critic.net.layers()[0][0].shape[2]
        sizes = (*inputs.shape, actions, hidden, critic.net.depth - 1, critic.members, threads)
        before = tuple(getattr(self._sizes, name) for name in SIZES)
        if sizes != before or self._memory is None:
            self._sizes = _Sizes(*sizes)
            self._memory = (
                torch.empty(threads, self._library.scratch_size(ctypes.byref(self._sizes))),
                torch.empty(threads, sum(p.numel() for p in critic.parameters())),
                torch.empty(threads, sum(p.numel() for p in actor.parameters())),
            )
        return self._memory


@cache
def _load() -> ctypes.CDLL | None:
    """Build the library with PyTorch's own builder, or find it in its cache; None if it cannot."""
    from torch._inductor.codecache import CppCodeCache

    source = Path(__file__).with_name("gradients.cpp").read_text()
    try:
        library: Any = CppCodeCache.load(source)
    except (OSError, RuntimeError, SubprocessError):  # whatever it is, others do the same work
        return None
    library.scratch_size.restype = ctypes.c_int64
    return library


def _pointer(value: Tensor) -> ctypes.c_void_p:
    return ctypes.c_void_p(value.data_ptr())


def _pointers(network: Actor | Critic) -> Any:
    addresses = [value.data_ptr() for layer in network.net.layers() for value in layer]
    return (ctypes.c_void_p * len(addresses))(*addresses)


def _shaped(flat: Tensor, network: Actor | Critic) -> Gradients:
    """A flat gradient as views in the shapes of a network's parameters."""
    shapes = [parameter.shape for parameter in network.parameters()]
    parts = flat.split([shape.numel() for shape in shapes])
    return tuple(part.view(shape) for part, shape in zip(parts, shapes, strict=True))
