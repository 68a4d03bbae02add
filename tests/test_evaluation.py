"""What an evaluation says of hand-made episodes."""

from __future__ import annotations

import pytest
import torch
from tensordict import TensorDict

from rher_pl.evaluation import _summarise, objects_moved
from rher_pl.statistics import evaluation_statistics

GAMMA = 0.5


def summary(*rows: list[int]) -> TensorDict:
    """Of episodes given as solved or not at each of their states; nothing moves."""
    solved = torch.tensor(rows, dtype=torch.bool)
    achieved = torch.zeros(len(rows), solved.shape[1], 2, 3)
    return _summarise(solved, achieved, torch.zeros(len(rows)), GAMMA, contact=0.01)


def test_success_is_that_of_the_final_state():
    result = summary([0, 1, 1, 0], [0, 0, 0, 1], [1, 1, 1, 1])
    assert result["success"].tolist() == [False, True, True]
    assert result["solved_at_reset"].tolist() == [False, False, True]


def test_steps_to_success_is_the_first_step_from_which_it_stays_solved():
    result = summary([0, 1, 0, 1], [0, 0, 0, 0], [1, 1, 1, 1])
    assert result["steps_to_success"].tolist() == [3, -1, 0]


def test_monte_carlo_return_continues_the_last_reward_for_ever():
    result = summary([0, 0, 1, 1], [0, 0, 0, 0], [0, 1, 1, 0])
    never = -1 / (1 - GAMMA)
    last_lost = -(GAMMA**2) / (1 - GAMMA)
    assert result["monte_carlo_return"].tolist() == pytest.approx([-1.0, never, last_lost])


def test_an_object_counts_as_moved_beyond_the_distance_at_any_time():
    achieved = torch.zeros(3, 4, 2, 3)
    achieved[0, 2, 1, 0] = 0.02  # there and back
    achieved[1, 2, 1, 0] = 0.005
    achieved[2, :, 0, 0] = torch.arange(4.0)  # only the gripper
    assert objects_moved(achieved, 0.01).tolist() == [True, False, False]


def test_episodes_solved_at_reset_do_not_flatter_the_figure():
    metrics = evaluation_statistics({"push": summary([1, 1], [1, 1], [0, 1], [0, 0])})
    assert metrics["eval/success"].item() == 0.75
    assert metrics["eval/success_not_solved_at_reset"].item() == 0.5
    assert metrics["eval/solved_at_reset"].item() == 0.5
