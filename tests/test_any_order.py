"""Objects that may be brought in any order: their numbers must not matter, anywhere."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
import torch
from tensordict import TensorDict
from torch import Tensor

from rher_pl.checkpoints.info import make_info
from rher_pl.checkpoints.layout import make_header
from rher_pl.checkpoints.policy import policy_content
from rher_pl.choices import RelayMode
from rher_pl.cli.checks.checkpoint import check_task
from rher_pl.collect.behavior import BehaviorPolicy, Exploration
from rher_pl.collect.progress import MovingSuccess
from rher_pl.deploy.formats import FORMATS
from rher_pl.deploy.from_module import policy_of
from rher_pl.deploy.parity import TOLERANCE, parity_gap
from rher_pl.errors import ConfigError
from rher_pl.evaluation.judging import Fate, Played, judge
from rher_pl.networks.encoder import InputEncoder
from rher_pl.networks.policy import RelayPolicy
from rher_pl.relay import Layout, Relay, fetch_layout
from rher_pl.relay.numbering import ObjectNumbers, renumbered
from rher_pl.replay.sampling import SamplingRule, make_replay_buffers
from rher_pl.replay.storage import EpisodeStorage
from rher_pl.tasks import get_task, make_env
from rher_pl.training.module import RHERModule

THREE = Relay(("a", "b", "c"), any_order=True)
LAYOUT = fetch_layout(3)
ORDERS = list(permutations(range(3)))[1:]
GRIPPER = [0.0, 0.0, 0.0]


def states(count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Observations, positions and goals of ``count`` states in which some objects are home."""
    draw = torch.Generator().manual_seed(3)
    desired = torch.randn(count, 3, 3, generator=draw) * 0.2
    offsets = torch.randn(count, 3, 3, generator=draw) * 0.2
    offsets[torch.rand(count, 3, generator=draw) < 0.5] *= 0.02
    gripper = torch.randn(count, 1, 3, generator=draw) * 0.2
    observation = torch.randn(count, len(LAYOUT), generator=draw)
    return observation, torch.cat([gripper, desired + offsets], dim=1), desired


def otherwise(seen: tuple[Tensor, ...], order: tuple[int, ...]) -> tuple[Tensor, ...]:
    """The same states with the objects in another order."""
    observation, achieved, desired = seen
    sequence = torch.tensor(order).expand(len(achieved), -1)
    numbers = ObjectNumbers(LAYOUT, 3)
    return (
        numbers(observation, sequence),
        renumbered(achieved, sequence),
        renumbered(desired, sequence),
    )


def made_policy(relay: Relay = THREE, layout: Layout = LAYOUT) -> RelayPolicy:
    torch.manual_seed(0)
    actor = {"actions": 4, "hidden_size": 16, "hidden_layers": 1}
    settings = {"relay": relay.to_dict(), "layout": layout.to_list(), "encoder": {}, "actor": actor}
    return RelayPolicy.from_dict(settings)


# --- who is next -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("objects", "sequence", "bring", "at"),
    [
        ([[0.9, 0, 0], [0.2, 0, 0], [0.5, 0, 0]], [1, 2, 0], 1, 1),  # none home: the nearest
        ([[0.9, 0, 0], [2.0, 0, 0], [0.5, 0, 0]], [1, 2, 0], 3, 2),  # 1 is home, 2 is nearer than 0
        ([[0.9, 0, 0], [2.0, 0, 0], [3.0, 0, 0]], [2, 1, 0], 5, 0),  # 0 alone is away
        ([[0.9, 0, 0], [1.01, 0, 0], [0.5, 0, 0]], [1, 2, 0], 1, 1),  # 1 stands at the goal of 0
        ([[1.0, 0, 0], [1.04, 0, 0], [0.5, 0, 0]], [0, 2, 1], 3, 2),  # but 0 is home already
        ([[1.0, 0, 0], [2.0, 0, 0], [3.0, 0, 0]], [2, 1, 0], 5, 0),  # all are home: stay at one
    ],
)
def test_the_nearest_object_that_is_not_home_is_next_unless_one_is_in_the_way(
    objects: list[list[float]], sequence: list[int], bring: int, at: int
) -> None:
    achieved = torch.tensor([[GRIPPER, *objects]])
    desired = torch.tensor([[[1.0, 0, 0], [2.0, 0, 0], [3.0, 0, 0]]])
    assert THREE.sequence(achieved, desired)[0].tolist() == sequence
    serving = THREE.serving(achieved, desired)
    assert serving.item() == bring
    assert THREE.object_of(achieved, desired, serving).item() == at
    assert THREE.in_order().sequence(achieved, desired)[0].tolist() == [0, 1, 2]


