"""What a policy does in a few states, in C++; see ``acting.cpp``."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from dataclasses import dataclass

import torch
from tensordict import TensorDict, TensorDictBase
from torch import Tensor

from rher_pl.learner.engine import agree
from rher_pl.learner.native.library import Sizes, load, pointer, pointers
from rher_pl.networks.policy import CLIP, RelayPolicy
from rher_pl.relay import Relay


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


class _Behavior(ctypes.Structure):
    _fields_ = [
        ("limit", ctypes.c_void_p),
        *[(name, ctypes.c_int32) for name in ("guide", "learner")],
        *[(name, ctypes.c_float) for name in ("guided_from", "random_share", "noise")],
        *[(name, ctypes.c_void_p) for name in ("uniform", "random_action", "normal")],
        *[(name, ctypes.c_void_p) for name in ("actor", "unsolved")],
    ]


@dataclass(frozen=True)
class Behavior:
    """Who acts where; see ``BehaviorPolicy``.

    Args:
        relay: the policy's, with the distances at which subtasks count as solved.
        guide, learner: subtasks.
        guide_share, random_share: probabilities.
        noise: standard deviation of the noise on actions.
    """

    relay: Relay
    guide: int | None
    learner: int
    guide_share: float
    random_share: float
    noise: float


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
    def make(
        policy: RelayPolicy, also: Callable[[NativePolicy], bool] = lambda native: True
    ) -> NativePolicy | None:
        """One for ``policy``, if it can be built and does what the policy in Python does.

        Args:
            policy: see above.
            also: what else it has to agree with.
        """
        if load() is None:
            return None
        native = NativePolicy(policy)
        if native.agrees() and also(native):
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
        memory = self._prepare(len(subtask))
        values = [*self._values(states, len(subtask)), subtask.long().contiguous()]
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

    def behave(
        self,
        states: TensorDictBase,
        behavior: Behavior,
        uniform: Tensor,
        random_action: Tensor,
        normal: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Actions [N, A] for states [N], who chose them [N], and the first unsolved subtasks [N].

        Args:
            states: as they come from the environment.
            behavior: who acts.
            uniform: numbers in [0, 1) that decide it, [N].
            random_action: what is done at random, [N, A].
            normal: standard normal numbers for the noise, [N, A].

        Raises:
            RuntimeError: the states are not of the sizes that the policy is for.
        """
        rows = len(uniform)
        memory = self._prepare(rows)
        values = self._values(states, rows)
        actions = torch.empty_like(random_action)
        subtask, actor, unsolved = torch.empty(3, rows, dtype=torch.int64)
        who = _Behavior(
            behavior.relay.limit.data_ptr(),
            -1 if behavior.guide is None else behavior.guide,
            behavior.learner,
            1.0 - behavior.guide_share,
            behavior.random_share,
            behavior.noise,
            *[t.data_ptr() for t in (uniform, random_action, normal, actor, unsolved)],
        )
        self._library.behave(
            memory.sizes,
            ctypes.byref(self._encoding),
            ctypes.byref(_States(*[value.data_ptr() for value in (*values, subtask)])),
            ctypes.byref(who),
            self._weights,
            memory.scratch,
            memory.inputs,
            pointer(actions),
        )
        return actions, actor, unsolved

    def _prepare(self, rows: int) -> _Memory:
        if self._memory is None or self._memory.batch_size != rows:
            self._memory = _Memory(self._library, self._policy, rows)
            self._memory.prepare(self._weights)
        return self._memory

    def _values(self, states: TensorDictBase, rows: int) -> list[Tensor]:
        """What a policy sees; states of other sizes than its own are not to be read beyond."""
        relay = self._policy.relay
        shapes = {
            "observation": (rows, self._policy.encoder.observation_size),
            "achieved_goals": (rows, relay.num_points, 3),
            "desired_goals": (rows, relay.num_desired, 3),
        }
        values = [states.get(key).float().contiguous() for key in shapes]
        for value, (key, shape) in zip(values, shapes.items(), strict=True):
            if value.shape != shape:
                raise RuntimeError(f"{key} is of shape {tuple(value.shape)}, not of shape {shape}")
        return values

    @torch.no_grad()
    def agrees(self) -> bool:
        """Whether both do the same, but for rounding, in states of no meaning."""
        subtasks = self._policy.relay.num_subtasks
        states = meaningless_states(self._policy, 4 * subtasks)
        subtask = torch.arange(4 * subtasks) % subtasks
        return agree([self._policy(states, subtask)], [self(states, subtask)], 1e-4)


def meaningless_states(policy: RelayPolicy, rows: int, spread: float = 1.0) -> TensorDict:
    """States [rows] for ``policy``; PyTorch's own generator stands still."""
    relay, generator = policy.relay, torch.Generator().manual_seed(0)
    shapes = {
        "observation": [policy.encoder.observation_size],
        "achieved_goals": [relay.num_points, 3],
        "desired_goals": [relay.num_desired, 3],
    }
    states = {
        k: spread * torch.randn(rows, *shape, generator=generator) for k, shape in shapes.items()
    }
    return TensorDict(states, batch_size=[rows])


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
