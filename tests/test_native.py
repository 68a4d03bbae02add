"""The native engine computes what the plain one does, and is used where it can be.

These tests need a C++ compiler, as developing here does; using the package does not.
"""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from tensordict import TensorDict

from rher_pl.choices import Algorithm
from rher_pl.learner import losses
from rher_pl.learner.engine import Engine
from rher_pl.learner.native import gradients, library
from rher_pl.learner.native.gradients import NativeGradients
from rher_pl.learner.td3 import TD3
from rher_pl.training.module import RHERModule

CPU = torch.device("cpu")

in_pairs = pytest.mark.skipif(
    not NativeGradients.types() > {torch.float32}, reason="this CPU has no products of bfloat16"
)


def make_module(**options: Any) -> RHERModule:
    """Targets differ from the networks, and Q lies inside its bounds."""
    torch.manual_seed(0)
    module = RHERModule("FetchPush-v4", **({"hidden_size": 32, "hidden_layers": 3} | options))
    with torch.no_grad():
        for network in (module.target_actor, module.target_critic):
            for parameter in network.parameters():
                parameter.add_(0.05 * torch.randn_like(parameter))
        for network in (module.critic, module.target_critic):
            network.net.layers()[-1][1].sub_(3.0)
    return module


def make_native(module: RHERModule, dtype: torch.dtype = torch.float32) -> NativeGradients:
    td3 = module.td3
    return NativeGradients(
        module.policy.actor,
        module.critic,
        module.target_actor,
        module.target_critic,
        dtype,
        gamma=td3.gamma,
        noise_clip=td3.noise_clip,
        action_l2=td3.action_l2,
        bounded_target=td3.bounded_target,
    )


def make_sample(module: RHERModule, size: int) -> dict[str, torch.Tensor]:
    """Noise beyond its clip, actions at their bounds and terminated samples are among them."""
    width = module.policy.encoder.size
    return {
        "inputs": torch.randn(size, width),
        "action": torch.rand(size, 4) * 2 - 1,
        "next_inputs": torch.randn(size, width),
        "noise": torch.randn(size, 4),
        "reward": -torch.randint(0, 2, (size,)).float(),
        "terminated": torch.rand(size) < 0.3,
    }


def assert_same(module: RHERModule, batch_size: int) -> None:
    computed, sample = make_native(module), make_sample(module, batch_size)
    for plain, found in (
        (module.td3.critic_gradients(**sample), computed.critic_gradients(**sample)),
        (
            module.td3.actor_gradients(sample["inputs"]),
            computed.actor_gradients(sample["inputs"]),
        ),
    ):
        for expected, gradient in zip(plain[0], found[0], strict=True):
            assert expected.shape == gradient.shape
            assert (expected - gradient).norm() < 1e-5 * expected.norm()
        for expected, value in zip(plain[1:], found[1:], strict=True):
            torch.testing.assert_close(value, expected, rtol=1e-5, atol=1e-5)