def test_a_gripper_at_the_object_brings_it_instead_of_reaching() -> None:
    achieved = torch.tensor([[GRIPPER, [0.9, 0, 0], [0.03, 0, 0], [0.5, 0, 0]]])
    desired = torch.ones(1, 3, 3)
    assert THREE.working_on(achieved, desired).item() == 1
    assert THREE.reaching(0.02).working_on(achieved, desired).item() == 0


@pytest.mark.parametrize("options", [{"order": (1, 0)}, {"reach": False}])
def test_any_order_needs_a_gripper_and_no_order(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="any_order goes by the gripper's distance"):
        Relay(("a", "b"), any_order=True, **options)


@pytest.mark.parametrize("unlabelled", [False, True])
def test_any_order_needs_objects_with_the_same_numbers(unlabelled: bool) -> None:
    task = get_task("FetchDoublePush-v0")
    labels = list(task.layout.labels)
    labels[task.layout.columns_of("object 1")[-1]] = "-"
    if unlabelled:
        labels = ["-"] * len(labels)
    with pytest.raises(ConfigError, match="columns of the observation, the same for each"):
        make_env(replace(task, layout=Layout(tuple(labels))), 1, 0)


def test_relay_ordered_trains_the_order_of_the_numbers() -> None:
    task = get_task("FetchThreePush-v0")
    assert task.trained_relay(RelayMode.full).any_order
    assert not task.trained_relay(RelayMode.ordered).any_order
    assert not task.trained_relay(RelayMode.none).any_order
    assert not get_task("FetchStack-v0").relay.any_order  # a tower has an order


# --- numbers do not matter ---------------------------------------------------------------------


@pytest.mark.parametrize("order", ORDERS)
def test_a_policy_acts_alike_whatever_the_numbers_of_the_objects(order: tuple[int, ...]) -> None:
    seen = states(64)
    policy = made_policy()
    actions = policy.act(*seen)
    assert torch.allclose(policy.act(*otherwise(seen, order)), actions, atol=1e-6)
    fixed = made_policy(THREE.in_order())  # the control: here they do matter
    assert not torch.allclose(fixed.act(*otherwise(seen, order)), fixed.act(*seen), atol=1e-3)


@pytest.mark.parametrize("order", ORDERS)
def test_exploration_acts_alike_whatever_the_numbers_of_the_objects(order: tuple[int, ...]) -> None:
    def explored(seen: tuple[Tensor, ...]) -> TensorDict:
        behavior = BehaviorPolicy(made_policy(), MovingSuccess(6), Exploration(), 5)
        behavior.begin(range(32))
        return behavior(TensorDict(dict(zip(behavior.in_keys, seen)), [32]))

    first, other = explored(states(32)), explored(otherwise(states(32), order))
    assert torch.allclose(first["action"], other["action"], atol=1e-6)
    assert torch.equal(first["subtask"], other["subtask"])


def episodes(count: int, order: tuple[int, ...] = (0, 1, 2)) -> TensorDict:
    """Episodes of 6 steps in which the objects wander between home and away."""
    flat = otherwise(states(count * 7), order)
    observation, achieved, desired = (each.unflatten(0, (count, 7)) for each in flat)
    # One desired goal an episode: objects keep their offsets from it.
    achieved[:, :, 1:] += (desired[:, :1] - desired) * 1.0
    return TensorDict(
        {
            "observation": observation,
            "achieved_goals": achieved,
            "desired_goals": desired[:, 0],
            "action": torch.zeros(count, 6, 4),
            "length": torch.full((count, 1), 6),
            "ending": torch.zeros(count, 1, dtype=torch.uint8),
        },
        [count],
    )


def stored(data: TensorDict) -> EpisodeStorage:
    storage = EpisodeStorage(len(data), data[0], THREE)
    storage.extend(data)
    return storage


@pytest.mark.parametrize("order", ORDERS)
def test_samples_are_alike_whatever_the_numbers_of_the_objects(order: tuple[int, ...]) -> None:
    mirrors = get_task("FetchThreePush-v0").mirrors
    rule = SamplingRule(inert_ratio=0.2, unmet_ratio=0.3, turn_share=0.5, mirrors=mirrors)
    samples = [
        make_replay_buffers(stored(data), THREE, rule, torch.Generator().manual_seed(1), LAYOUT)
        for data in (episodes(20), episodes(20, order))
    ]
    for first, other in zip(*samples, strict=True):
        one, two = first.sample(400), other.sample(400)
        for key in ("observation", "achieved", "goals", ("next", "observation"), ("next", "goals")):
            assert torch.allclose(one[key], two[key], atol=1e-6), key
        assert torch.equal(one["next", "reward"], two["next", "reward"])


