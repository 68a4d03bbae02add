"""What a policy does in a few states, in C++; see ``acting.cpp``."""

from __future__ import annotations

import ctypes
import sys

import torch
from tensordict import TensorDict, TensorDictBase
from torch import Tensor

from rher_pl.engine import agree
from rher_pl.native.library import Sizes, load, pointer, pointers
from rher_pl.policy import CLIP, RelayPolicy


class _Encoding(ctypes.Structure):
    _fields_ = [
        *[
            (name, ctypes.c_int32)
            for name in ("observation", "points", "desired", "relative", "subtasks")
        ],
        *[(name, ctypes.c_int32) for name in ("observed", "goals")],
        *[(name, ctypes.c_void_p) for name in ("observed_columns", "goal_columns", "source")],
        *[(name, ctypes.c_void_p) for name in ("shift", "scale")],
        ("clip", ctypes.c_float),
    ]


class _States(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_void_p) for name in ("observation", "achieved", "desired", "subtask")
    ]


class NativePolicy:
    """What a :class:`RelayPolicy` returns, by one call into C++.

    With as few states as are collected side by side, PyTorch spends most of the time on the way
    from one operation to the next.

    Args:
        policy: float32, on the CPU. After it has changed, :meth:`refresh` is to be called.
    """

    def __init__(self, policy: RelayPolicy) -> None:
        library = load()
        assert library is not None, "make() says whether there is one"
        self._library, self._policy = library, policy
        self._memory: _Memory | None = None
        self.refresh()

    @staticmethod
    def make(policy: RelayPolicy) -> NativePolicy | None:
        """One for ``policy``, if it can be built and does what the policy in Python does."""
        if load() is None:
            return None
        native = NativePolicy(policy)
        if native.agrees():
            return native
        print(
            "warning: the policy in C++ does not do what the one in Python does; PyTorch computes "
            "actions, more slowly (--model.compiled false leaves this line out)",
            file=sys.stderr,
        )
        return None

    def refresh(self) -> None:
        """Act from now on with the weights and statistics that the policy has now."""
        encoder, relay = self._policy.encoder, self._policy.relay
        shift, scale = encoder.normalization()
        observed, goals = encoder.columns
        self._kept = (observed, goals, relay.source, shift, scale)
        self._encoding = _Encoding(
            encoder.observation_size,
            relay.num_points,
            relay.num_desired,
            relay.relative_goals,
            relay.num_subtasks,
            len(observed),
            len(goals),
            *[tensor.data_ptr() for tensor in self._kept],
            CLIP,
        )
        self._weights = pointers([v for layer in self._policy.actor.net.layers() for v in layer])
        if self._memory is not None:
            self._memory.prepare(self._weights)

    def __call__(self, states: TensorDictBase, subtask: Tensor) -> Tensor:
        """Actions [N, A] for states [N] under subtask [N].

        Raises:
            RuntimeError: the states are not of the sizes that the policy is for.
        """
        if self._memory is None or self._memory.batch_size != len(subtask):
            self._memory = _Memory(self._library, self._policy, len(subtask))
            self._memory.prepare(self._weights)
        memory, relay = self._memory, self._policy.relay
        sizes = {
            "observation": self._policy.encoder.observation_size,
            "achieved_goals": 3 * relay.num_points,
            "desired_goals": 3 * relay.num_desired,
        }
        # Reshaped, so that states of other sizes than the policy's are refused and not read beyond.
        values = [
            states[key].float().reshape(len(subtask), size).contiguous()
            for key, size in sizes.items()
        ]
        values.append(subtask.long().contiguous())
        actions = torch.empty(len(subtask), self._policy.action_size)
        self._library.act(
            memory.sizes,
            ctypes.byref(self._encoding),
            ctypes.byref(_States(*[value.data_ptr() for value in values])),
            self._weights,
            memory.scratch,
            memory.inputs,
            pointer(actions),
        )
        return actions

    @torch.no_grad()
    def agrees(self) -> bool:
        """Whether both do the same, but for rounding, in states of no meaning."""
        relay, generator = self._policy.relay, torch.Generator().manual_seed(0)
        rows = 4 * relay.num_subtasks

        def normal(*shape: int) -> Tensor:
            return torch.randn(rows, *shape, generator=generator)

        states = TensorDict(
            {
                "observation": normal(self._policy.encoder.observation_size),
                "achieved_goals": normal(relay.num_points, 3),
                "desired_goals": normal(relay.num_desired, 3),
            },
            batch_size=[rows],
        )
        subtask = torch.arange(rows) % relay.num_subtasks
        return agree([self._policy(states, subtask)], [self(states, subtask)], 1e-4)


class _Memory:
    """What acting in a number of states writes to."""

    def __init__(self, library: ctypes.CDLL, policy: RelayPolicy, batch_size: int) -> None:
        self._library, self.batch_size = library, batch_size
        net = policy.actor.net
        inputs, hidden = net.layers()[0][0].shape[1:]
        sizes = Sizes(batch_size, inputs, policy.action_size, hidden, net.depth - 1, 1, 1)
        self.sizes = ctypes.byref(sizes)
        self._owned = (
            torch.empty(library.acting_scratch_size(self.sizes), dtype=torch.uint8),
            torch.empty(batch_size, inputs),
        )
        self.scratch, self.inputs = map(pointer, self._owned)

    def prepare(self, weights: ctypes.Array) -> None:
        """Take over the actor's weights."""
        self._library.prepare_acting(self.sizes, weights, self.scratch)
