"""Steps of weights in C++ are those of PyTorch's optimizer and of ``losses.py``."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from tensordict import TensorDict
from torch import Tensor

from rher_pl.learner import losses
from rher_pl.learner.engine import Engine
from rher_pl.learner.native.steps import PolyakStep, adam_step, can_step
from rher_pl.training.module import RHERModule

SHAPES = [(2, 38, 64), (2, 1, 64), (), (7,), (1, 33, 5)]


def make(seed: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator) for shape in SHAPES]


def make_adam(seed: int, **options: Any) -> torch.optim.Adam:
    """One that has stepped once."""
    parameters = [torch.nn.Parameter(value) for value in make(seed)]
    optimizer = torch.optim.Adam(parameters, **({"lr": 2e-3} | options))
    torch_step(optimizer, make(seed + 1))
    return optimizer


def torch_step(optimizer: torch.optim.Optimizer, gradients: list[Tensor]) -> None:
    for parameter, gradient in zip(optimizer.param_groups[0]["params"], gradients, strict=True):
        parameter.grad = gradient
    optimizer.step()


def values(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    """Parameters and all of the optimizer's state."""
    parameters = optimizer.param_groups[0]["params"]
    state = [optimizer.state[p][name] for p in parameters for name in sorted(optimizer.state[p])]
    return [value.detach().clone() for value in (*parameters, *state)]


@pytest.fixture(params=[1, 2, 3])
def threads(request: pytest.FixtureRequest):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def test_a_step_is_that_of_pytorchs_adam(threads: int) -> None:
    for options in ({}, {"lr": 0.1, "betas": (0.5, 0.9), "eps": 1e-3}):
        expected, found = make_adam(0, **options), make_adam(0, **options)
        for number in range(2, 12):
            gradients = [gradient * 10.0 ** (number % 5 - 3) for gradient in make(number)]
            torch_step(expected, gradients)
            if number % 3:  # what one does, the other goes on with
                adam_step(found, gradients)
            else:
                torch_step(found, gradients)
            for a, b in zip(values(expected), values(found), strict=True):
                torch.testing.assert_close(b, a, rtol=1e-5, atol=1e-7)


def test_threads_change_no_bit_of_a_step() -> None:
    before, results = torch.get_num_threads(), []
    for number in (1, 2, 5):
        torch.set_num_threads(number)
        optimizer, targets = make_adam(0), make(5)
        adam_step(optimizer, make(2))
        PolyakStep(targets, make(6))(0.01)
        results.append(values(optimizer) + targets)
    torch.set_num_threads(before)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_a_checkpoint_of_the_state_goes_on_in_either(threads: int) -> None:
    one = make_adam(0)
    adam_step(one, make(2))
    other = make_adam(3)
    other.load_state_dict(copy.deepcopy(one.state_dict()))
    with torch.no_grad():
        for mine, its in zip(other.param_groups[0]["params"], one.param_groups[0]["params"]):
            mine.copy_(its)
    for optimizer in (one, other):
        adam_step(optimizer, make(4))
    assert all(torch.equal(a, b) for a, b in zip(values(one), values(other), strict=True))


def test_weights_and_state_that_moved_between_steps_are_found_again() -> None:
    found, expected, other = make_adam(0), make_adam(0), make_adam(3)
    for optimizer, step in ((found, adam_step), (expected, torch_step)):
        step(optimizer, make(2))
        optimizer.load_state_dict(copy.deepcopy(other.state_dict()))  # puts new tensors there
        step(optimizer, make(4))
        for parameter in optimizer.param_groups[0]["params"]:
            parameter.data = parameter.data.clone()
        step(optimizer, make(5))
    for a, b in zip(values(expected), values(found), strict=True):
        torch.testing.assert_close(b, a, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "options", [{"weight_decay": 0.1}, {"amsgrad": True}, {"maximize": True}], ids=str
)
def test_other_rules_are_left_to_pytorch(options: dict) -> None:
    assert can_step(make_adam(0))
    assert not can_step(make_adam(0, **options))


def test_other_optimizers_are_left_to_pytorch() -> None:
    parameters = [torch.nn.Parameter(torch.zeros(2))]
    assert not can_step(torch.optim.Adam(parameters))  # it has no state yet
    for kind in (torch.optim.AdamW, torch.optim.SGD):
        optimizer = kind(parameters, lr=0.1)
        torch_step(optimizer, [torch.ones(2)])
        assert not can_step(optimizer)
    two = torch.optim.Adam(
        [{"params": parameters}, {"params": [torch.nn.Parameter(torch.ones(1))]}]
    )
    two.param_groups[0]["params"][0].grad = torch.ones(2)
    two.step()
    assert not can_step(two)


def test_targets_move_as_in_losses(threads: int) -> None:
    for tau in (0.001, 0.5, 1.0):
        found, expected = make(0), make(0)
        PolyakStep(found, make(1))(tau)
        losses.polyak_update(expected, make(1), tau)
        for a, b in zip(expected, found, strict=True):
            torch.testing.assert_close(b, a, rtol=1e-6, atol=1e-6)


def make_module(kind: Any = None) -> RHERModule:
    torch.manual_seed(0)
    module = RHERModule("FetchPush-v4", hidden_size=32)
    optimizers, _ = module.configure_optimizers()  # type: ignore[misc]
    if kind is not None:
        optimizers = [kind(o.param_groups[0]["params"], lr=0.1) for o in optimizers]
    module.optimizers = lambda use_pl_optimizer=True: optimizers  # type: ignore[assignment]
    return module


def make_sample(module: RHERModule) -> TensorDict:
    generator = torch.Generator().manual_seed(1)
    width = module.policy.encoder.size
    sizes = {"inputs": width, "next_inputs": width, "action": 4, "noise": 4}
    sample = {name: torch.randn(16, n, generator=generator) for name, n in sizes.items()}
    sample |= {"reward": -torch.ones(16), "terminated": torch.zeros(16).bool()}
    return TensorDict(sample, batch_size=[16])


def test_an_optimizer_of_ones_own_is_used() -> None:
    module = make_module(torch.optim.SGD)
    sample = make_sample(module)
    before = [p.detach().clone() for p in module.critic.parameters()]
    gradients = module.td3.critic_gradients(**sample)[0]
    module.update(sample)
    assert module.td3.native
    for old, gradient, new in zip(before, gradients, module.critic.parameters(), strict=True):
        torch.testing.assert_close(new.detach(), old - 0.1 * gradient, rtol=1e-4, atol=1e-5)


def test_updates_are_those_of_plain_pytorch() -> None:
    native, plain = make_module(), make_module()
    plain.td3._compiled = False
    sample = make_sample(native)
    for _ in range(6):
        native.update(sample)
        plain.update(sample)
    assert native.td3.native
    assert not plain.td3.native
    for (name, found), expected in zip(native.named_parameters(), plain.parameters(), strict=True):
        difference = (found - expected).detach().norm() / expected.detach().norm()
        assert difference < 1e-3, name


def test_an_average_that_was_changed_is_not_ignored(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = losses.polyak_update
    monkeypatch.setattr(losses, "polyak_update", lambda t, s, tau: changed(t, s, 0.5 * tau))
    td3 = make_module().td3
    assert td3.engine(torch.float32, torch.device("cpu")) == Engine.plain
    assert capsys.readouterr().err.count("warning: the update in C++") == 1