@pytest.fixture
def threads():
    """PyTorch's number of threads is put back."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize("number", [1, 2, 3, 4])  # 2 and 4: a team for each of two critics
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"hidden_layers": 1, "hidden_size": 17},
        {"algorithm": Algorithm.ddpg, "hidden_layers": 2},
        {"bounded_target": False, "action_l2": 0.0, "noise_clip": 0.1},
    ],
    ids=["td3", "shallow", "ddpg", "unbounded"],
)
def test_losses_and_gradients_are_those_of_pytorch(number: int, options: dict, threads) -> None:
    threads(number)
    module = make_module(**options)
    for batch_size in (64, 7, 1):  # 7 does not divide, 1 leaves threads without a row
        assert_same(module, batch_size)


def errors(module: RHERModule, sample: dict[str, torch.Tensor], *others: Any) -> list[float]:
    """How far each of ``others`` is from float32: of the norm of all gradients and losses."""

    def compute(functions: Any) -> torch.Tensor:
        critic, loss, q = functions.critic_gradients(**sample)
        actor, actor_loss = functions.actor_gradients(sample["inputs"])
        values = (*critic, *actor, loss, actor_loss, q)
        return torch.cat([value.float().flatten() for value in values])

    module.td3.compute_in(torch.float32)
    exact = compute(module.td3)
    found = []
    for other in others:
        if isinstance(other, TD3):
            other.compute_in(torch.bfloat16)
        found.append(float((compute(other) - exact).norm() / exact.norm()))
    return found


@in_pairs
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"hidden_layers": 1, "hidden_size": 17},
        {"algorithm": Algorithm.ddpg, "hidden_layers": 2, "hidden_size": 100},
        {"hidden_size": 256},
    ],
    ids=["td3", "shallow", "ddpg", "large"],
)
def test_bfloat16_is_no_further_from_float32_than_pytorchs(options: dict) -> None:
    module = make_module(**options)
    for batch_size in (64, 7, 1):
        sample = make_sample(module, batch_size)
        found, plain = errors(module, sample, make_native(module, torch.bfloat16), module.td3)
        assert 0.0 < found < max(1.2 * plain, 0.004), batch_size


@pytest.mark.parametrize("dtype", sorted(NativeGradients.types(), key=str))
def test_the_number_of_threads_changes_no_bit(dtype: torch.dtype, threads) -> None:
    module = make_module(hidden_size=100)
    sample, results = make_sample(module, 45), []
    for number in (1, 2, 3, 4):
        threads(number)
        computed = make_native(module, dtype)
        critic, loss, q = computed.critic_gradients(**sample)
        actor, actor_loss = computed.actor_gradients(sample["inputs"])
        results.append([v.clone() for v in (*critic, *actor, loss, actor_loss, q)])
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_memory_follows_the_size_of_the_batch() -> None:
    module = make_module()
    computed = make_native(module)
    for size in (8, 64, 3):
        sample = make_sample(module, size)
        expected = module.td3.critic_gradients(**sample)[0]
        gradients = computed.critic_gradients(**sample)[0]
        assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(expected, gradients))


def test_weights_that_were_moved_are_found_again() -> None:
    module = make_module()
    sample = make_sample(module, 8)
    module.td3.compute_in(torch.float32)
    before = module.td3.gradients()[1](sample["inputs"])[1].item()
    with torch.no_grad():
        for parameter in module.policy.actor.parameters():
            parameter.data = parameter.data.clone() * 0.5
    module.td3.compute_in(torch.float32)
    loss = module.td3.gradients()[1](sample["inputs"])[1].item()
    assert loss == pytest.approx(module.td3.actor_gradients(sample["inputs"])[1].item(), abs=1e-5)
    assert loss != pytest.approx(before, abs=1e-5)


@pytest.mark.parametrize("dtype", sorted(NativeGradients.types(), key=str))
@pytest.mark.parametrize("layer", [0, 1, 3])
@pytest.mark.parametrize(
    ("network", "member"), [("critic", 0), ("target_critic", 0), ("target_critic", 1)]
)
def test_nan_is_seen_in_the_loss(network: str, member: int, layer: int, dtype: torch.dtype) -> None:
    module = make_module()
    with torch.no_grad():
        getattr(module, network).net.layers()[layer][0][member, 0, 0] = math.nan
    sample = make_sample(module, 8)
    _, loss, _ = make_native(module, dtype).critic_gradients(**sample)
    assert loss.isnan()


@pytest.mark.parametrize(
    ("features", "types"),
    [
        ({"avx2": True}, {torch.float32}),
        ({"avx512_bf16": True}, {torch.float32, torch.bfloat16}),
        ({"avx512_bf16": True, "amx_bf16": True}, {torch.float32}),
    ],
)
def test_it_computes_in_what_the_cpu_has(
    features: dict, types: set, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: features)
    assert NativeGradients.types() == types


def test_it_is_used_on_a_cpu_only() -> None:
    def engine(compiled: bool | None, **options: Any) -> Engine:
        module = RHERModule("FetchPush-v4", hidden_size=8, compiled=compiled, **options)
        return module.td3.engine(torch.float32, CPU)

    assert engine(None) == engine(True) == Engine.native
    assert engine(False) == Engine.plain
    for options in ({"critics": 3}, {"critic_layer_norm": True}):
        assert engine(None, **options) == Engine.plain
        assert engine(True, **options) == Engine.compiled
    td3 = make_module().td3
    assert td3.engine(torch.float16, CPU) == Engine.plain
    assert td3.engine(torch.float32, torch.device("cuda")) == Engine.plain


def test_a_loss_that_was_changed_is_not_ignored(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever edits ``losses.py`` or derives from ``TD3`` gets what they wrote."""
    changed = losses.critic_loss
    monkeypatch.setattr(losses, "critic_loss", lambda q, target: 0.5 * changed(q, target))
    module = make_module()
    randomness = torch.get_rng_state()
    assert module.td3.engine(torch.float32, CPU) == Engine.plain
    assert module.td3.gradients()[0] == module.td3.critic_gradients
    assert capsys.readouterr().err.count("warning: the update in C++") == 1
    assert torch.equal(torch.get_rng_state(), randomness)


def test_without_a_compiler_updates_are_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gradients, "load", lambda: None)
    module = make_module()
    assert module.td3.engine(torch.float32, CPU) == Engine.plain
    optimizers, _ = module.configure_optimizers()
    module.optimizers = lambda use_pl_optimizer=True: optimizers  # type: ignore[method-assign]
    module.update(TensorDict(make_sample(module, 8), batch_size=[8]))


def test_what_cannot_be_built_is_not_available(monkeypatch: pytest.MonkeyPatch) -> None:
    from torch._inductor.codecache import CppCodeCache

    def fail(source: str, **options: Any) -> None:
        raise OSError("undefined symbol")

    monkeypatch.setattr(CppCodeCache, "load", fail)
    library.load.cache_clear()
    try:
        assert not NativeGradients.available()
    finally:
        library.load.cache_clear()
