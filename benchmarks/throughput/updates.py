"""Updates per second: ours, in C++ and compiled, beside plain fp32 and TorchRL's loss."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from unittest.mock import patch

import torch
from tensordict import TensorDict

from benchmarks.throughput.baselines import EagerTD3, TorchRLTD3
from benchmarks.throughput.rounds import Contestant, Rate, Track, interleave
from rher_pl.learner.learning import one_by_one
from rher_pl.learner.native.gradients import NativeGradients
from rher_pl.learner.precision import compute_type, default_precision
from rher_pl.training.module import RHERModule

Update = Callable[[Any, int], Any]


def random_samples(module: RHERModule, batch_size: int, count: int) -> TensorDict:
    """Encoded mixed batches [count, B], in the shapes and ranges of real ones."""
    generator = torch.Generator().manual_seed(0)
    inputs, actions = module.policy.encoder.size, module.policy.action_size

    def normal(size: int) -> torch.Tensor:
        return torch.randn(count, batch_size, size, generator=generator)

    samples = {
        "inputs": normal(inputs),
        "next_inputs": normal(inputs),
        "action": normal(actions).clamp_(-1, 1),
        "noise": normal(actions) * module.hparams["policy_noise"],
        "reward": (normal(1).squeeze(-1) > 0).float() - 1.0,
        "terminated": torch.zeros(count, batch_size, dtype=torch.bool),
    }
    return TensorDict(samples, batch_size=[count, batch_size])


def ours(model: Mapping[str, Any], precision: str, compiled: bool | None) -> RHERModule:
    """Our module with its optimizers, ready for ``update`` without a trainer."""
    torch.manual_seed(0)
    options = {name: value for name, value in model.items() if not name.startswith("_")}
    module = RHERModule(**(options | {"compiled": compiled}))
    module.td3.compute_in(compute_type(precision))
    optimizers, _ = module.configure_optimizers()  # type: ignore[misc]
    module.optimizers = lambda use_pl_optimizer=True: optimizers  # type: ignore[assignment]
    return module


def begin_learning(module: RHERModule, samples: TensorDict) -> None:
    """Bring ``learn`` where it is in a run after the first updates."""
    few = samples.repeat(2 * module.td3.policy_delay, 1)[: 2 * module.td3.policy_delay]
    for _ in range(2):  # once makes the optimizers' state
        module.learn(few)


def torch_compiled(model: Mapping[str, Any], precision: str) -> RHERModule:
    """The same with ``torch.compile``, also where C++ would be used."""
    module = ours(model, precision, compiled=True)
    with patch.object(NativeGradients, "suits", return_value=False):
        module.td3.gradients()  # chooses the engine
    return module


def engines(model: Mapping[str, Any]) -> dict[str, str]:
    """What computes the gradients of ``ours`` and ``ours_compiled`` on this CPU."""
    dtype, device = compute_type(default_precision()), torch.device("cpu")
    return {
        name: ours(model, default_precision(), compiled).td3.engine(dtype, device).value
        for name, compiled in (("ours", None), ("ours_compiled", True))
    }


def measure_updates(
    model: Mapping[str, Any],
    batch_size: int,
    threads: Sequence[int],
    updates: int,
    rounds: int,
    compiled: bool,
    track: Track,
) -> dict[int, dict[str, Rate]]:
    """Rates by number of torch threads and contestant, all measured in turns.

    Args:
        model: options of ``RHERModule``.
        batch_size: samples in a mixed batch.
        threads: numbers of torch threads to try.
        updates: in a round.
        rounds: timed ones.
        compiled: whether ``ours_compiled`` and ``torch_compile`` take part; compiling takes a
            minute or so.
        track: shows progress.
    """
    before, precision = torch.get_num_threads(), default_precision()
    contestants: dict[str, Contestant] = {}
    for count in threads:
        torch.set_num_threads(count)
        module = ours(model, precision, compiled=None)
        samples = random_samples(module, batch_size, updates)
        batches = list(one_by_one(samples))
        theirs = [TorchRLTD3.keys(sample) for sample in batches]
        sizes = (module.policy.encoder.size, module.policy.action_size, model)
        eager, torchrl = EagerTD3(*sizes), TorchRLTD3(*sizes)
        found = {
            "eager_fp32": _round(eager.update, batches, count),
            "ours": _learning(module, samples, count),
            "td3loss": _round(torchrl.update, theirs, count),
        }
        if compiled:
            for name, fast in (
                ("ours_compiled", ours(model, precision, compiled=True)),
                ("torch_compile", torch_compiled(model, precision)),
            ):
                fast.warm_up([batch_size])
                found[name] = _learning(fast, samples, count)
        contestants |= {f"{name} {count}": contestant for name, contestant in found.items()}
    try:
        rates = interleave(contestants, rounds, "updates", track)
    finally:
        torch.set_num_threads(before)
    return {
        count: {
            name.rpartition(" ")[0]: rate
            for name, rate in rates.items()
            if name.endswith(f" {count}")
        }
        for count in threads
    }


def _learning(module: RHERModule, samples: TensorDict, threads: int) -> Contestant:
    """All updates of an iteration, as a run does them."""
    begin_learning(module, samples)

    def work() -> int:
        torch.set_num_threads(threads)
        module.learn(samples)
        return len(samples)

    return work


def _round(update: Update, samples: Sequence[Any], threads: int) -> Contestant:
    def work() -> int:
        torch.set_num_threads(threads)
        for number, sample in enumerate(samples, start=1):
            update(sample, number)
        return len(samples)

    return work


def loss_agreement(model: Mapping[str, Any], batch_size: int, batches: int) -> dict[str, float]:
    """Largest relative difference of the default update's losses from those in plain fp32.

    Same weights, same batches; both losses are sums of the same terms.
    """
    plain = ours(model, "32-true", compiled=False)
    reduced = ours(model, default_precision(), compiled=None)
    worst = {"critic_loss": 0.0, "actor_loss": 0.0}
    for sample in one_by_one(random_samples(plain, batch_size, batches)):
        found = []
        for td3 in (plain.td3, reduced.td3):
            critic_gradients, actor_gradients = td3.gradients()
            keys = ("inputs", "action", "next_inputs", "noise", "reward", "terminated")
            _, critic_loss, _ = critic_gradients(**{key: sample[key] for key in keys})
            _, actor_loss = actor_gradients(sample["inputs"])
            found.append({"critic_loss": critic_loss.item(), "actor_loss": actor_loss.item()})
        for name in worst:
            exact, other = found[0][name], found[1][name]
            worst[name] = max(worst[name], abs(other - exact) / abs(exact))
    return worst
