"""Ends a run once its task is solved, and evaluates it at its end on fresh seeds."""

from __future__ import annotations

from collections import deque
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.trainer.states import TrainerFn
from tensordict import TensorDict

from rher_pl.callbacks.recording import find_recorder
from rher_pl.errors import require
from rher_pl.training.module import RHERModule

FRESH_SEED = 4_000_000
"""Seed of the first fresh episode; training, evaluation and model cards use others."""
FRESH = "eval/success_fresh"


def reaches(success: float, level: float) -> bool:
    """Whether a share of episodes is at least ``level``; shares are in float32."""
    return success >= level - 1e-6


class UntilSolved(pl.Callback):
    """Stops a run once its success is high enough, and fresh episodes confirm it.

    The evaluated policy plays the fresh episodes, without noise. Their seeds are used neither for
    training nor to choose a checkpoint. Each time takes new seeds, except that a run which is
    continued after its end takes those of the end again. Fresh episodes are also played at the end
    of every run.

    Args:
        success: end the run once the mean of the last evaluations, and then the fresh episodes,
            reach this success rate, in (0, 1]; null: train until ``trainer.max_epochs``.
        evaluations: number of evaluations in that mean.
        episodes: number of fresh episodes; 0 plays none, and the evaluations alone decide.

    Raises:
        ConfigError: for an argument out of its range.
    """

    def __init__(
        self, success: float | None = None, evaluations: int = 3, episodes: int = 100
    ) -> None:
        require(
            success is None or 0 < success <= 1, f"until.success must be in (0, 1], got {success}"
        )
        require(evaluations >= 1, f"until.evaluations must be at least 1, got {evaluations}")
        require(
            0 <= episodes <= 1_000_000, f"until.episodes must be in [0, 1000000], got {episodes}"
        )
        self.success, self.evaluations, self.episodes = success, evaluations, episodes
        self.recent: deque[float] = deque(maxlen=evaluations)
        self.played = 0
        """Number of fresh episodes so far."""
        self.fresh: dict[str, TensorDict] = {}
        """Results of the latest fresh episodes, by subtask; the task itself last."""
        self.solved = False
        self.played_at = -1
        """Env steps at which they were played."""

    @property
    def rule(self) -> list[float | None]:
        """What decides: the level, and the numbers of evaluations and episodes."""
        return [self.success, self.evaluations, self.episodes]

    def state_dict(self) -> dict[str, Any]:
        state = {"recent": list(self.recent), "played": self.played, "played_at": self.played_at}
        return state | {"solved": self.solved, "rule": self.rule}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.recent = deque(state_dict["recent"], maxlen=self.evaluations)
        self.played = state_dict["played"]
        if state_dict.get("rule") == self.rule:  # else what was decided then does not count now
            self.solved, self.played_at = state_dict["solved"], state_dict["played_at"]

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        least = trainer.fit_loop.min_epochs or trainer.fit_loop.min_steps
        require(
            self.success is None or not least,
            "until.success ends a run: leave out trainer.min_epochs and trainer.min_steps",
        )

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        trainer.should_stop = trainer.should_stop or self.solved

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.state.fn != TrainerFn.FITTING or trainer.sanity_checking:
            return
        assert isinstance(pl_module, RHERModule)
        self.recent.append(float(pl_module.metrics_eval["eval/success"]))
        if self.success is None or len(self.recent) < self.evaluations:
            return
        if not reaches(sum(self.recent) / len(self.recent), self.success):
            return
        self.solved = not self.episodes or reaches(self._play(trainer, pl_module), self.success)
        trainer.should_stop = trainer.should_stop or self.solved

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, RHERModule)
        if not self.episodes or not pl_module.evaluations:
            return
        if self.played_at != pl_module.env_steps:
            self._play(trainer, pl_module)
        elif not self.fresh:  # the run was stopped after them
            self.fresh = self._latest(trainer, pl_module)

    def _latest(self, trainer: pl.Trainer, module: RHERModule) -> dict[str, TensorDict]:
        """Results of the fresh episodes that came last, by subtask."""
        end = FRESH_SEED + self.played
        env = trainer.datamodule.eval_env  # type: ignore[attr-defined]
        return module.evaluate(env, range(end - self.episodes, end))

    def _play(self, trainer: pl.Trainer, module: RHERModule) -> float:
        """Play fresh episodes, record their success, and return it."""
        self.played += self.episodes
        self.fresh = self._latest(trainer, module)
        self.played_at = module.env_steps
        *_, task = self.fresh.values()
        success = float(task["success"].float().mean())
        if (recorder := find_recorder(trainer)) and recorder.run:
            recorder.record({FRESH: success}, module.env_steps)
        module.send({FRESH: success})
        return success
