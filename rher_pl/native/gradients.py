"""Gradients of TD3 in C++ on a CPU, in float32 or bfloat16; see ``gradients.cpp``."""

from __future__ import annotations

import ctypes
from math import inf

import torch
from torch import Tensor

from rher_pl.native.library import Sizes, load, pointer, pointers
from rher_pl.networks import Actor, Critic

Gradients = tuple[Tensor, ...]


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
        dtype: of the hidden layers; weights are rounded to it each time they are used.
        gamma, noise_clip, action_l2, bounded_target: see ``RHERModule``.
    """

    def __init__(
        self,
        actor: Actor,
        critic: Critic,
        target_actor: Actor,
        target_critic: Critic,
        dtype: torch.dtype = torch.float32,
        *,
        gamma: float,
        noise_clip: float,
        action_l2: float,
        bounded_target: bool,
    ) -> None:
        library = load()
        assert library is not None, "available() says whether there is one"
        self._library = library
        self._networks = (actor, critic, target_actor, target_critic)
        self._reduced = ctypes.c_int32(dtype == torch.bfloat16)
        bounds = (-1.0 / (1.0 - gamma), 0.0) if bounded_target else (-inf, inf)
        self._rule = ctypes.byref(_Rule(gamma, noise_clip, *bounds, action_l2))
        self._memory: _Memory | None = None
        self.bind()

    def bind(self) -> None:
        """Use the weights where they are now; to be called again if they were moved."""
        self._pointers = [_weights(network) for network in self._networks]

    @staticmethod
    def suits(critic: Critic, dtype: torch.dtype, device: torch.device) -> bool:
        """Whether this can train such a critic in ``dtype`` on ``device``."""
        known = critic.members <= 2 and not critic.net.layer_norm
        return known and device.type == "cpu" and dtype in NativeGradients.types()

    @staticmethod
    def types() -> set[torch.dtype]:
        """What hidden layers can be computed in on this CPU.

        One that multiplies whole tiles of bfloat16 (AMX) does so in PyTorch, and here does not.
        """
        features = torch.cpu.get_capabilities()
        pairs = features.get("avx512_bf16", False) and not features.get("amx_bf16", False)
        return {torch.float32, torch.bfloat16} if pairs else {torch.float32}

    @staticmethod
    def available() -> bool:
        """Whether this machine can build it: that takes a C++ compiler, and a few seconds once."""
        return load() is not None

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
        loss = self._library.critic_gradients(
            memory.sizes,
            self._reduced,
            self._rule,
            critic,
            target_actor,
            target_critic,
            ctypes.byref(_Sample(*[value.data_ptr() for value in values])),
            memory.critic_scratch,
            memory.critic_gradients,
            ctypes.c_void_p(q.data_ptr()),
            memory.terms,
        )
        return memory.critic_views, torch.tensor(loss), q

    def actor_gradients(self, inputs: Tensor) -> tuple[Gradients, Tensor]:
        """See ``TD3.actor_gradients``."""
        memory, inputs = self._prepare(inputs), inputs.contiguous()
        actor, critic, _, _ = self._pointers
        loss = self._library.actor_gradients(
            memory.sizes,
            self._reduced,
            self._rule,
            actor,
            critic,
            ctypes.c_void_p(inputs.data_ptr()),
            memory.actor_scratch,
            memory.actor_gradients,
            memory.terms,
        )
        return memory.actor_views, torch.tensor(loss)

    def _prepare(self, inputs: Tensor) -> _Memory:
        threads = min(torch.get_num_threads(), len(inputs))
        if self._memory is None or self._memory.made_for != (len(inputs), threads):
            actor, critic, _, _ = self._networks
            self._memory = _Memory(
                self._library, actor, critic, self._reduced, len(inputs), threads
            )
        return self._memory


class _Memory:
    """What passes over a batch of one size write to.

    Args:
        library: tells how much of it there must be.
        actor, critic: networks whose gradients are computed.
        reduced: whether hidden layers are bfloat16.
        batch_size, threads: what it is made for.
    """

    def __init__(
        self,
        library: ctypes.CDLL,
        actor: Actor,
        critic: Critic,
        reduced: ctypes.c_int32,
        batch_size: int,
        threads: int,
    ) -> None:
        self.made_for = (batch_size, threads)
        self.members = critic.members
        _, inputs, hidden = actor.net.layers()[0][0].shape
        actions, layers = actor.net.layers()[-1][0].shape[-1], actor.net.depth - 1
        sizes = Sizes(batch_size, inputs, actions, hidden, layers, critic.members, threads)
        self.sizes = ctypes.byref(sizes)
        critic_scratch, actor_scratch = (
            torch.empty(count(self.sizes, reduced), dtype=torch.uint8)
            for count in (library.critic_scratch_size, library.actor_scratch_size)
        )
        terms = torch.empty(critic.members * batch_size, dtype=torch.float64)
        critic_flat, actor_flat = (
            torch.empty(sum(map(Tensor.numel, network.parameters()))) for network in (critic, actor)
        )
        self.critic_views = _shaped(critic_flat, critic)
        self.actor_views = _shaped(actor_flat, actor)
        self._owned = (critic_scratch, actor_scratch, terms, critic_flat, actor_flat)
        (
            self.critic_scratch,
            self.actor_scratch,
            self.terms,
            self.critic_gradients,
            self.actor_gradients,
        ) = map(pointer, self._owned)


def _weights(network: Actor | Critic) -> ctypes.Array:
    return pointers([value for layer in network.net.layers() for value in layer])


def _shaped(flat: Tensor, network: Actor | Critic) -> Gradients:
    """A flat gradient as views in the shapes of a network's parameters."""
    shapes = [parameter.shape for parameter in network.parameters()]
    parts = flat.split([shape.numel() for shape in shapes])
    return tuple(part.view(shape) for part, shape in zip(parts, shapes, strict=True))
