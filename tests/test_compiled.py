"""The whole update by ``torch.compile``; test_engines.py holds it against TD3 as well."""

from __future__ import annotations

import copy

import pytest
import torch
from torch._dynamo.utils import counters

from rher_pl.choices import Engine
from rher_pl.errors import ConfigError
from rher_pl.learner import losses
from rher_pl.learner.batches import random_batches
from rher_pl.learner.compiled import CompiledTD3
from rher_pl.learner.engines import agrees, trial, with_engine
from rher_pl.learner.replayed import Work
from rher_pl.learner.td3 import TD3
from rher_pl.networks.actor_critic import NetworkSizes

pytestmark = pytest.mark.usefixtures("library")  # both need a C++ compiler

CPU = torch.device("cpu")
SIZES = NetworkSizes(inputs=5, actions=2, hidden_size=16, hidden_layers=1)


def batches(updates: int, seed: int = 0, sizes: NetworkSizes = SIZES) -> dict[str, torch.Tensor]:
    return random_batches(sizes, updates, 32, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("options", [{"critics": 1}, {"critics": 3, "critic_layer_norm": True}])
def test_variants_trace_to_graphs_that_compute_the_same(options: dict):
    sizes = NetworkSizes(inputs=9, actions=3, hidden_size=16, hidden_layers=2, **options)
    found, expected = trial(CompiledTD3, sizes, CPU)
    assert agrees(found, expected, batches(4, sizes=sizes))


@pytest.mark.parametrize(
    "dtype", [torch.float32, pytest.param(torch.bfloat16, marks=pytest.mark.slow)], ids=str
)
def test_machine_code_computes_the_same_and_a_schedule_makes_no_other(dtype: torch.dtype):
    """The smallest networks: most of the time is the compiler's."""
    found, expected = trial(CompiledTD3, SIZES, CPU)
    assert isinstance(found, CompiledTD3)
    found.backend = "inductor"
    found.compute_type = expected.compute_type = dtype
    counters.clear()
    for turn in range(3):
        for td3 in (found, expected):
            td3.gamma, td3.tau = 0.9 - 0.1 * turn, 0.3 + 0.1 * turn
            td3.critic_optimizer.param_groups[0]["lr"] = 0.01 / (1 + turn)
        tolerance = 1e-3 if dtype == torch.float32 else 0.1
        assert agrees(found, expected, batches(4, seed=turn), tolerance)
    assert counters["stats"]["unique_graphs"] == 2, "with and without a step of the actor"


NO_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")


def replaying(place: str) -> tuple[CompiledTD3, TD3, list[Work]]:
    """A learner that replays, an equal one that does not, and on a CPU the list of recordings."""
    found, expected = trial(CompiledTD3, SIZES, torch.device(place))
    assert isinstance(found, CompiledTD3)
    recordings: list[Work] = []
    if place == "cpu":
        found.record = lambda work: recordings.append(work) or work
    else:
        found.backend = "inductor"
    return found, expected, recordings


@pytest.mark.parametrize("place", ["cpu", pytest.param("cuda:0", marks=NO_GPU)])
def test_replayed_updates_compute_the_same_and_leave_metrics_alone(place: str):
    """On a CPU the work is done again in place of a replay; order and numbers are the same."""
    found, expected, recordings = replaying(place)
    for turn in range(4):
        given = {name: value.to(place) for name, value in batches(5, seed=turn).items()}
        for td3 in (found, expected):
            td3.gamma = 0.9 - 0.1 * turn
            td3.critic_optimizer.param_groups[0]["lr"] = 0.01 / (1 + turn)
        assert agrees(found, expected, given)
    assert place != "cpu" or len(recordings) == 2, "with and without a step of the actor"
    metrics = found.learn(given)
    kept = {name: value.clone() for name, value in metrics.items()}
    found.learn(given)
    assert all(torch.equal(metrics[name], kept[name]) for name in kept)


@pytest.mark.parametrize("place", ["cpu", pytest.param("cuda:0", marks=NO_GPU)])
def test_what_was_recorded_is_recorded_anew_when_tensors_lie_elsewhere(place: str):
    """As after a checkpoint was loaded: an optimizer then has other tensors."""
    found, expected, recordings = replaying(place)
    given = {name: value.to(place) for name, value in batches(4).items()}
    for td3 in (found, expected):
        td3.learn(given)
        td3.critic_optimizer.load_state_dict(copy.deepcopy(td3.critic_optimizer.state_dict()))
    assert agrees(found, expected, given)
    more = {name: value.to(place) for name, value in batches(6).items()}
    assert agrees(found, expected, more)
    assert place != "cpu" or len(recordings) == 6


def test_compile_without_a_compiler_is_refused(monkeypatch: pytest.MonkeyPatch):
    from torch._inductor import cpp_builder
    from torch._inductor.exc import InvalidCxxCompiler

    def fail() -> None:
        raise InvalidCxxCompiler

    monkeypatch.setattr(cpp_builder, "get_cpp_compiler", fail)
    with pytest.raises(ConfigError, match=r"install g\+\+, or use .*engine eager"):
        with_engine(TD3(SIZES), Engine.compile)


def test_what_cannot_be_traced_is_not_ignored_either(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    usual = losses.critic_loss

    def branching(q: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return usual(q, target) if q.mean().item() > 0 else 0.5 * usual(q, target)

    monkeypatch.setattr(losses, "critic_loss", branching)
    assert with_engine(TD3(SIZES), Engine.compile).engine == Engine.eager
    assert "engine compile" in capsys.readouterr().err
