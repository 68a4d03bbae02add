"""Many updates by one call into C++ are the same ones as one by one, to the bit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from tensordict import TensorDict
from torch import Tensor

from rher_pl.choices import Algorithm
from rher_pl.learner import td3
from rher_pl.learner.learning import AT_ONCE
from rher_pl.learner.native.gradients import NativeGradients
from rher_pl.training import module as module_file
from rher_pl.training.module import RHERModule

DTYPES = sorted(NativeGradients.types(), key=str)


def make_module(dtype: torch.dtype = torch.float32, kind: Any = None, **options: Any) -> RHERModule:
    """One whose optimizers have stepped."""
    torch.manual_seed(0)
    options = {"hidden_size": 32, "hidden_layers": 2} | options
    module = options.pop("cls", RHERModule)("FetchPush-v4", **options)
    optimizers, _ = module.configure_optimizers()
    if kind is not None:
        optimizers = [kind(o.param_groups[0]["params"], lr=0.1) for o in optimizers]
    module.optimizers = lambda use_pl_optimizer=True: optimizers
    module.td3.compute_in(dtype)
    for sample in make_samples(module, module.td3.policy_delay, 4):
        module.update(sample)
    return module


def make_samples(module: RHERModule, updates: int, size: int, seed: int = 1) -> TensorDict:
    generator, shape = torch.Generator().manual_seed(seed), (updates, size)
    width = module.policy.encoder.size
    sizes = {"inputs": width, "next_inputs": width, "action": 4, "noise": 4}
    samples = {name: torch.randn(*shape, n, generator=generator) for name, n in sizes.items()}
    samples["reward"] = -torch.randint(0, 2, shape, generator=generator).float()
    samples["terminated"] = torch.rand(shape, generator=generator) < 0.3
    return TensorDict(samples, batch_size=shape)


def state(module: RHERModule) -> list[Tensor]:
    """Weights, averages, and all that the optimizers keep."""
    kept = [s for o in module.optimizers() for s in o.state.values()]
    values = [*module.td3.weights(), *(s[name] for s in kept for name in sorted(s))]
    return [value.detach().clone() for value in values]


def same(expected: Sequence[Tensor], found: Sequence[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(expected, found, strict=True))


def one_by_one(module: RHERModule, samples: TensorDict) -> dict[str, Tensor]:
    done = [module.update(sample) for sample in samples]
    actor = [metrics["actor_loss"] for metrics in done if "actor_loss" in metrics]
    losses = {"critic_loss": torch.stack([metrics["critic_loss"] for metrics in done])}
    losses |= {"actor_loss": torch.stack(actor)} if actor else {}
    return losses | {"q": torch.cat([metrics["q"] for metrics in done], dim=1)}


def at_once(module: RHERModule, samples: TensorDict) -> dict[str, Tensor]:
    optimizers = module.optimizers()
    assert module.td3.can_learn(*optimizers)
    first = module.updates + 1
    module.updates += len(samples)
    return module.td3.learn(dict(samples.items()), first, *optimizers)


@pytest.fixture
def threads():
    """PyTorch's number of threads is put back."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("number", [1, 2, 3, 4])  # 2 and 4: a team for each of two critics
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"hidden_size": 100, "hidden_layers": 3, "policy_delay": 1},
        {"algorithm": Algorithm.ddpg, "hidden_size": 17, "hidden_layers": 1},
        {"policy_delay": 3, "tau": 0.5, "average_rate": 1.0},
    ],
    ids=["td3", "wide", "ddpg", "late"],
)
def test_updates_at_once_are_those_one_by_one(
    options: dict, number: int, dtype: torch.dtype, threads
) -> None:
    threads(1)
    expected, found = make_module(dtype, **options), make_module(dtype, **options)
    for updates, size in ((5, 64), (1, 7), (4, 1)):  # an actor's turn at each place
        samples = make_samples(expected, updates, size, seed=updates)
        threads(1)
        results = one_by_one(expected, samples)
        threads(number)
        others = at_once(found, samples)
        assert results.keys() == others.keys()
        assert same(list(results.values()), [others[name] for name in results])
        assert same(state(expected), state(found))


def test_what_one_begins_the_other_goes_on_with() -> None:
    expected, found = make_module(), make_module()
    for turn in range(4):
        samples = make_samples(expected, 3, 16, seed=turn)
        one_by_one(expected, samples)
        (at_once if turn % 2 else one_by_one)(found, samples)
    assert same(state(expected), state(found))


def test_a_learning_rate_is_that_of_the_moment() -> None:
    expected, found = make_module(), make_module()
    for rate in (1e-2, 1e-4):
        for module in (expected, found):
            for optimizer in module.optimizers():
                optimizer.param_groups[0]["lr"] = rate
        samples = make_samples(expected, 2, 16)
        one_by_one(expected, samples)
        at_once(found, samples)
        assert same(state(expected), state(found))


def test_rates_and_delay_are_those_of_the_moment() -> None:
    samples = make_samples(make_module(), 5, 16)
    for name, value in (("tau", 0.5), ("average_rate", 0.25), ("policy_delay", 3)):
        expected, found, usual = make_module(), make_module(), make_module()
        for module in (expected, found):
            setattr(module.td3, name, value)
        one_by_one(expected, samples)
        for module in (found, usual):
            at_once(module, samples)
        assert same(state(expected), state(found))
        assert not same(state(usual), state(found)), name


