"""Choosing the engine that computes the updates, and checking that it agrees with TD3 in Python."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor

from rher_pl.choices import Engine
from rher_pl.errors import ConfigError, require, warn
from rher_pl.learner.batches import random_batches
from rher_pl.learner.compiled import CompiledTD3, require_compiler
from rher_pl.learner.native.learner import NativeTD3
from rher_pl.learner.native.library import Unavailable, load
from rher_pl.learner.td3 import TD3, TD3Settings
from rher_pl.networks.actor_critic import NetworkSizes

OURS = (TD3, CompiledTD3, NativeTD3)
TOLERANCE = 1e-3
"""Largest difference relative to the norm of the expected values; float32 rounding is far below."""

TRIAL = TD3Settings(
    gamma=0.9, tau=0.3, learning_rate=0.01, noise_clip=0.3, action_l2=0.7, average_rate=0.2
)
"""Settings that differ from the defaults, to find an engine that uses a default in their place."""


def with_engine(td3: TD3, engine: Engine, device: torch.device | None = None) -> TD3:
    """A learner with the same networks, optimizers and settings that uses ``engine``.

    The result takes them over, so ``td3`` itself must not be used any more. Another engine than
    eager is used only after it agreed with :class:`TD3` in a trial. If it does not agree, or auto
    finds no C++ library, the result is eager and a warning says so. A class of the user's own that
    is derived from :class:`TD3` runs as it is written.

    Args:
        td3: with the ``compute_type`` of the run.
        engine: auto is native where that is possible, else eager.
        device: where it will train; None is where it is now.

    Raises:
        ConfigError: if this machine, these networks or this class do not allow the engine.
    """
    device = device or td3.device
    check_learner(type(td3), engine)
    if type(td3) not in OURS:
        return td3
    if engine == Engine.compile:
        require_compiler()
        return _after_trial(CompiledTD3, td3, device)
    if engine == Engine.eager:
        return _in_class(TD3, td3)
    obstacle = NativeTD3.obstacle(td3.sizes, td3.compute_type, device)
    if obstacle is None:
        try:
            load()
            return _after_trial(NativeTD3, td3, device)
        except Unavailable as error:
            obstacle = str(error)
            if engine == Engine.auto:
                _say(f"no learner in C++: {error}; PyTorch computes the updates, more slowly")
    if engine == Engine.native:
        raise ConfigError(f"engine native is not possible: {obstacle}; write engine auto")
    return _in_class(TD3, td3)


def check_learner(kind: type, engine: Engine) -> None:
    """Check that a class can learn with an engine.

    Raises:
        ConfigError: if the class is not derived from TD3, or if it is the user's own and the engine
            is neither auto nor eager.
    """
    require(
        isinstance(kind, type) and issubclass(kind, TD3),
        f"learner {kind!s:.100} is not a class derived from rher_pl.TD3: give the class itself",
    )
    require(
        kind in OURS or engine in (Engine.auto, Engine.eager),
        f"engine {engine.value} does what TD3 does, not what {kind.__name__} does: "
        "write engine eager",
    )


def _after_trial(kind: type[TD3], td3: TD3, device: torch.device) -> TD3:
    """``td3`` as a ``kind`` if that agrees with TD3 in Python as it is now, else as a TD3."""
    found, expected = trial(kind, td3.sizes, device, td3.bounded_target)
    batches = random_batches(td3.sizes, 2, 32, torch.Generator().manual_seed(0))
    try:
        same = agrees(found, expected, {k: v.to(device) for k, v in batches.items()})
    except torch._dynamo.exc.TorchDynamoException:  # torch.compile cannot trace the code
        same = False
    if not same:
        _say(
            f"engine {found.engine.value} does not compute what td3.py and losses.py say; PyTorch "
            "computes the updates, more slowly (engine eager avoids this warning)"
        )
    return _in_class(kind if same else TD3, td3)


def trial(
    kind: type[TD3], sizes: NetworkSizes, device: torch.device, bounded_target: bool = True
) -> tuple[TD3, TD3]:
    """A learner of ``kind`` and a TD3 with the same random weights and optimizer states.

    Target networks differ from the trained ones, and Q lies inside its bounds, so that a mix-up of
    networks shows in the result. PyTorch's global generator is left as it is.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        expected = TD3(sizes, TRIAL)
        expected.bounded_target = bounded_target
        with torch.no_grad():
            for parameter in expected.parameters():
                parameter.add_(0.05 * torch.randn_like(parameter))
            for critic in (expected.critic, expected.target_critic):
                critic.net.layers()[-1][1].sub_(3.0)
    for optimizer, betas in (
        (expected.critic_optimizer, (0.8, 0.95)),
        (expected.actor_optimizer, (0.7, 0.9)),
    ):
        # A large epsilon: with a tiny one, rounding of a vanishing gradient becomes a whole step.
        optimizer.param_groups[0].update(betas=betas, eps=1e-3)
    expected.actor_optimizer.param_groups[0]["lr"] = 0.003
    found = _in_class(kind, copy.deepcopy(expected.to(device)))
    if isinstance(found, CompiledTD3):
        found.backend = "eager"  # traced, but not compiled to machine code
    return found, expected


def agrees(
    found: TD3, expected: TD3, batches: dict[str, Tensor], tolerance: float = TOLERANCE
) -> bool:
    """Whether two equal learners are still equal after learning from ``batches``, up to rounding.

    Metrics, and the changes of weights, averages and optimizers' state, may each differ by
    ``tolerance`` of their norm; NaN agrees with NaN.
    """
    before = [value.clone() for value in changing(expected)]
    wanted, given = expected.learn(batches), found.learn(batches)
    if wanted.keys() != given.keys() or found.updates != expected.updates:
        return False
    ours, theirs = [found_value for found_value in changing(found)], changing(expected)
    pairs = [(given[name], wanted[name]) for name in wanted]
    pairs += [(a - start, b - start) for a, b, start in zip(ours, theirs, before, strict=True)]
    return all(_close(a, b, tolerance) for a, b in pairs)


def _close(found: Tensor, expected: Tensor, tolerance: float) -> bool:
    if found.shape != expected.shape or not found.isnan().equal(expected.isnan()):
        return False
    difference = (found - expected).nan_to_num().norm()
    return bool(difference <= tolerance * expected.nan_to_num().norm())


def changing(td3: TD3) -> list[Tensor]:
    """All that updates change: weights, averages, and the optimizers' state."""
    optimizers = (td3.critic_optimizer, td3.actor_optimizer)
    states = [state for optimizer in optimizers for state in optimizer.state.values()]
    kept = [value for state in states for value in state.values() if isinstance(value, Tensor)]
    return [*(parameter.detach() for parameter in td3.parameters()), *kept]


def warm_up(td3: TD3, batch_sizes: Sequence[int]) -> None:
    """Compile for batches of these sizes now; nothing that was learned changes."""
    if td3.engine != Engine.compile:
        return
    updates, tensors = td3.updates, changing(td3)
    kept = [value.clone() for value in tensors]
    for size in batch_sizes:
        batches = random_batches(td3.sizes, td3.policy_delay, size, torch.Generator())
        td3.learn({k: v.to(td3.device) for k, v in batches.items()})
    td3.updates = updates
    for value, before in zip(tensors, kept, strict=True):
        value.copy_(before)


def _in_class(kind: type[TD3], td3: TD3) -> TD3:
    """The attributes of ``td3`` in an object of another class, which needs no others."""
    other = kind.__new__(kind)
    other.__dict__.update(td3.__dict__)
    return other


def _say(line: str) -> None:
    warn(line)