def test_samples_of_an_own_turn_are_about_the_nearest_object_that_is_not_home() -> None:
    rule = SamplingRule(relabel_ratio=0.0, turn_share=1.0)
    draw = torch.Generator().manual_seed(1)
    buffers = make_replay_buffers(stored(episodes(20)), THREE, rule, draw, LAYOUT)
    for number, subtask in enumerate(THREE.brings):
        samples = buffers[subtask].sample(200)
        gripper, objects = samples["achieved"][:, :1], samples["achieved"][:, 1:]
        home = (objects - samples["goals"][:, 1:]).norm(dim=-1) <= THREE.epsilon
        away = (objects - gripper).norm(dim=-1)
        assert home[:, :number].all()  # finished
        if subtask != THREE.last:  # which holds the last object as well if all are home
            assert not home[:, number].any()
            assert (away[:, number:].argmin(1) == 0).all()


@pytest.mark.parametrize("order", ORDERS)
def test_episodes_are_judged_alike_whatever_the_numbers_of_the_objects(
    order: tuple[int, ...],
) -> None:
    def judged(data: TensorDict) -> dict[str, TensorDict]:
        achieved, count = data["achieved_goals"], len(data)
        desired = data["desired_goals"].unsqueeze(1).expand(-1, 7, -1, -1)
        inputs, action = torch.zeros(count, 6, 2), torch.zeros(count, 6, 4)
        played = Played(achieved, desired, torch.zeros(count, dtype=torch.bool), inputs, action)
        return judge(played, THREE, 0.9, lambda seen, _: seen[:, 0])

    first, other = judged(episodes(200)), judged(episodes(200, order))
    for name, result in first.items():
        for key, value in result.items():
            assert torch.allclose(value.float(), other[name][key].float(), atol=1e-6), (name, key)
    solved = [first[name]["success"].float().mean() for name in ("a", "b", "c")]
    assert solved[0] > solved[1] > solved[2] > 0  # first, second and third object to be home


def played_through(path: list[list[list[float]]], desired: list[list[float]]) -> Played:
    """One episode [T+1, P, 3] as it was played."""
    achieved = torch.tensor([path])
    steps = achieved.shape[1] - 1
    goals = torch.tensor([[desired]]).expand(-1, steps + 1, -1, -1)
    nothing = torch.zeros(1, steps, 2), torch.zeros(1, steps, 4)
    return Played(achieved, goals, torch.zeros(1, dtype=torch.bool), *nothing)


def test_an_object_that_was_lost_in_its_turn_is_not_said_to_wait() -> None:
    """Cube 1 is nearest, is reached and falls; cube 0 is never touched. None comes home."""
    relay = Relay(("a", "b"), any_order=True, lowest=0.3)
    rest, fallen = [0.0, 0.5, 0.425], [0.5, 0.0, 0.1]
    path = [
        [[0.1, 0.0, 0.425], rest, [0.2, 0.0, 0.425]],
        [[0.2, 0.0, 0.425], rest, [0.25, 0.0, 0.425]],
        [[0.3, 0.0, 0.425], rest, [0.35, 0.0, 0.425]],
        [[0.4, 0.0, 0.425], rest, fallen],
        [[0.4, 0.0, 0.425], rest, fallen],
    ]
    goals = [[0.0, 0.9, 0.425], [0.9, 0.0, 0.425]]
    results = judge(played_through(path, goals), relay, 0.9, lambda seen, _: seen[:, 0])
    assert results["reach_0"]["success"].item()
    assert results["a"]["served"].item() and not results["b"]["served"].item()
    assert Fate(int(results["a"]["fate"])) is Fate.DROPPED
    assert Fate(int(results["b"]["fate"])) is Fate.WAITING


