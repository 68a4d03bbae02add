"""Gradients of TD3 in C++ on a CPU, in float32 or bfloat16; see ``gradients.cpp``."""

from __future__ import annotations

import ctypes
from math import inf

import torch
from torch import Tensor

from rher_pl.learner.native.library import Sizes, load, pointer, pointers
from rher_pl.networks.actor_critic import Actor, Critic

Gradients = tuple[Tensor, ...]


class _Rule(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_float) for name in ("gamma", "noise_clip", "lowest", "highest", "action_l2")
    ]


class Samples(ctypes.Structure):
    """Where those of a batch are, or of the first of many."""

    _fields_ = [
        (name, ctypes.c_void_p)
        for name in ("inputs", "action", "next_inputs", "noise", "reward", "terminated")
    ]


class _Networks(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_void_p) for name in ("actor", "critic", "target_actor", "target_critic")
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
        self._memory: Memory | None = None
        self.bind()

    def bind(self) -> None:
        """Use the weights where they are now; to be called again if they were moved."""
        self._weights = [_weights(network) for network in self._networks]
        self._pointers = ctypes.byref(_Networks(*map(ctypes.addressof, self._weights)))

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
        memory = self.prepare(len(inputs))
        values = [v.contiguous() for v in (inputs, action, next_inputs, noise, reward, terminated)]
        q = torch.empty(memory.members, len(inputs))
        loss = self._library.critic_gradients(
            *self.arguments(memory),
            ctypes.byref(Samples(*[value.data_ptr() for value in values])),
            memory.scratch,
            memory.critic_gradients,
            pointer(q),
            memory.terms,
        )
        return memory.critic_views, torch.tensor(loss), q

    def actor_gradients(self, inputs: Tensor) -> tuple[Gradients, Tensor]:
        """See ``TD3.actor_gradients``."""
        memory, inputs = self.prepare(len(inputs)), inputs.contiguous()
        loss = self._library.actor_gradients(
            *self.arguments(memory),
            pointer(inputs),
            memory.scratch,
            memory.actor_gradients,
            memory.terms,
        )
        return memory.actor_views, torch.tensor(loss)

    def prepare(self, batch_size: int) -> Memory:
        """What an update on so many samples writes to, by as many threads as PyTorch has now."""
        threads = min(torch.get_num_threads(), batch_size)
        if self._memory is None or self._memory.made_for != (batch_size, threads):
            actor, critic, _, _ = self._networks
            self._memory = Memory(self._library, actor, critic, self._reduced, batch_size, threads)
        return self._memory

    def arguments(self, memory: Memory) -> tuple:
        """The first ones of each function in C++: sizes, type, rule and networks."""
        return memory.sizes, self._reduced, self._rule, self._pointers


class Memory:
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
        scratch = torch.empty(library.scratch_size(self.sizes, reduced), dtype=torch.uint8)
        terms = torch.empty((critic.members + 1) * batch_size, dtype=torch.float64)
        critic_flat, actor_flat = (
            torch.empty(sum(map(Tensor.numel, network.parameters()))) for network in (critic, actor)
        )
        self.critic_views = _shaped(critic_flat, critic)
        self.actor_views = _shaped(actor_flat, actor)
        self._owned = (scratch, terms, critic_flat, actor_flat)
        self.scratch, self.terms, self.critic_gradients, self.actor_gradients = map(
            pointer, self._owned
        )


def _weights(network: Actor | Critic) -> ctypes.Array:
    return pointers([value for layer in network.net.layers() for value in layer])


def _shaped(flat: Tensor, network: Actor | Critic) -> Gradients:
    """A flat gradient as views in the shapes of a network's parameters."""
    shapes = [parameter.shape for parameter in network.parameters()]
    parts = flat.split([shape.numel() for shape in shapes])
    return tuple(part.view(shape) for part, shape in zip(parts, shapes, strict=True))
