"""What the networks see: columns by layout, roles, stay, places and padding."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from rher_pl.networks.encoder import CLIP, InputEncoder
from rher_pl.relay import Layout, Relay, fetch_layout, input_columns

ONE, TWO = Relay(("push",)), Relay(("a", "b"))


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def random_states(relay: Relay, layout: Layout, count: int = 8) -> tuple[Tensor, Tensor, Tensor]:
    """Observations, positions and desired goals."""
    observation = normal(count, len(layout), seed=1)
    achieved = normal(count, relay.num_points, 3, seed=2)
    desired = normal(count, relay.num_desired, 3, seed=3)
    return observation, achieved, desired


def seen(encoder: InputEncoder, states: tuple[Tensor, Tensor, Tensor], subtask) -> Tensor:
    observation, achieved, desired = states
    goals = encoder.relay.goals(achieved, desired, subtask)
    return encoder(observation, achieved, goals, subtask)


def test_one_object_sees_what_a_plain_formula_says():
    """Written out again for FetchPush: heights, relative positions coarse and fine, one-hot."""
    encoder = InputEncoder(ONE, fetch_layout(1))
    observation, achieved, desired = states = random_states(ONE, fetch_layout(1))
    for subtask in ONE.indices:
        slots = torch.zeros(8, 2, 3)
        slots[:, subtask] = achieved[:, 1] if subtask == 0 else desired[:, 0]
        offsets = torch.zeros(8, 2, 3)
        offsets[:, subtask] = slots[:, subtask] - achieved[:, subtask]
        relative = torch.cat([offsets.flatten(1), achieved[:, 1] - achieved[:, 0]], dim=1)
        kept = observation[:, [2, 5, *range(6, 25)]]
        flags = torch.eye(2)[subtask].expand(8, 2)
        expected = torch.cat([kept, slots[:, :, 2], relative, relative / 0.0125, flags], dim=1)
        torch.testing.assert_close(seen(encoder, states, subtask), expected.clamp(-CLIP, CLIP))


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("roles", [True, False])
def test_one_subtask_for_all_and_one_for_each_row_say_the_same(count, roles):
    relay, layout = Relay(tuple("abc"[:count])), fetch_layout(count, places=1)
    encoder = InputEncoder(relay, layout, roles=roles)
    states = random_states(relay, layout)
    for subtask in relay.indices:
        each = torch.full((8,), subtask)
        assert torch.equal(seen(encoder, states, subtask), seen(encoder, states, each))


def test_the_same_scene_elsewhere_on_the_table_looks_the_same():
    layout = fetch_layout(1)
    observation, achieved, desired = states = random_states(ONE, layout)
    moved = torch.tensor([0.5, -0.3, 0.0])
    elsewhere = observation.clone()
    elsewhere[:, :6] += moved.repeat(2)  # of gripper and object
    shifted = (elsewhere, achieved + moved, desired + moved)
    encoder, paper = (InputEncoder(ONE, layout, absolute_positions=on) for on in (False, True))
    for subtask in ONE.indices:
        torch.testing.assert_close(
            seen(encoder, states, subtask), seen(encoder, shifted, subtask), atol=2e-4, rtol=0
        )
        assert not torch.allclose(seen(paper, states, subtask), seen(paper, shifted, subtask))


def test_columns_come_from_the_layout_wherever_they_stand():
    """A number in front, such as one that multiplies the actions, is seen like any other."""
    layout = Layout(("-", "object 0 x", "gripper z", "gripper x", "object 0"))
    columns = input_columns(ONE, layout, roles=True, absolute_positions=False)
    assert columns.observed == [[0, 2, 4]] * 2
    everything = input_columns(ONE, layout, roles=True, absolute_positions=True)
    assert everything.observed == [[0, 1, 2, 3, 4]] * 2


def test_the_active_object_comes_first_and_others_say_whether_they_are_done():
    layout = Layout(("gripper", "object 0", "object 1", "object 2"))
    relay = Relay(("a", "b", "c"))
    columns = input_columns(relay, layout, roles=True, absolute_positions=False)
    brings = [columns.observed[s] for s in relay.brings]
    assert brings == [[0, 1, 2, 3], [0, 2, 1, 3], [0, 3, 1, 2]]
    assert [columns.points[s] for s in relay.brings] == [[0, 1, 2, 3], [0, 2, 1, 3], [0, 3, 1, 2]]
    reach, bring = [1.0, 0.0], [0.0, 1.0]
    assert columns.flags == [
        [*reach, 0, 0], [*bring, 0, 0],
        [*reach, 1, 0], [*bring, 1, 0],
        [*reach, 1, 1], [*bring, 1, 1],
    ]  # fmt: skip


def test_numbers_of_an_object_outside_the_relay_stay_where_they_are():
    layout = Layout(("object 1", "object 0", "gripper"))
    columns = input_columns(ONE, layout, roles=True, absolute_positions=False)
    assert columns.observed == [[0, 1, 2]] * 2


def test_objects_with_other_numbers_have_no_roles():
    layout = Layout(("gripper", "object 0", "object 1", "object 1"))
    columns = input_columns(TWO, layout, roles=True, absolute_positions=False)
    assert not columns.roles
    assert columns.observed == [[0, 1, 2, 3]] * 4
    assert columns.flags == torch.eye(4).tolist()


@pytest.mark.parametrize("renamed", [(1, 0, 2), (2, 0, 1), (1, 2, 0)])
def test_renaming_the_objects_changes_nothing_that_is_seen(renamed):
    """Invariant: names, goals and places in the relay move together, the world stays."""
    relay, layout = Relay(("a", "b", "c")), fetch_layout(3)
    observation, achieved, desired = states = random_states(relay, layout)
    # Object i is called renamed[i] now; the observation itself is the same.
    labels = tuple(
        f"object {renamed[int(label.split()[1])]}{label[8:]}" if label[0] == "o" else label
        for label in layout.labels
    )
    back = [renamed.index(i) for i in range(3)]
    other = Relay(("x", "y", "z"), order=renamed)
    moved = (observation, achieved[:, [0, *(1 + i for i in back)]], desired[:, back])
    encoders = InputEncoder(relay, layout), InputEncoder(other, Layout(labels))
    for subtask in relay.indices:
        assert torch.equal(seen(encoders[0], states, subtask), seen(encoders[1], moved, subtask))
    control = InputEncoder(relay, layout, roles=False)
    blind = InputEncoder(other, Layout(labels), roles=False)
    assert not torch.equal(seen(control, states, 1), seen(blind, moved, 1))


def test_a_finished_object_within_epsilon_shows_itself_as_its_goal_and_the_reward_does_not():
    encoder, paper = (InputEncoder(TWO, fetch_layout(2), stay=stay) for stay in (True, False))
    observation = normal(1, len(fetch_layout(2)))
    achieved = torch.tensor([[[0.0, 0, 0], [0.03, 0, 0], [1, 0, 0]]])
    desired = torch.tensor([[[0.0, 0, 0], [2, 0, 0]]])
    at_home = torch.tensor([[[0.03, 0, 0], [2, 0, 0]]])
    bring_1 = 3
    near = TWO.goals(achieved, desired, bring_1)
    same = encoder(observation, achieved, TWO.goals(achieved, at_home, bring_1), bring_1)
    assert torch.equal(encoder(observation, achieved, near, bring_1), same)
    assert not torch.equal(paper(observation, achieved, near, bring_1), same)
    far = desired + torch.tensor([[[0.2, 0, 0], [0, 0, 0]]])
    shown = encoder(observation, achieved, TWO.goals(achieved, far, bring_1), bring_1)
    assert not torch.equal(shown, same)
    assert not TWO.met(near, achieved, bring_1).item()


def test_what_shows_itself_as_its_goal_is_what_serving_leaves():
    """Between the handover mark and epsilon the object is brought again: its goal is shown."""
    tight = replace(TWO, handover=0.5)
    encoder = InputEncoder(tight, fetch_layout(2))
    observation = normal(1, len(fetch_layout(2)))
    achieved = torch.tensor([[[0.0, 0, 0], [0.03, 0, 0], [1, 0, 0]]])
    at_home = torch.tensor([[[0.03, 0, 0], [2, 0, 0]]])
    for away, shown in ((0.02, True), (0.03, False)):
        desired = torch.tensor([[[0.03 - away, 0, 0], [2, 0, 0]]])
        assert tight.home(achieved, desired)[0, 0] == shown
        inputs = [
            encoder(observation, achieved, tight.goals(achieved, goals, 3), 3)
            for goals in (desired, at_home)
        ]
        assert torch.equal(*inputs) == shown


def test_places_are_seen_from_the_gripper():
    layout = fetch_layout(1, places=1)
    encoder = InputEncoder(ONE, layout)
    observation, achieved, desired = random_states(ONE, layout)
    moved = torch.tensor([0.3, -0.2, 0.1])
    shifted = observation.clone()
    shifted[:, -3:] += moved
    # Everything moves together: what is seen of the place is the same, heights differ.
    one = seen(encoder, (observation, achieved, desired), 1)
    two = seen(encoder, (shifted, achieved + moved, desired + moved), 1)
    count, goals, _ = encoder.sizes
    place = slice(count + goals - 3, count + goals)
    torch.testing.assert_close(one[:, place], (observation[:, -3:] - achieved[:, 0]).clamp(-5, 5))
    torch.testing.assert_close(one[:, place], two[:, place])


@pytest.mark.parametrize("name", ["gripper q", "object", "object x", "wall 0 x", "", 3])
def test_an_unknown_label_is_refused(name):
    with pytest.raises(ValueError, match="write gripper, object"):
        Layout((name,))


def test_padding_is_unmistakable_after_normalisation():
    """0 in an unused slot is far from every real position: it must not enter the statistics."""
    encoder, layout = InputEncoder(ONE, fetch_layout(1)), fetch_layout(1)
    achieved = 1.3 + 0.05 * normal(20, 11, 2, 3)
    episodes = {
        "observation": normal(20, 11, len(layout)),
        "achieved_goals": achieved,
        "desired_goals": 1.3 + 0.05 * normal(20, 1, 3, seed=4),
    }
    encoder.update(episodes)
    states = (episodes["observation"][:, 0], achieved[:, 0], episodes["desired_goals"])
    heights = slice(21, 23)  # of the gripper's slot and the object's
    assert (seen(encoder, states, 0)[:, heights][:, 1] == -CLIP).all()
    assert (seen(encoder, states, 1)[:, heights][:, 0] == -CLIP).all()
    assert (seen(encoder, states, 0)[:, heights][:, 0].abs() < CLIP).all()


def test_states_after_an_episodes_end_do_not_count():
    layout = fetch_layout(1)
    episodes = {
        "observation": normal(3, 11, len(layout)),
        "achieved_goals": normal(3, 11, 2, 3, seed=1),
        "desired_goals": normal(3, 1, 3, seed=2),
        "length": torch.tensor([[4], [10], [7]]),
    }
    encoder = InputEncoder(ONE, layout)
    encoder.update(episodes)
    assert encoder.observations.count[0] == 5 + 11 + 8
    kept = torch.cat([episodes["observation"][i, : n + 1] for i, n in enumerate((4, 10, 7))])
    columns = encoder.columns.observed[0]
    torch.testing.assert_close(encoder.observations.shift, kept[:, columns].mean(0))
