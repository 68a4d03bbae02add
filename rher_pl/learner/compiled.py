"""TD3 with the whole update, Adam and averages included, in one graph of ``torch.compile``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from rher_pl.choices import Engine
from rher_pl.errors import ConfigError
from rher_pl.learner.adam import MOMENTS, is_plain, require_sound_state
from rher_pl.learner.batches import Batch, sound_batches
from rher_pl.learner.replayed import ReplayedUpdates, Work, addresses, as_cuda_graph
from rher_pl.learner.td3 import TD3

OPTIMIZERS = ("critic_optimizer", "actor_optimizer")

SCHEDULED = ("gamma", "tau", "noise_clip", "action_l2", "average_rate")
"""Settings that are tensors [] in the graph, so that a new value does not recompile it."""


class CompiledTD3(TD3):
    """:meth:`TD3.step` traced into two graphs: with and without an update of the actor.

    On a GPU they are replayed as CUDA graphs, see :mod:`rher_pl.learner.replayed`.
    """

    backend = "inductor"
    """Backend of ``torch.compile``."""
    record: Callable[[Work], Work] | None = None
    """How updates are recorded for replay; None is CUDA graphs on a GPU, elsewhere no replay."""

    _graphs: Callable[..., dict[str, Tensor]] | None = None
    _live: Live | None = None
    _replayed: tuple[Any, Live, ReplayedUpdates] | None = None

    @property
    def engine(self) -> Engine:  # type: ignore[override]
        """Compile, or eager while an optimizer is not the plain Adam of :class:`TensorAdam`."""
        known = is_plain(self.critic_optimizer, self.critic) and is_plain(
            self.actor_optimizer, self.actor
        )
        return Engine.compile if known else Engine.eager

    def learn(self, batches: Batch) -> dict[str, Tensor]:
        """See :meth:`TD3.learn`; settings are those at the time of the call."""
        if self.engine == Engine.eager:
            return super().learn(batches)
        if self._graphs is None:
            self._graphs = make_graphs(self.backend)
        self._live = Live(self)
        record = self.record or (as_cuda_graph if self.device.type == "cuda" else None)
        try:
            return super().learn(batches) if record is None else self._replay(batches, record)
        finally:
            self._live = None

    def _replay(self, batches: Batch, record: Callable[[Work], Work]) -> dict[str, Tensor]:
        """Learn by recorded updates, which are recorded again if what they rely on has changed."""
        assert self._live is not None
        batches = sound_batches(batches, self.sizes, self.device)
        require_sound_state(critic=self.critic_optimizer, actor=self.actor_optimizer)
        shapes = {name: part.shape for name, part in batches.items()}
        held = (shapes, self.compute_type, self.bounded_target, self._live.addresses(self))
        if self._replayed is None or self._replayed[0] != held:
            self._replayed = held, self._live, ReplayedUpdates(self.step, batches, record)
        _, live, replayed = self._replayed
        live.follow(self._live)
        self._live = live
        numbers = range(self.updates + 1, self.updates + 1 + len(batches["inputs"]))
        metrics = replayed.run(batches, [i % self.policy_delay == 0 for i in numbers])
        self.updates = numbers.stop - 1
        return metrics

    def step(self, batch: Batch, with_actor: bool) -> dict[str, Tensor]:
        """Run one of the two graphs, with tensors in place of the settings' numbers."""
        if self._live is None or self._graphs is None:
            return super().step(batch, with_actor)
        attributes = vars(self)
        kept = {name: attributes[name] for name in self._live.attributes}
        try:
            attributes.update(self._live.attributes)
            return self._graphs(self, dict(batch), with_actor)
        finally:
            attributes.update(kept)

    def descend(self, optimizer: Any, loss: Tensor) -> None:
        """Gradients and a step of Adam, as a part of the graph."""
        if not isinstance(optimizer, TensorAdam):
            return super().descend(optimizer, loss)
        with torch.autocast(loss.device.type, enabled=False):
            optimizer.step(torch.autograd.grad(loss, optimizer.parameters))


class Live:
    """Settings and optimizers of a learner as tensors, which replace its attributes in a graph."""

    def __init__(self, td3: TD3) -> None:
        numbers = [float(getattr(td3, name)) for name in SCHEDULED]
        self.settings = torch.tensor(numbers, device=td3.device)
        self.optimizers = {name: TensorAdam(getattr(td3, name), td3.device) for name in OPTIMIZERS}
        self.attributes = {**dict(zip(SCHEDULED, self.settings)), **self.optimizers}

    def follow(self, other: Live) -> None:
        """Copy the numbers of another; the tensors keep their memory."""
        if other is not self:
            self.settings.copy_(other.settings)
            for name, adam in self.optimizers.items():
                adam.rule.copy_(other.optimizers[name].rule)

    def addresses(self, td3: TD3) -> tuple[Any, ...]:
        """Memory addresses of all that an update changes."""
        states = [adam.state() for adam in self.optimizers.values()]
        return addresses([*td3.parameters(), *(each for state in states for each in state)])


class TensorAdam:
    """Adam with all its numbers in tensors, as a graph must not hold them as constants."""

    def __init__(self, optimizer: torch.optim.Optimizer, device: torch.device) -> None:
        (group,) = optimizer.param_groups
        self.parameters = group["params"]
        states = [optimizer.state[parameter] for parameter in self.parameters]
        self.steps, self.means, self.squares = (
            [state[name] for state in states] for name in ("step", *MOMENTS)
        )
        rule = (group["lr"], *group["betas"], group["eps"])
        self.rule = torch.tensor(rule, dtype=torch.float64, device=device)

    def state(self) -> list[Tensor]:
        """Adam's steps and moments of all parameters."""
        return [*self.steps, *self.means, *self.squares]

    @torch.no_grad()
    def step(self, gradients: tuple[Tensor, ...]) -> None:
        """One step of all parameters, in place."""
        rate, beta1, beta2, epsilon = self.rule.unbind()
        for parameter, gradient, step, mean, square in zip(
            self.parameters, gradients, self.steps, self.means, self.squares, strict=True
        ):
            step += 1
            mean += (1 - beta1) * (gradient - mean)
            square += (1 - beta2) * (gradient.square() - square)
            scale = (1 - beta2 ** step.double()).rsqrt()
            bias = 1 - beta1 ** step.double()
            parameter -= rate / bias * mean / (square.sqrt() * scale + epsilon)


def make_graphs(backend: str) -> Callable[..., dict[str, Tensor]]:
    """:meth:`TD3.step` compiled, gradients included."""
    require_compiler()
    config = torch._dynamo.config
    config.trace_autograd_ops = True
    # Each batch size needs two graphs, and other learners in the same process need theirs.
    config.recompile_limit = max(config.recompile_limit, 64)
    return torch.compile(TD3.step, fullgraph=True, dynamic=False, backend=backend)


def require_compiler() -> None:
    """Raise :class:`ConfigError` if this machine cannot compile an update."""
    from torch._dynamo import config
    from torch._inductor.cpp_builder import get_cpp_compiler
    from torch._inductor.exc import InvalidCxxCompiler

    if not hasattr(config, "trace_autograd_ops"):
        raise ConfigError(
            f"torch {torch.__version__} cannot compile the update: "
            'use --model.engine eager, or pip install "torch>=2.11"'
        )
    try:
        get_cpp_compiler()
    except InvalidCxxCompiler:
        raise ConfigError(
            "compiling the update needs a C++ compiler: install g++, or use --model.engine eager"
        ) from None
