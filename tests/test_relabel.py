"""Hindsight substitution and reward, on fixtures whose next state differs from the current one."""

from __future__ import annotations

import pytest
import torch
from tensordict import TensorDict

from rher_pl.relay.chains import object_relay
from rher_pl.replay.relabel import relabel
from rher_pl.replay.sampling import SamplingRule, make_replay_buffers
from rher_pl.replay.storage import KEEP_GOAL, EpisodeStorage

LENGTH = 6


def episodes(count: int, num_objects: int, seed: int = 0, scale: float = 0.05) -> TensorDict:
    """Random walks: every state differs from the one before."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(count, *shape, generator=generator)

    achieved = (normal(LENGTH + 1, num_objects + 1, 3) * scale).cumsum(1)
    tagged = torch.arange(count * (LENGTH + 1)).view(count, LENGTH + 1, 1).float()
    return TensorDict(
        {
            "observation": tagged,  # observation = row * 7 + time, so that indices can be read off
            "achieved_goals": achieved,
            "desired_goals": normal(num_objects, 3) * scale,
            "action": torch.arange(count * LENGTH).view(count, LENGTH, 1).float(),
        },
        batch_size=[count],
    )


def pools(count: int = 40, num_objects: int = 1, **rule):
    relay = object_relay([f"push_{i}" for i in range(num_objects)])
    data = episodes(count, num_objects)
    storage = EpisodeStorage(count, data[0])
    storage.extend(data)
    generator = torch.Generator().manual_seed(1)
    return (
        relay,
        data,
        storage,
        make_replay_buffers(storage, relay, SamplingRule(**rule), generator),
    )


@pytest.mark.parametrize("radius", [1.0, 0.5])
@pytest.mark.parametrize("num_objects", [1, 2, 3])
def test_reward_is_zero_exactly_where_the_next_state_meets_every_slot_in_use(num_objects, radius):
    _, data, _, buffers = pools(num_objects=num_objects, reward_radius=radius)
    seen = set()
    for subtask, buffer in enumerate(buffers):
        sample = buffer.sample(2000)
        row, time, _ = sample["index"].unbind(-1)
        following = data["achieved_goals"][row, time + 1]
        goals = sample["goal"].view(-1, num_objects + 1, 3)
        close = (goals - following).norm(dim=-1) <= 0.05 * radius
        padding = (goals == 0).all(-1)
        met = (close | padding).all(-1)
        assert torch.equal(sample["next", "reward"].squeeze(-1) == 0, met)
        assert set(sample["next", "reward"].unique().tolist()) <= {0.0, -1.0}
        assert (sample["subtask"] == subtask).all()
        seen |= set(sample["next", "reward"].unique().tolist())
    assert seen == {0.0, -1.0}, "the fixture must produce both outcomes"


@pytest.mark.parametrize("num_objects", [1, 2, 3])
def test_hindsight_goals_come_from_a_strictly_later_state_of_the_same_episode(num_objects):
    relay, data, _, buffers = pools(num_objects=num_objects)
    for subtask, buffer in enumerate(buffers):
        sample = buffer.sample(2000)
        row, time, later = sample["index"].unbind(-1)
        relabeled = sample["relabeled"].squeeze(-1)
        assert torch.equal(relabeled, later != KEEP_GOAL)
        assert (later > time)[relabeled].all() and (later <= LENGTH).all()
        assert {1, LENGTH} <= set((later - time)[relabeled].tolist())
        expected = relay.hindsight_goals(
            data["achieved_goals"][row, time],
            data["achieved_goals"][row, later.clamp(min=0)],
            torch.full_like(row, subtask),
        )
        original = relay.goals(
            data["achieved_goals"][row, time],
            data["desired_goals"][row],
            torch.full_like(row, subtask),
        )
        goals = torch.where(relabeled.view(-1, 1, 1), expected, original)
        assert torch.equal(sample["goal"], goals.flatten(1))


def test_transitions_are_gathered_from_the_right_place():
    _, _, _, buffers = pools()
    sample = buffers[0].sample(500)
    row, time, _ = sample["index"].unbind(-1)
    assert torch.equal(sample["observation"].squeeze(-1), (row * (LENGTH + 1) + time).float())
    assert torch.equal(sample["next", "observation"], sample["observation"] + 1)
    assert torch.equal(sample["action"].squeeze(-1), (row * LENGTH + time).float())


def test_sampling_is_uniform_and_relabelling_is_independent_of_position():
    _, _, _, buffers = pools(relabel_ratio=0.8)
    size = 60_000
    sample = buffers[1].sample(size)
    row, time, later = sample["index"].unbind(-1)
    for values, count in ((row, 40), (time, LENGTH)):
        expected = size / count
        chi2 = ((values.bincount(minlength=count) - expected) ** 2 / expected).sum()
        assert chi2 < count + 5 * (2 * count) ** 0.5
    relabeled = sample["relabeled"].squeeze(-1).float()
    for part in relabeled.chunk(6):
        assert abs(part.mean() - 0.8) < 5 * (0.16 / len(part)) ** 0.5
    first = later[(time == 0) & (later > 0)].bincount(minlength=LENGTH + 1)[1:].float()
    assert (first / first.sum() - 1 / LENGTH).abs().max() < 0.02


def test_inert_draws_are_thinned_without_looking_at_the_outcome():
    def share_met_before(inert: float) -> float:
        relay, data, _, buffers = pools(count=200, inert_ratio=inert)
        sample = buffers[1].sample(20_000)
        row, time, _ = sample["index"].unbind(-1)
        chosen = sample["relabeled"].squeeze(-1)
        before = relay.met(
            sample["goal"].view(-1, 2, 3),
            data["achieved_goals"][row, time],
            sample["subtask"][:, 0],
        )
        assert abs(chosen.float().mean() - 0.8) < 0.02
        return before[chosen].float().mean().item()

    plain, thinned, none = (share_met_before(inert) for inert in (1.0, 0.2, 0.0))
    expected = 0.2 * plain / (0.2 * plain + 1 - plain)
    assert plain > 0.1
    assert abs(thinned - expected) < 0.02
    assert none < 0.01


def test_sampling_leaves_the_storage_unchanged():
    _, data, storage, buffers = pools()
    for buffer in buffers:
        sample = buffer.sample(1000)
        sample["goal"].zero_()
        sample["observation"].zero_()
    for key in data.keys():
        assert torch.equal(storage.state_dict()["episodes"][key], data[key])


def test_a_sentinel_goal_proves_that_the_reward_is_recomputed():
    relay, _, storage, _ = pools()
    transitions = storage.get(torch.tensor([[0, 2, 3]]))
    subtask = torch.tensor([1])
    assert relabel(relay, transitions, subtask)["next", "reward"].item() == 0.0
    transitions["hindsight_goals"] = transitions["hindsight_goals"] + 1.0
    assert relabel(relay, transitions, subtask)["next", "reward"].item() == -1.0


def test_the_ring_overwrites_the_oldest_and_restores_only_what_is_filled():
    data = episodes(10, 1)
    storage = EpisodeStorage(4, data[0])
    storage.extend(data[:3])
    assert len(storage) == 3
    assert len(storage.state_dict()["episodes"]["action"]) == 3
    storage.extend(data[3:6])
    assert len(storage) == 4
    kept = {int(storage.episode(row)["action"][0, 0]) // LENGTH for row in range(4)}
    assert kept == {2, 3, 4, 5}
    restored = EpisodeStorage(4, data[0])
    restored.load_state_dict(storage.state_dict())
    storage.extend(data[6:7])
    restored.extend(data[6:7])
    for key, value in storage.state_dict()["episodes"].items():
        assert torch.equal(value, restored.state_dict()["episodes"][key])
