"""Who has how many of PyTorch's threads, and when."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from trained import quiet_trainer

from rher_pl.collect.threads import one_torch_thread
from rher_pl.envs.point_push import PointPushEnv
from rher_pl.learner.td3 import TD3
from rher_pl.training.datamodule import RelayDataModule
from rher_pl.training.module import RHERModule


@pytest.fixture(autouse=True)
def three_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def test_one_thread_and_then_as_many_as_before_whatever_happens() -> None:
    with one_torch_thread():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 3
    with pytest.raises(KeyError), one_torch_thread():
        raise KeyError
    assert torch.get_num_threads() == 3


@pytest.mark.parametrize(("pipelined", "of_updates"), [(False, 3), (True, 2)])
def test_states_are_stepped_without_helpers_and_pipelined_updates_leave_a_core(
    monkeypatch: pytest.MonkeyPatch, pipelined: bool, of_updates: int
) -> None:
    seen: dict[str, set[int]] = {"step": set(), "update": set()}

    def watch(owner: Any, method: str, name: str) -> None:
        inner = getattr(owner, method)

        def watched(*arguments: Any, **options: Any) -> Any:
            seen[name].add(torch.get_num_threads())
            return inner(*arguments, **options)

        monkeypatch.setattr(owner, method, watched)

    watch(PointPushEnv, "_step", "step")  # while collecting as well as in evaluations
    watch(TD3, "update", "update")
    data = RelayDataModule(
        "PointPush-v0",
        num_envs=2,
        random_episodes=2,
        updates_per_episode=2,
        batch_size=8,
        eval_every_env_steps=120,
        eval_episodes=2,
        pipelined=pipelined,
    )
    trainer = quiet_trainer(
        max_epochs=1,
    )
    trainer.fit(RHERModule("PointPush-v0", hidden_size=16, engine="eager"), data)
    assert seen == {"step": {1}, "update": {of_updates}}
    assert torch.get_num_threads() == 3, "as before the run"
