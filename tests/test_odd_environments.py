"""Environments unlike the shipped ones train all the same: columns come from the layout."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest
import torch
from torch import Tensor
from trained import train

from rher_pl.envs.point_push import PointPushEnv
from rher_pl.errors import TrainingError
from rher_pl.relay import Layout, Relay
from rher_pl.tasks import Task, register_task, registry
from rher_pl.training.module import RHERModule

LABELS = ("gripper x", "gripper y", "object 0 x", "object 0 y", "object 0", "object 0")
RELAY = Relay(("push",), epsilon=0.07)


class SignEnv(PointPushEnv):
    """A sign, drawn for each episode, comes first in the observation and multiplies the actions.

    Whoever takes the first six numbers for positions cannot see it.
    """

    def __init__(self, num_envs: int, seed: int) -> None:
        super().__init__(num_envs, seed)
        self._make_specs(observation=7, points=2, desired=1, action=2)

    def _start(self, seeds: Mapping[int, int | None]) -> None:
        super()._start(seeds)
        self._sign = torch.where(self._state[:, 2, :1] > 0.0, 1.0, -1.0)  # random as the goal

    def _advance(self, action: Tensor) -> Tensor:
        return super()._advance(self._sign * action)

    def _observe(self) -> dict[str, Tensor]:
        seen = super()._observe()
        return seen | {"observation": torch.cat([self._sign, seen["observation"]], dim=-1)}


class DoubleEnv(PointPushEnv):
    """The same numbers as float64."""

    def __init__(self, num_envs: int, seed: int) -> None:
        super().__init__(num_envs, seed)
        self._make_specs(observation=6, points=2, desired=1, action=2, dtype=torch.float64)

    def _observe(self) -> dict[str, Tensor]:
        return {key: value.double() for key, value in super()._observe().items()}


@pytest.fixture(autouse=True)
def odd_tasks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(registry, "_TASKS", dict(registry._TASKS))
    for name, kind, labels in (
        ("Sign-v0", SignEnv, ("-", *LABELS)),
        ("Blind-v0", SignEnv, ("gripper x", *LABELS)),
        ("Double-v0", DoubleEnv, LABELS),
    ):
        make = lambda count, seed, threads=1, kind=kind: kind(count, seed)  # noqa: E731
        register_task(Task(name, RELAY, Layout(labels), make, 2))
    yield


def success(module: RHERModule) -> float:
    return module.metrics_eval["eval/success_not_solved_at_reset"].item()


def test_a_number_in_front_of_the_positions_is_seen():
    """Control: where the layout calls it a position on the table, it is left out."""
    seeing = success(train(epochs=4, task="Sign-v0"))
    blind = success(train(epochs=4, task="Blind-v0"))
    assert seeing >= 0.3
    assert blind < 0.7 * seeing  # seeds 0 and 1: 0.44 and 0.37 against 0.21 and 0.13


def equal(left: RHERModule, right: RHERModule) -> bool:
    pairs = zip(left.state_dict().values(), right.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_float64_is_learned_from_as_float32_is():
    small = {"epochs": 1, "updates_per_episode": 4, "batch_size": 32, "eval_episodes": 20}
    assert equal(train(task="Double-v0", **small), train(**small))


class WholeEnv(PointPushEnv):
    """Gives whole numbers from its tenth step on, as an environment with a fault may."""

    def _observe(self) -> dict[str, Tensor]:
        seen = super()._observe()
        late = int(self._elapsed.max()) >= 9
        return seen | {"observation": seen["observation"].long()} if late else seen


def test_whole_numbers_in_the_middle_of_an_evaluation_are_refused():
    """Put together with the states before them they would be floats, cut to whole metres."""
    module = RHERModule("PointPush-v0", hidden_size=8, hidden_layers=1)
    with pytest.raises(TrainingError, match=r"observation of shape .* torch\.int64"):
        module.evaluate(WholeEnv(2, 0), range(2))
