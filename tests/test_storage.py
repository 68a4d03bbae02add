"""The ring of episodes: what is overwritten, kept, saved and refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from rher_pl.envs.episodes import EPISODE_KEYS, empty_episode
from rher_pl.envs.point_push import PointPushEnv
from rher_pl.errors import ConfigError
from rher_pl.relay import Relay
from rher_pl.replay.storage import EpisodeStorage


def stored(storage: EpisodeStorage) -> list[int]:
    """Which episodes of the fixture are in the rows, first to last."""
    return [int(storage.episode(row)["action"][0, 0]) // 6 for row in range(len(storage))]


def test_the_ring_overwrites_the_oldest_and_restores_only_what_is_filled(make_episodes):
    data = make_episodes(10, lengths=[6, 2, 3])
    storage = EpisodeStorage(4, data[0])
    storage.extend(data[:3])
    assert len(storage) == 3 and storage.env_steps == 6 + 2 + 3
    assert {len(rows) for rows in storage.state_dict()["episodes"].values()} == {3}
    storage.extend(data[3:6])
    assert stored(storage) == [4, 5, 2, 3]
    restored = EpisodeStorage(4, data[0])
    restored.load_state_dict(storage.state_dict())
    storage.extend(data[6:7])
    restored.extend(data[6:7])
    assert stored(storage) == [4, 5, 6, 3]
    assert torch.equal(storage.motion, restored.motion)
    assert (storage.equal_lengths, restored.equal_lengths) == (False, False)
    for key, value in storage.state_dict()["episodes"].items():
        assert torch.equal(value.nan_to_num(), restored.state_dict()["episodes"][key].nan_to_num())


@pytest.mark.parametrize("filled", [0, 3, 4, 6])
@pytest.mark.parametrize("capacity", [1, 2, 4, 5, 9])
def test_another_capacity_keeps_the_newest_and_goes_on_from_there(make_episodes, filled, capacity):
    data = make_episodes(12)
    storage, other = EpisodeStorage(4, data[0]), EpisodeStorage(capacity, data[0])
    if filled:
        storage.extend(data[:filled])
    other.load_state_dict(storage.state_dict())
    kept = list(range(filled))[-4:][-capacity:]
    assert sorted(stored(other)) == kept
    for new in range(filled, 12):
        other.extend(data[new : new + 1])
        kept = [*kept, new][-capacity:]
        assert sorted(stored(other)) == kept


def test_more_episodes_than_there_is_room_for_leave_the_newest(make_episodes):
    data = make_episodes(10)
    storage = EpisodeStorage(3, data[0])
    storage.extend(data)
    assert sorted(stored(storage)) == [7, 8, 9]


def test_lengths_that_are_equal_again_are_noticed(make_episodes):
    equal, mixed = make_episodes(2), make_episodes(2, lengths=[6, 2])
    storage = EpisodeStorage(2, equal[0])
    for data, expected in ((equal, True), (mixed, False), (equal, True)):
        storage.extend(data)
        assert storage.equal_lengths is expected


def test_what_is_stored_is_float32_and_has_no_other_keys(make_episodes):
    data = make_episodes(3).double()
    data["length"] = data["length"].long()
    data["actor"] = torch.zeros(3, 6, 1)
    storage = EpisodeStorage(3, data[0])
    storage.extend(data)
    rows = storage.state_dict()["episodes"]
    assert set(rows) == set(EPISODE_KEYS)
    assert {rows[key].dtype for key in EPISODE_KEYS[:4]} == {torch.float32}


def test_a_falling_object_does_not_outweigh_all(make_episodes):
    data = make_episodes(2)
    data["achieved_goals"][0, 3:, 1] += 9.0  # one step of nine metres
    storage = EpisodeStorage(2, data[0], Relay(("push",), 0.05))
    storage.extend(data)
    assert storage.motion[0] <= 6 * 0.05


def test_motion_is_that_of_the_objects_not_of_the_gripper(make_episodes):
    data = make_episodes(1)
    data["achieved_goals"][:] = 0.0
    data["achieved_goals"][0, 3:, 0] = 0.01  # the first point moves once
    for reach, expected in ((True, 0.0), (False, 0.01 * 3**0.5)):
        objects = ("push",) if reach else ("a", "b")
        storage = EpisodeStorage(1, data[0], Relay(objects, 0.05, reach=reach))
        storage.extend(data)
        assert storage.motion[0].item() == pytest.approx(expected)


def test_whose_turn_it_is_follows_the_ring_and_a_restored_one(make_episodes):
    relay = Relay(("first", "second"))
    data = make_episodes(6, num_objects=2, lengths=[6, 2, 3])
    data["desired_goals"][::2, 0] = 9.0  # of every other episode the first object is never home
    data["desired_goals"][1::2, 0] = data["achieved_goals"][1::2, 0, 1]
    data["achieved_goals"][1::2, 1:, 1] = data["achieved_goals"][1::2, :1, 1]
    storage = EpisodeStorage(4, data[0], relay)
    storage.extend(data[:3])
    assert sorted(set(storage.states_of_turn(1)[:, 0].tolist())) == [1]
    storage.extend(data[3:])  # rows hold episodes 4, 5, 2, 3
    first, second = (storage.states_of_turn(index) for index in (0, 1))
    assert sorted(set(first[:, 0].tolist())) == [0, 2]
    assert second.tolist() == [[row, t] for row in (1, 3) for t in range(storage.lengths[row])]
    restored = EpisodeStorage(4, data[0], relay)
    restored.load_state_dict(storage.state_dict())
    for index, states in enumerate((first, second)):
        assert torch.equal(restored.states_of_turn(index), states)


def _spoil(state: dict[str, Any], what: str) -> None:
    rows = state["episodes"]
    if what == "no rows":
        state["episodes"] = None
    elif what == "key":
        del rows["length"]
    elif what == "shape":
        rows["action"] = rows["action"][:, :-1]
    elif what == "count":
        rows["ending"] = rows["ending"][:-1]
    elif what == "type":
        rows["observation"] = [1.0]
    elif what == "length":
        rows["length"][1] = 7
    else:
        state["cursor"] = 99


@pytest.mark.parametrize(
    ("what", "hint"),
    [
        ("no rows", "holds no episodes"),
        ("key", "lacks length"),
        ("shape", r"action of shape \(3, 5, 1\), this task needs \(3, 6, 1\)"),
        ("count", "ending of shape"),
        ("type", "lacks observation"),
        ("length", "impossible length"),
        ("cursor", "row 99 of 3"),
    ],
)
def test_a_replay_that_does_not_fit_is_refused_in_one_line(make_episodes, what, hint):
    data = make_episodes(3)
    storage = EpisodeStorage(4, data[0])
    storage.extend(data)
    state = storage.state_dict()
    _spoil(state, what)
    with pytest.raises(ConfigError, match=hint) as raised:
        EpisodeStorage(4, data[0]).load_state_dict(state)
    assert "\n" not in str(raised.value)


def test_an_empty_episode_has_the_shapes_of_its_environment():
    shapes = {key: tuple(value.shape) for key, value in empty_episode(PointPushEnv(3)).items()}
    assert shapes == {
        "observation": (26, 6),
        "achieved_goals": (26, 2, 3),
        "desired_goals": (1, 3),
        "action": (25, 2),
        "length": (1,),
        "ending": (1,),
    }