def test_weights_and_state_that_moved_are_found_again() -> None:
    expected, found = make_module(), make_module()
    for module in (expected, found):
        for parameter in module.parameters():
            parameter.data = parameter.data.clone()
        for optimizer in module.optimizers():
            optimizer.load_state_dict(optimizer.state_dict())
        module.td3.compute_in(torch.float32)
    samples = make_samples(expected, 4, 16)
    one_by_one(expected, samples)
    at_once(found, samples)
    assert same(state(expected), state(found))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_nan_is_seen_in_the_loss(dtype: torch.dtype) -> None:
    module = make_module(dtype)
    samples = make_samples(module, 6, 8)
    samples["inputs"][3, 2, 1] = math.nan
    losses = at_once(module, samples)["critic_loss"]
    assert losses[:3].isfinite().all() and losses[3:].isnan().all()


def test_an_iteration_is_done_at_once_after_it_was_held_against_single_updates() -> None:
    expected, found = make_module(), make_module()
    for updates in (2 * AT_ONCE + 30, 7):
        samples = make_samples(expected, updates, 8)
        one_by_one(expected, samples)
        done = found.learn(samples)
        assert found.at_once.same
        assert sum(metrics["critic_loss"].numel() for metrics in done) == updates
        assert torch.cat([metrics["q"] for metrics in done], 1).shape == (2, 8 * updates)
        assert same(state(expected), state(found))
        assert expected.updates == found.updates
    assert len(done) == 1  # all seven by one call


def test_the_first_update_is_counted_and_few_are_done_one_by_one() -> None:
    expected, found = make_module(), make_module()
    samples, counted = make_samples(expected, 4, 8), []
    one_by_one(expected, samples)
    update = found.update

    def counting(sample: Any, counted_: bool = False, **options: bool) -> dict[str, Tensor]:
        counted.append(options.get("counted", counted_))
        return update(sample, **options)

    found.update = counting  # type: ignore[method-assign]
    assert len(found.learn(samples, counted=True)) == 4
    assert counted == [True, False, False, False]
    assert found.at_once.same is None  # three are too few to tell
    assert same(state(expected), state(found))


def clip(self: RHERModule, optimizer: Any, gradients: Sequence[Tensor]) -> None:
    step(self, optimizer, [gradient.clamp(-1e-3, 1e-3) for gradient in gradients])


def freeze(self: RHERModule, sample: Any, counted: bool = False) -> dict[str, Tensor]:
    """Updates are not applied to the actor."""
    before = [value.detach().clone() for value in self.policy.actor.parameters()]
    metrics = update(self, sample, counted)
    with torch.no_grad():
        for value, old in zip(self.policy.actor.parameters(), before, strict=True):
            value.copy_(old)
    return metrics


def measure(self: RHERModule, sample: Any, counted: bool = False) -> dict[str, Tensor]:
    return update(self, sample, counted) | {"more": torch.zeros(())}


step, update = RHERModule._step, RHERModule.update


@pytest.mark.parametrize(
    ("name", "changed"), [("_step", clip), ("update", freeze), ("update", measure)]
)
def test_an_update_that_was_changed_is_not_ignored(
    name: str, changed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RHERModule, name, changed)
    monkeypatch.setitem(module_file._USUAL, name, changed)  # as if it were written there
    expected, found = make_module(), make_module()
    for _ in range(2):
        samples = make_samples(expected, 12, 8)
        one_by_one(expected, samples)
        assert len(found.learn(samples)) == 12
    assert found.td3.native and found.at_once.same is False
    assert same(state(expected), state(found))


@pytest.mark.parametrize(("name", "changed"), [("_step", clip), ("update", measure)])
def test_what_a_derived_class_does_it_does_in_each_update(name: str, changed: Any) -> None:
    cls = type("Derived", (RHERModule,), {name: changed})
    expected, found, usual = make_module(cls=cls), make_module(cls=cls), make_module()
    samples = make_samples(expected, 12, 8)
    one_by_one(expected, samples)
    usual.learn(samples)
    done = found.learn(samples)
    assert len(done) == 12 and ("more" in done[-1]) == (changed is measure)
    assert found.at_once.same is None
    assert same(state(expected), state(found))
    assert same(state(usual), state(found)) == (changed is measure)
    assert found.updates == expected.updates


def test_averages_that_move_in_other_updates_are_not_ignored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As in the first description of TD3: targets move when the actor does."""
    original = td3.TD3.update

    def late(self: td3.TD3, sample: Any, number: int, *apply: Any) -> dict[str, Tensor]:
        if number % self.policy_delay == 0:
            return original(self, sample, number, *apply)
        with monkeypatch.context() as still:
            still.setattr(self, "_move_averages", lambda: None)
            return original(self, sample, number, *apply)

    monkeypatch.setattr(td3.TD3, "update", late)
    expected, found = make_module(), make_module()
    samples = make_samples(expected, 12, 8)
    one_by_one(expected, samples)
    found.learn(samples)
    assert found.at_once.same is False
    assert same(state(expected), state(found))


@pytest.mark.parametrize("options", [{"compiled": False}, {"kind": torch.optim.SGD}], ids=str)
def test_without_the_engine_or_with_another_optimizer_updates_are_done_one_by_one(
    options: dict,
) -> None:
    expected, found = make_module(**options), make_module(**options)
    samples = make_samples(expected, 12, 8)
    one_by_one(expected, samples)
    assert len(found.learn(samples)) == 12
    assert found.at_once.same is None
    assert same(state(expected), state(found))
