"""A policy in C++ does what the one in Python does, and is used only where that is so.

These tests need a C++ compiler, as developing here does; using the package does not.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tensordict import TensorDict
from trained import quiet_trainer

from rher_pl.collect.behavior import Actor, BehaviorPolicy
from rher_pl.collect.progress import RelayProgress
from rher_pl.learner.native import acting
from rher_pl.learner.native.acting import NativePolicy
from rher_pl.networks.policy import InputEncoder, RelayPolicy
from rher_pl.relay.chain import Relay
from rher_pl.training.datamodule import RelayDataModule
from rher_pl.training.module import RHERModule

TASKS = ("FetchReach-v4", "FetchPush-v4", "FetchPickAndPlace-v4", "PointPush-v0")


def make_policy(task: str = "FetchPush-v4", **options: Any) -> RelayPolicy:
    """Its statistics are those of some data."""
    torch.manual_seed(0)
    policy = RHERModule(task, **({"hidden_size": 33} | options)).policy
    observe(policy)
    return policy.requires_grad_(False)


def observe(policy: RelayPolicy) -> None:
    encoder = policy.encoder
    for normalizer in (encoder.observations, encoder.goals):
        normalizer.update(1.0 + 0.3 * torch.randn(50, len(normalizer.shift)))


def make_states(policy: RelayPolicy, rows: int) -> TensorDict:
    """Some far away, where inputs are clipped."""
    relay = policy.relay
    shapes = {
        "observation": [policy.encoder.observation_size],
        "achieved_goals": [relay.num_points, 3],
        "desired_goals": [relay.num_desired, 3],
    }
    states = {key: 1.0 + 0.3 * torch.randn(rows, *shape) for key, shape in shapes.items()}
    return TensorDict(states, batch_size=[rows])


def assert_same(policy: RelayPolicy, native: NativePolicy, rows: int) -> None:
    states = make_states(policy, rows)
    subtask = torch.randint(policy.relay.num_subtasks, (rows,))
    torch.testing.assert_close(
        native(states, subtask), policy(states, subtask), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"absolute_positions": True},
        {"relative_goals": False, "absolute_positions": True},
        {"hidden_layers": 1, "hidden_size": 256},
    ],
    ids=["relative", "both", "absolute", "shallow"],
)
def test_actions_are_those_of_the_policy(task: str, options: dict) -> None:
    policy = make_policy(task, **options)
    native = NativePolicy.make(policy)
    assert native is not None
    for rows in (1, 10, 25, 10):
        assert_same(policy, native, rows)


def test_it_follows_the_policy_when_refreshed() -> None:
    policy = make_policy()
    native, states = NativePolicy(policy), make_states(policy, 6)
    subtask = torch.ones(6, dtype=torch.int64)
    before = native(states, subtask)
    observe(policy)
    for parameter in policy.actor.parameters():
        parameter.mul_(1.5)
    native.refresh()
    assert not torch.allclose(native(states, subtask), before)
    assert_same(policy, native, 6)


def test_nan_is_seen_in_the_action() -> None:
    policy = make_policy()
    native, states = NativePolicy(policy), make_states(policy, 3)
    states["achieved_goals"][1, 0, 2] = torch.nan
    action = native(states, torch.ones(3, dtype=torch.int64))
    assert action.isnan().any(-1).tolist() == [False, True, False]


@pytest.mark.parametrize("key", ["observation", "achieved_goals", "desired_goals"])
@pytest.mark.parametrize("change", [-1, 1])
def test_states_of_another_size_are_refused(key: str, change: int) -> None:
    policy = make_policy()
    native, states = NativePolicy(policy), make_states(policy, 3)
    shape = list(states[key].shape)
    shape[-1] += change
    states[key] = torch.ones(shape)
    with pytest.raises(RuntimeError, match="shape"):
        native(states, torch.ones(3, dtype=torch.int64))


def make_behavior(task: str, native: bool, fading: bool = False) -> BehaviorPolicy:
    """One that is past the random episodes."""
    policy, module = make_policy(task), RHERModule(task, hidden_size=8)
    generator = torch.Generator().manual_seed(3)
    behavior = BehaviorPolicy(
        policy, module.progress, 0.5, 0.2, 0.2, 0.035, generator, fading, native
    )
    behavior.only_random = False
    for parameter in policy.actor.parameters():
        parameter.mul_(1.1)
    behavior.synchronize()
    return behavior


def make_near_states(policy: RelayPolicy, rows: int) -> TensorDict:
    """Some subtasks are solved in some of them."""
    torch.manual_seed(5)
    states = make_states(policy, rows)
    for key in ("achieved_goals", "desired_goals"):
        states[key] = 1.3 + 0.03 * torch.randn(states[key].shape)
    return states


@pytest.mark.parametrize("task", [*TASKS, "no guide"])
def test_behavior_is_the_same(task: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if task == "no guide":
        task = "FetchPush-v4"
        monkeypatch.setattr(RelayProgress, "guide_subtask", property(lambda self: None))
    plain, found = make_behavior(task, native=False), make_behavior(task, native=True)
    for _ in range(3):
        expected, got = (b(make_near_states(b.policy, 400)) for b in (plain, found))
        assert found._native is not None and plain._native is None
        assert torch.equal(expected["first_unsolved"], got["first_unsolved"])
        assert torch.equal(expected["actor"], got["actor"])
        torch.testing.assert_close(got["action"], expected["action"], rtol=1e-4, atol=1e-5)
        assert not torch.equal(got["action"], expected["action"])  # or nothing was compared
        assert len(got["first_unsolved"].unique()) == found.relay.num_subtasks
        assert torch.equal(plain.generator.get_state(), found.generator.get_state())


def test_behavior_follows_what_is_learned() -> None:
    plain, found = (make_behavior("FetchPush-v4", native, fading=True) for native in (False, True))
    guided = []
    for success in ([1.0, 0.5], [1.0, 1.0], [0.0, 0.0]):
        for behavior in (plain, found):
            behavior._trained[1].record(success)
            behavior.synchronize()
        expected, got = (b(make_near_states(b.policy, 400)) for b in (plain, found))
        assert found._native is not None
        assert torch.equal(expected["actor"], got["actor"])
        guided.append((got["actor"] == Actor.GUIDE).sum().item())
    assert guided[0] > guided[1] > 0  # it fades as the learner fails less


def test_behavior_refuses_states_of_another_size() -> None:
    behavior = make_behavior("FetchPush-v4", native=True)
    states = make_near_states(behavior.policy, 4)
    states["desired_goals"] = torch.zeros(4, 2, 3)
    with pytest.raises(RuntimeError, match="shape"):
        behavior(states)


@pytest.mark.parametrize(
    ("owner", "method", "changed"),
    [
        (BehaviorPolicy, "choose", lambda self, unsolved: usual_choice(self, 0 * unsolved)),
        (Relay, "first_unsolved", lambda self, achieved, _: torch.ones(len(achieved)).long()),
        (
            BehaviorPolicy,
            "behave",
            lambda self, states: (2 * usual_behavior(self, states)[0],) * 3,
        ),
    ],
)
def test_behavior_that_was_changed_is_not_ignored(
    owner: type,
    method: str,
    changed: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(owner, method, changed)
    plain, found = (make_behavior("FetchPush-v4", native) for native in (False, True))
    expected, got = (b(make_near_states(b.policy, 40)) for b in (plain, found))
    assert all(
        torch.equal(expected[key], got[key]) for key in ("action", "actor", "first_unsolved")
    )
    assert capsys.readouterr().err.count("warning: the policy in C++") == 1


usual_choice, usual_behavior = BehaviorPolicy.choose, BehaviorPolicy.behave


@pytest.mark.parametrize(
    ("owner", "method"),
    [(Relay, "goals"), (Relay, "encode"), (InputEncoder, "forward"), (RelayPolicy, "forward")],
)
def test_a_policy_that_was_changed_is_not_ignored(
    owner: type, method: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = getattr(owner, method)
    monkeypatch.setattr(owner, method, lambda *arguments: 1.01 * changed(*arguments))
    assert NativePolicy.make(make_policy()) is None
    assert capsys.readouterr().err.count("warning: the policy in C++") == 1


def test_without_a_compiler_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acting, "load", lambda: None)
    assert NativePolicy.make(make_policy()) is None


@pytest.mark.parametrize(("compiled", "native"), [(None, True), (True, True), (False, False)])
def test_the_option_of_the_update_decides(
    compiled: bool | None, native: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    inner = NativePolicy.behave

    def counted(self: NativePolicy, *arguments: Any) -> Any:
        calls.append(arguments)
        return inner(self, *arguments)

    monkeypatch.setattr(NativePolicy, "behave", counted)
    module = RHERModule("PointPush-v0", hidden_size=8, compiled=compiled)
    data = RelayDataModule(
        "PointPush-v0", num_envs=2, random_episodes=0, updates_per_episode=0, eval_episodes=2
    )
    quiet_trainer(max_steps=-1, max_epochs=1, limit_val_batches=0).fit(module, data)
    checked = 3  # before use
    assert (len(calls) > checked) == native
