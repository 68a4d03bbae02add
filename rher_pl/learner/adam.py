"""Adam (Kingma and Ba, arXiv 1412.6980) with its state from the start, and checks of that."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from rher_pl.errors import ConfigError

MOMENTS = ("exp_avg", "exp_avg_sq")
"""Running means of gradients and of their squares, each of the shape of its parameter."""

PLAIN = {"weight_decay": 0, "amsgrad": False, "maximize": False, "capturable": False}
"""Values of options that :func:`is_plain` asks for."""


def make_adam(parameters: Iterable[nn.Parameter], learning_rate: float) -> torch.optim.Adam:
    """A fused Adam that has its state already, as PyTorch would make it at the first step.

    So every engine and every checkpoint can rely on it.
    """
    optimizer = torch.optim.Adam(parameters, lr=learning_rate, fused=True)
    for parameter in parameters_of(optimizer):
        moments = {name: torch.zeros_like(parameter, requires_grad=False) for name in MOMENTS}
        step = torch.zeros((), dtype=torch.float32, device=parameter.device)
        optimizer.state[parameter] = {"step": step, **moments}
    return optimizer


def parameters_of(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    """The parameters of all groups of an optimizer."""
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def require_sound_state(**optimizers: torch.optim.Optimizer) -> None:
    """Raise :class:`ConfigError` unless Adam's moments match their parameters.

    Fused Adam and every engine go through a parameter and its moments side by side, without a
    check of shapes and strides. A checkpoint may hold anything.
    """
    for name, optimizer in optimizers.items():
        for parameter in parameters_of(optimizer):
            state = optimizer.state.get(parameter)
            if not state or type(optimizer) is not torch.optim.Adam:
                continue  # PyTorch makes it at the first step
            for key in ("step", *MOMENTS):
                if not _fits(state.get(key), torch.zeros(()) if key == "step" else parameter):
                    raise ConfigError(
                        f"{key} of the {name}'s optimizer does not fit its network: the checkpoint "
                        "is damaged or of another network, begin without --ckpt_path"
                    )


def _fits(value: object, like: Tensor) -> bool:
    return (
        isinstance(value, Tensor)
        and (value.shape, value.stride(), value.dtype) == (like.shape, like.stride(), like.dtype)
        and (value.device == like.device or like.dim() == 0)
    )


def is_plain(optimizer: torch.optim.Optimizer, network: nn.Module) -> bool:
    """Whether an optimizer is Adam without extra options, has its state, and has a whole network.

    Engines other than eager know only such optimizers.
    """
    if type(optimizer) is not torch.optim.Adam or len(optimizer.param_groups) != 1:
        return False
    (group,) = optimizer.param_groups
    own, parameters = group["params"], list(network.parameters())
    return (
        all(group[name] == value for name, value in PLAIN.items())
        and not isinstance(group["lr"], Tensor)
        and len(own) == len(parameters)
        and all(a is b for a, b in zip(own, parameters))
        and all({"step", *MOMENTS} == optimizer.state.get(p, {}).keys() for p in own)
    )
