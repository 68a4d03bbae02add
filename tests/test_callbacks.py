"""Callbacks that need no command line: what they call, and what they say."""

from __future__ import annotations

import io
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from lightning.pytorch.trainer.states import TrainerFn
from rich.console import Console
from trained import quiet_trainer

from rher_pl.callbacks import warm_up
from rher_pl.callbacks.progress import time_left
from rher_pl.callbacks.recording import RunRecorder
from rher_pl.callbacks.warm_up import WarmUp
from rher_pl.training.datamodule import RelayDataModule
from rher_pl.training.module import RHERModule


class Watched(RHERModule):
    """Notes in which order it is called."""

    calls: list[Any]

    def warm_up(self, batch_sizes: Sequence[int]) -> None:
        super().warm_up(batch_sizes)
        self.calls.append(("warm_up", list(batch_sizes)))

    def training_step(self, *arguments: Any) -> None:
        super().training_step(*arguments)
        self.calls.append(("training_step", None))


def train(worth_a_line: float, monkeypatch: pytest.MonkeyPatch) -> tuple[list[Any], str]:
    """The calls of a fit of two iterations with :class:`WarmUp`, and what that printed."""
    monkeypatch.setattr(warm_up, "WORTH_A_LINE", worth_a_line)
    out = io.StringIO()
    module = Watched("PointPush-v0", hidden_size=16, hidden_layers=1)
    module.calls = []
    data = RelayDataModule(
        "PointPush-v0", num_envs=2, batch_size=16, updates_per_episode=1, random_episodes=2,
        eval_every_env_steps=100, eval_episodes=2,
    )  # fmt: skip
    quiet_trainer(max_epochs=1, callbacks=[WarmUp(Console(file=out))]).fit(module, data)
    assert ("warm_up", list(data.batch_sizes)) in module.calls
    return module.calls, out.getvalue()


def test_the_update_is_built_once_before_training(monkeypatch: pytest.MonkeyPatch) -> None:
    calls, said = train(float("inf"), monkeypatch)
    assert [call[0] for call in calls[:2]] == ["warm_up", "training_step"] and len(calls) == 3
    assert said == ""


def test_waiting_is_explained_where_it_is_long(monkeypatch: pytest.MonkeyPatch) -> None:
    _, said = train(0.0, monkeypatch)
    assert said.startswith("update compiled in ") and said.count("\n") == 1


@pytest.mark.parametrize(
    ("env_steps", "total", "seconds", "expected"),
    [
        (100, 200, 60.0, "0:01:00"),
        (100, 7300, 100.0, "2:00:00"),
        (300, 200, 60.0, "0:00:00"),
        (0, 200, 1.0, "?"),
        (100, None, 60.0, "?"),
    ],
)
def test_time_left_is_at_the_speed_so_far(
    env_steps: int, total: int | None, seconds: float, expected: str
) -> None:
    assert time_left(env_steps, total, seconds) == expected


def test_pictures_are_drawn_at_every_so_many_evaluations(monkeypatch: pytest.MonkeyPatch) -> None:
    recorder, drawn = RunRecorder(figures_every_evaluations=3), []
    recorder.run = SimpleNamespace()  # type: ignore[assignment]
    monkeypatch.setattr(recorder, "record", lambda metrics, env_steps: {})
    monkeypatch.setattr(recorder, "_draw", lambda module: drawn.append(len(recorder.history.rows)))
    trainer = SimpleNamespace(state=SimpleNamespace(fn=TrainerFn.FITTING), sanity_checking=False)
    module = RHERModule("PointPush-v0", hidden_size=8)
    for _ in range(7):
        recorder.on_validation_end(trainer, module)  # type: ignore[arg-type]
    assert drawn == [3, 6]