def test_a_solved_start_counts_even_if_it_is_lost_later() -> None:
    relay = Relay(("a", "b"), any_order=True)
    path = [
        [[0.0, 0.0, 0.4], [0.5, 0.0, 0.4], [0.9, 0.0, 0.4]],  # object 0 begins at its goal
        [[0.5, 0.0, 0.4], [0.7, 0.0, 0.4], [1.0, 0.0, 0.4]],  # and is pushed away
    ]
    goals = [[0.5, 0.0, 0.4], [1.0, 0.0, 0.4]]
    results = judge(played_through(path, goals), relay, 0.9, lambda seen, _: seen[:, 0])
    assert results["a"]["solved_at_reset"].item() and results["a"]["success"].item()
    assert not results["b"]["solved_at_reset"].item() and not results["b"]["success"].item()


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("roles", [True, False])
def test_inputs_are_normalised_alike_whatever_the_numbers(
    order: tuple[int, ...], roles: bool
) -> None:
    """The objects live far from each other, so that statistics of each would tell them apart."""
    encoders = []
    for numbers in ((0, 1, 2), order):
        data = episodes(8)
        data["achieved_goals"][:, :, 1:] += 3.0 * torch.arange(3.0).view(3, 1)
        data["desired_goals"] += 3.0 * torch.arange(3.0).view(3, 1)
        sequence = torch.tensor(numbers)
        data["achieved_goals"] = renumbered(data["achieved_goals"], sequence.expand(8, 7, -1))
        data["desired_goals"] = renumbered(data["desired_goals"], sequence.expand(8, -1))
        data["observation"] = ObjectNumbers(LAYOUT, 3)(
            data["observation"], sequence.expand(8, 7, -1)
        )
        encoder = InputEncoder(THREE, LAYOUT, roles=roles)
        encoder.update(data)
        encoders.append(encoder)
    for first, other in zip(*(encoder.normalization() for encoder in encoders), strict=True):
        assert torch.allclose(first, other, atol=1e-4)


def test_the_order_is_kept_by_checkpoints_and_by_a_full_ring() -> None:
    data = episodes(12)
    storage = EpisodeStorage(8, data[0], THREE)
    storage.extend(data[:7])
    storage.extend(data[7:])  # episodes 8 to 11 take the places of the oldest
    restored = EpisodeStorage(8, data[0], THREE)
    restored.load_state_dict(storage.state_dict())
    desired = storage.episode(0)["desired_goals"].expand(7, -1, -1)
    expected = THREE.sequence(storage.episode(0)["achieved_goals"], desired)
    assert storage.sequence is not None and restored.sequence is not None
    assert torch.equal(storage.sequence[0], expected)
    assert torch.equal(restored.sequence, storage.sequence)


@pytest.mark.parametrize("mode", RelayMode)
def test_a_file_with_a_policy_alone_knows_its_order(mode: RelayMode) -> None:
    module = RHERModule("FetchThreePush-v0", hidden_size=8, hidden_layers=1, relay=mode)
    content = make_header({}) | policy_content(policy_of(module).stored)
    info = make_info(content, "three.ckpt")
    assert info.options["data.relay"] == mode.value
    check_task(info, get_task("FetchThreePush-v0"))


def test_a_checkpoint_of_another_order_is_refused() -> None:
    """As before any order was known: a continued run would change what its numbers mean."""
    module = RHERModule("FetchThreePush-v0", hidden_size=8, hidden_layers=1)
    content = make_header({}) | policy_content(policy_of(module).stored)
    for name in ("any_order", "lowest"):
        del content["rher_pl"]["relay"][name]
    with pytest.raises(ConfigError, match="has another relay"):
        check_task(make_info(content, "old.ckpt"), get_task("FetchThreePush-v0"))


def test_numbers_stay_with_their_objects_in_the_real_environment() -> None:
    task = get_task("FetchThreePush-v0")
    env = make_env(task, 2, 0)
    state = env.reset()
    env.close()
    observation, achieved = state["observation"].float(), state["achieved_goals"].float()
    order = torch.tensor([[2, 0, 1], [1, 2, 0]])
    moved = ObjectNumbers(task.layout, 3)(observation, order)
    for row in range(2):
        for number, index in enumerate(order[row].tolist()):
            columns = [task.layout.columns_of(f"object {i}") for i in (number, index)]
            assert torch.equal(moved[row, columns[0]], observation[row, columns[1]])
            places = moved[row, columns[0]][:3]
            assert torch.allclose(places, renumbered(achieved, order)[row, 1 + number])
    others = [c for c in range(len(task.layout)) if "object" not in task.layout.owner(c)]
    assert torch.equal(moved[:, others], observation[:, others])


@pytest.mark.parametrize("name", FORMATS)
def test_exported_policies_find_the_next_object_themselves(name: str, tmp_path: Path) -> None:
    module = RHERModule("FetchThreePush-v0", hidden_size=8, hidden_layers=1)
    portable, form = policy_of(module).portable, FORMATS[name]
    form.write(portable, tmp_path / f"three{form.suffix}")
    assert parity_gap(portable, form.read(tmp_path / f"three{form.suffix}")) < TOLERANCE
