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


FLAGS = ("-ftree-loop-vectorize", "-ffp-contract=fast")
"""PyTorch's builder leaves loops as they are, since its own are written in vectors."""
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
        self._rule = ctypes.byref(_Rule(gamma, noise_clip, *bounds, action_l2))
        self._memory: _Memory | None = None
        self.bind()

    def bind(self) -> None:
        """Use the weights where they are now; to be called again if they were moved."""
        self._pointers = [_pointers(network) for network in self._networks]

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
        memory = self._prepare(inputs)
        values = [v.contiguous() for v in (inputs, action, next_inputs, noise, reward, terminated)]
        q = torch.empty(memory.members, len(inputs))
        _, critic, target_actor, target_critic = self._pointers
        self._library.critic_gradients(
            memory.sizes,
            self._rule,
            critic,
            target_actor,
            target_critic,
            ctypes.byref(_Sample(*[value.data_ptr() for value in values])),
            memory.scratch,
            *memory.critic_gradients,
            ctypes.c_void_p(q.data_ptr()),
            memory.losses,
        )
        return memory.critic_views, memory.loss(), q

    def actor_gradients(self, inputs: Tensor) -> tuple[Gradients, Tensor]:
        """See ``TD3.actor_gradients``."""
        memory, inputs = self._prepare(inputs), inputs.contiguous()
        actor, critic, _, _ = self._pointers
        self._library.actor_gradients(
            memory.sizes,
            self._rule,
            actor,
            critic,
            ctypes.c_void_p(inputs.data_ptr()),
            memory.scratch,
            *memory.actor_gradients,
            memory.losses,
        )
        return memory.actor_views, memory.loss()

    def _prepare(self, inputs: Tensor) -> _Memory:
        threads = min(torch.get_num_threads(), len(inputs))
        if self._memory is None or self._memory.made_for != (len(inputs), threads):
            actor, critic, _, _ = self._networks
            self._memory = _Memory(self._library, actor, critic, len(inputs), threads)
        return self._memory


class _Memory:
    """What passes over a batch of one size write to, with a part for each thread.

    Args:
        library: tells how much of it there must be.
        actor, critic: networks whose gradients are computed.
        batch_size, threads: what it is made for.
    """

    def __init__(
        self, library: ctypes.CDLL, actor: Actor, critic: Critic, batch_size: int, threads: int
    ) -> None:
        self.made_for = (batch_size, threads)
        self.members = critic.members
        _, inputs, hidden = actor.net.layers()[0][0].shape
        actions, layers = actor.net.layers()[-1][0].shape[-1], actor.net.depth - 1
        sizes = _Sizes(batch_size, inputs, actions, hidden, layers, critic.members, threads)
        self.sizes = ctypes.byref(sizes)
        self._losses = torch.zeros(threads, dtype=torch.float64)
        self._scratch = torch.empty(threads, library.scratch_size(self.sizes))
        flat = [
            torch.empty(threads, sum(map(Tensor.numel, n.parameters()))) for n in (critic, actor)
        ]
        self.critic_gradients, self.actor_gradients = (
            (_pointer(part), ctypes.c_int64(part.shape[1])) for part in flat
        )
        self.critic_views = _shaped(flat[0][0], critic)
        self.actor_views = _shaped(flat[1][0], actor)
        self.scratch, self.losses = _pointer(self._scratch), _pointer(self._losses)

    def loss(self) -> Tensor:
        """What the threads' shares of a loss add up to."""
        return self._losses.sum().float()


@cache
def _load() -> ctypes.CDLL | None:
    """Build the library with PyTorch's own builder, or find it in its cache; None if it cannot."""
    from torch._inductor.codecache import CppCodeCache

    source = Path(__file__).with_name("gradients.cpp").read_text()
    try:
        library: Any = CppCodeCache.load(source, extra_flags=FLAGS)
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
