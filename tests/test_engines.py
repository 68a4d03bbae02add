"""Engines: which one runs, and that each computes what TD3 in Python says."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

from rher_pl.choices import Engine
from rher_pl.errors import ConfigError
from rher_pl.learner import engines, losses
from rher_pl.learner.batches import random_batches
from rher_pl.learner.compiled import CompiledTD3
from rher_pl.learner.engines import agrees, changing, trial, warm_up, with_engine
from rher_pl.learner.native.learner import NativeTD3
from rher_pl.learner.native.library import Unavailable
from rher_pl.learner.td3 import TD3
from rher_pl.networks.actor_critic import NetworkSizes

CPU = torch.device("cpu")
SIZES = NetworkSizes(inputs=9, actions=3, hidden_size=24, hidden_layers=2)


@pytest.fixture(params=[CompiledTD3, NativeTD3], ids=["compile", "native"])
def kind(request: pytest.FixtureRequest, library: None) -> type[TD3]:
    """Both need a C++ compiler."""
    return request.param


def batches(updates: int, seed: int = 0, sizes: NetworkSizes = SIZES) -> dict[str, torch.Tensor]:
    return random_batches(sizes, updates, 32, torch.Generator().manual_seed(seed))


def chosen(engine: Engine, dtype: torch.dtype = torch.float32, **sizes: Any) -> TD3:
    td3 = TD3(NetworkSizes(**({"inputs": 9, "actions": 3, "hidden_size": 8} | sizes)))
    td3.compute_type = dtype
    return with_engine(td3, engine)


# --- which one runs --------------------------------------------------------------------------


def test_auto_is_native_where_it_can_be(library: None, capsys: pytest.CaptureFixture[str]):
    assert chosen(Engine.auto).engine == chosen(Engine.native).engine == Engine.native
    assert chosen(Engine.eager).engine == Engine.eager
    for sizes in ({"critics": 3}, {"critic_layer_norm": True}):
        assert chosen(Engine.auto, **sizes).engine == Engine.eager
    assert chosen(Engine.auto, torch.float16).engine == Engine.eager
    gpu = with_engine(TD3(SIZES), Engine.auto, torch.device("cuda"))
    assert gpu.engine == Engine.eager
    assert capsys.readouterr().err == "", "these are rules, not faults"


@pytest.mark.parametrize(
    ("sizes", "dtype", "reason"),
    [
        ({"critics": 3}, torch.float32, "2 critics"),
        ({"critic_layer_norm": True}, torch.float32, "layer normalisation"),
        ({}, torch.float16, "float16"),
    ],
)
def test_native_that_is_impossible_is_refused(sizes: dict, dtype: torch.dtype, reason: str):
    with pytest.raises(ConfigError, match=f"{reason}.*write engine auto"):
        chosen(Engine.native, dtype, **sizes)


def test_without_a_compiler_auto_is_eager_and_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def fail() -> None:
        raise Unavailable("there is no C++ compiler (g++)")

    monkeypatch.setattr(engines, "load", fail)
    assert chosen(Engine.auto).engine == Engine.eager
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "there is no C++ compiler" in said
    with pytest.raises(ConfigError, match="there is no C\\+\\+ compiler"):
        chosen(Engine.native)


def test_the_same_networks_and_optimizers_go_on(kind: type[TD3]):
    td3 = TD3(SIZES)
    td3.gamma = 0.5
    td3.learn(batches(3))
    before = [value.clone() for value in changing(td3)]
    engine = Engine.compile if kind is CompiledTD3 else Engine.native
    other = with_engine(td3, engine)
    assert type(other) is kind and other.engine == engine
    assert all(map(torch.equal, before, changing(other))), "the trial used others"
    assert other.actor is td3.actor and other.actor_optimizer is td3.actor_optimizer
    assert (other.updates, other.gamma) == (3, 0.5)
    assert other.state_dict().keys() == td3.state_dict().keys()
    again = with_engine(other, Engine.eager)
    assert type(again) is TD3 and again.actor is td3.actor


def test_a_derived_class_runs_as_it_is_written(kind: type[TD3]):
    class Frozen(TD3):
        def update_actor(self, batch: Any) -> dict[str, torch.Tensor]:
            return {}

    td3 = Frozen(SIZES)
    assert with_engine(td3, Engine.auto) is td3 and td3.engine == Engine.eager
    with pytest.raises(ConfigError, match=r"Frozen.*engine eager"):
        with_engine(td3, Engine.compile if kind is CompiledTD3 else Engine.native)


# --- what is changed in Python is what runs ----------------------------------------------------


def halved(q: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    return 0.5 * usual_loss(q, target)


def slower(targets: Any, sources: Any, tau: Any) -> None:
    usual_polyak(targets, sources, 0.5 * tau)


def late(self: TD3) -> None:
    """As in the first description of TD3: averages move when the actor does."""
    if self.updates % self.policy_delay == 0:
        usual_averages(self)


usual_loss, usual_polyak, usual_averages = (
    losses.critic_loss,
    losses.polyak_update,
    TD3.move_averages,
)


@pytest.mark.parametrize(
    ("place", "name", "changed"),
    [
        (losses, "critic_loss", halved),
        (losses, "polyak_update", slower),
        (TD3, "move_averages", late),
    ],
    ids=["loss", "average", "method"],
)
def test_what_is_changed_is_not_ignored(
    kind: type[TD3],
    place: Any,
    name: str,
    changed: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.setattr(CompiledTD3, "backend", "eager")
    monkeypatch.setattr(place, name, changed)
    engine = Engine.compile if kind is CompiledTD3 else Engine.native
    torch.manual_seed(0)
    td3 = with_engine(TD3(SIZES), engine)
    torch.manual_seed(0)
    expected = TD3(SIZES)
    # torch.compile traces the changed function; C++ cannot, and is not used.
    if kind is NativeTD3:
        assert td3.engine == Engine.eager
        said = capsys.readouterr().err
        assert said.count("\n") == 1 and "engine native does not compute what" in said
    assert agrees(td3, expected, batches(4))


# --- all compute the same ----------------------------------------------------------------------


def make_pair(kind: type[TD3], sizes: NetworkSizes = SIZES) -> tuple[TD3, TD3]:
    """Traced, where it is compiled, without the minute of making machine code."""
    return trial(kind, sizes, CPU)


@pytest.mark.parametrize("given", [torch.float32, torch.float64, torch.bfloat16], ids=str)
def test_batches_of_any_float_are_learned_from(kind: type[TD3], given: torch.dtype):
    found, expected = make_pair(kind)
    samples = {k: v.to(given) if v.is_floating_point() else v for k, v in batches(5).items()}
    assert agrees(found, expected, samples)
    assert found.engine != Engine.eager and found.updates == 5


@pytest.mark.parametrize("given", [torch.float32, torch.float64], ids=str)
def test_a_pair_that_differs_does_not_agree(given: torch.dtype):
    """Of the comparison itself: each thing that may differ is seen."""
    for change in (
        lambda td3: setattr(td3, "gamma", 0.8),
        lambda td3: setattr(td3, "tau", 0.31),
        lambda td3: setattr(td3, "average_rate", 0.21),
        lambda td3: setattr(td3, "noise_clip", 0.2),
        lambda td3: setattr(td3, "action_l2", 0.6),
        lambda td3: setattr(td3, "policy_delay", 1),
        lambda td3: td3.actor_optimizer.param_groups[0].update(eps=2e-3),
        lambda td3: td3.critic_optimizer.param_groups[0].update(betas=(0.8, 0.96)),
        lambda td3: td3.target_actor.net.weight_0.data.mul_(1.1),
    ):
        found, expected = trial(TD3, SIZES, CPU)
        assert agrees(copy.deepcopy(found), copy.deepcopy(expected), batches(2))
        change(found)
        assert not agrees(found, expected, batches(2))


def test_settings_changed_in_mid_run_are_followed(kind: type[TD3]):
    found, expected = make_pair(kind)
    for step, change in enumerate(
        (
            {"gamma": 0.7, "tau": 0.1},
            {"noise_clip": 0.05, "action_l2": 0.0, "average_rate": 1.0},
            {"policy_delay": 3},
            {"policy_delay": 1, "bounded_target": False},
        )
    ):
        for td3 in (found, expected):
            vars(td3).update(change)
            td3.critic_optimizer.param_groups[0].update(lr=0.01 / (step + 1), betas=(0.5, 0.9))
            td3.actor_optimizer.param_groups[0].update(lr=0.02 / (step + 1), eps=1e-2)
        assert agrees(found, expected, batches(4, seed=step)), change
        assert isinstance(found.gamma, float), "attributes stay what they were"
    usual, _ = make_pair(kind)
    usual.learn(batches(4, seed=0))
    assert not torch.equal(usual.critic.net.weight_0, found.critic.net.weight_0)


@pytest.mark.parametrize(
    "options", [{"weight_decay": 0.1}, {"amsgrad": True}, {"maximize": True}], ids=str
)
def test_other_rules_of_an_optimizer_are_followed_by_pytorch(kind: type[TD3], options: dict):
    found, expected = make_pair(kind)
    for td3 in (found, expected):
        parameters = list(td3.critic.parameters())
        td3.critic_optimizer = torch.optim.Adam(parameters, lr=0.01, **options)
        td3.learn(batches(1))  # makes its state
    assert found.engine == Engine.eager
    assert agrees(found, expected, batches(3))


def test_another_optimizer_is_used(kind: type[TD3]):
    found, expected = make_pair(kind)
    for td3 in (found, expected):
        td3.actor_optimizer = torch.optim.SGD(td3.actor.parameters(), lr=0.1)
    assert found.engine == Engine.eager
    assert agrees(found, expected, batches(3))


def test_weights_and_state_that_moved_are_found_again(kind: type[TD3]):
    found, expected = make_pair(kind)
    for turn in range(2):
        for td3 in (found, expected):
            for parameter in td3.parameters():
                parameter.data = parameter.data.clone() + 0.01
            for optimizer in (td3.critic_optimizer, td3.actor_optimizer):
                optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))
        assert agrees(found, expected, batches(3, seed=turn))


def test_what_one_begins_another_goes_on_with(kind: type[TD3]):
    found, expected = make_pair(kind)
    for turn, engine in enumerate((kind, TD3, kind)):
        found = engines._in_class(engine, found)
        if isinstance(found, CompiledTD3):
            found.backend = "eager"
        assert agrees(found, expected, batches(3, seed=turn))


def test_warming_up_changes_nothing_that_was_learned(library: None):
    found, _ = make_pair(CompiledTD3)
    found.learn(batches(3))
    before = [value.clone() for value in changing(found)]
    randomness = torch.get_rng_state()
    warm_up(found, [16, 32])
    assert found.updates == 3
    assert all(map(torch.equal, before, changing(found)))
    assert torch.equal(torch.get_rng_state(), randomness)
