"""Which state is kept as the best, and that no crash and no full disk leaves a worse one."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from trained import quiet_trainer

from rher_pl.callbacks import checkpoint
from rher_pl.callbacks.checkpoint import MONITOR, Checkpoints
from rher_pl.callbacks.until import UntilSolved
from rher_pl.checkpoints.info import read_info
from rher_pl.checkpoints.trainer_io import SealedCheckpointIO
from rher_pl.training.datamodule import RelayDataModule
from rher_pl.training.module import RHERModule

FOLDER = Path("mlruns/checkpoints/unrecorded")


class Scored(RHERModule):
    """Evaluations whose success is given."""

    scores: list[float]

    def validation_step(self, *arguments: Any) -> None:
        super().validation_step(*arguments)
        score = torch.tensor(self.scores.pop(0))
        self.metrics_eval |= {"eval/success": score, MONITOR: score}


def fit(scores: list[float], *callbacks: pl.Callback, ckpt_path: Path | None = None) -> None:
    """A training of three epochs of 100 env steps."""
    module = Scored("PointPush-v0", hidden_size=8, hidden_layers=1, engine="eager")
    module.scores = scores
    data = RelayDataModule(
        "PointPush-v0", num_envs=2, batch_size=4, updates_per_episode=1, random_episodes=2,
        eval_every_env_steps=100, eval_episodes=2,
    )  # fmt: skip
    trainer = quiet_trainer(
        max_epochs=3,
        num_sanity_val_steps=0,
        enable_checkpointing=True,
        callbacks=[*callbacks, Checkpoints()],
        plugins=[SealedCheckpointIO()],
    )
    trainer.fit(module, data, ckpt_path=ckpt_path, weights_only=True)


def kept() -> list[int]:
    """Env steps of the best state and of the last."""
    return [read_info(str(FOLDER / f"{name}.ckpt")).entry.env_steps for name in ("best", "last")]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def fails(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Let the second state that is the best fail to become the last with an error."""

    def arrange(error: Exception) -> None:
        original, names = checkpoint.link_checkpoint, []

        def link(path: Path, name: str) -> None:
            names.append(name)
            if name == "last.ckpt" and names.count(name) == 2:
                raise error
            original(path, name)

        monkeypatch.setattr(checkpoint, "link_checkpoint", link)

    return arrange


@pytest.mark.parametrize(
    ("scores", "best"), [([0.5, 0.9, 0.7], 200), ([0.5, 0.9, 0.9], 300), ([0.0, 0.0, 0.0], 300)]
)
def test_the_best_is_the_latest_of_the_highest_success(scores: list[float], best: int) -> None:
    fit(scores)
    assert kept() == [best, 300]


def test_the_state_that_ends_a_run_is_its_best() -> None:
    fit([1.0, 0.8], UntilSolved(success=0.9, evaluations=2, episodes=0))
    assert kept() == [200, 200]


def test_a_crash_before_the_last_is_written_repeats_the_epoch(fails: Any) -> None:
    fails(RuntimeError("crash"))
    with pytest.raises(RuntimeError, match="crash"):
        fit([0.5, 0.9])
    assert kept() == [200, 100]
    fit([0.9, 0.7], ckpt_path=FOLDER / "last.ckpt")
    assert kept() == [200, 300]


def test_after_such_a_crash_the_best_is_continued_and_becomes_the_last(fails: Any) -> None:
    fails(RuntimeError("crash"))
    with pytest.raises(RuntimeError, match="crash"):
        fit([0.5, 0.9])
    with pytest.raises(IndexError):  # no third evaluation
        fit([], ckpt_path=FOLDER / "best.ckpt")
    assert kept() == [200, 200]


def test_what_cannot_become_the_last_is_still_the_best(fails: Any) -> None:
    fails(OSError(errno.ENOSPC, "No space left on device"))
    fit([0.5, 0.9, 0.7])
    assert kept() == [200, 300]
