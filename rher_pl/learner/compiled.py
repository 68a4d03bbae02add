"""TD3 with the whole update in one graph of ``torch.compile``, Adam and averages included."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from rher_pl.choices import Engine
from rher_pl.errors import ConfigError
from rher_pl.learner.adam import MOMENTS, is_plain
from rher_pl.learner.batches import Batch
from rher_pl.learner.td3 import TD3

SCHEDULED = ("gamma", "tau", "noise_clip", "action_l2", "average_rate")
"""Settings that are tensors [] in the graph, so that another value does not compile it again."""


class CompiledTD3(TD3):
    """:meth:`TD3.step` traced into two graphs: with and without an update of the actor.

    On a GPU they are replayed as CUDA graphs.
    """

    backend = "inductor"
    """Of ``torch.compile``."""

    _graphs: Callable[..., dict[str, Tensor]] | None = None
    _live: dict[str, Any] | None = None

    @property
    def engine(self) -> Engine:  # type: ignore[override]
        """Eager while an optimizer has rules that :class:`TensorAdam` does not know."""
        known = is_plain(self.critic_optimizer, self.critic) and is_plain(
            self.actor_optimizer, self.actor
        )
        return Engine.compile if known else Engine.eager

    def learn(self, batches: Batch) -> dict[str, Tensor]:
        """See :meth:`TD3.learn`; settings are those at the time of the call."""
        if self.engine == Engine.eager:
            return super().learn(batches)
        if self._graphs is None:
            self._graphs = make_graphs(self.backend, self.device)
        numbers = [float(getattr(self, name)) for name in SCHEDULED]
        settings = torch.tensor(numbers, device=self.device)
        self._live = dict(zip(SCHEDULED, settings))
        for name in ("critic_optimizer", "actor_optimizer"):
            self._live[name] = TensorAdam(getattr(self, name), self.device)
        try:
            return super().learn(batches)
        finally:
            self._live = None

    def step(self, batch: Batch, with_actor: bool) -> dict[str, Tensor]:
        """One of the two graphs, which sees tensors in place of numbers."""
        if self._live is None or self._graphs is None:
            return super().step(batch, with_actor)
        attributes = vars(self)
        kept = {name: attributes[name] for name in self._live}
        torch.compiler.cudagraph_mark_step_begin()
        try:
            attributes.update(self._live)
            metrics = self._graphs(self, dict(batch), with_actor)
        finally:
            attributes.update(kept)
        # The next replay of a CUDA graph writes its results where these are.
        return {k: v.clone() for k, v in metrics.items()} if self.device.type == "cuda" else metrics

    def descend(self, optimizer: Any, loss: Tensor) -> None:
        """Gradients and Adam as a part of the graph."""
        if not isinstance(optimizer, TensorAdam):
            return super().descend(optimizer, loss)
        with torch.autocast(loss.device.type, enabled=False):
            optimizer.step(torch.autograd.grad(loss, optimizer.parameters))


class TensorAdam:
    """What an optimizer has, as tensors alone: a graph must not hold its numbers as constants."""

    def __init__(self, optimizer: torch.optim.Optimizer, device: torch.device) -> None:
        (group,) = optimizer.param_groups
        self.parameters = group["params"]
        states = [optimizer.state[parameter] for parameter in self.parameters]
        self.steps, self.means, self.squares = (
            [state[name] for state in states] for name in ("step", *MOMENTS)
        )
        rule = (group["lr"], *group["betas"], group["eps"])
        self.rule = torch.tensor(rule, dtype=torch.float64, device=device)

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


def make_graphs(backend: str, device: torch.device) -> Callable[..., dict[str, Tensor]]:
    """:meth:`TD3.step` compiled, its gradients included."""
    require_compiler()
    config = torch._dynamo.config
    config.trace_autograd_ops = True
    # Two graphs for each size of batch, and those of other learners in the same process.
    config.recompile_limit = max(config.recompile_limit, 64)
    mode = "reduce-overhead" if device.type == "cuda" and backend == "inductor" else None
    return torch.compile(TD3.step, fullgraph=True, dynamic=False, backend=backend, mode=mode)


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
