"""One line that says how a run is doing."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.trainer.states import TrainerFn
from rich.console import Console
from rich.live import Live
from rich.text import Text

from rher_pl.training.module import RHERModule


class ProgressLine(pl.Callback):
    """A line that is rewritten in place; if the output is no terminal, one line per evaluation.

    Args:
        console: where to write; standard output by default.
    """

    def __init__(self, console: Console | None = None) -> None:
        # Without a terminal nothing is wrapped: one line stays one line in a log file.
        self.console = console or Console(soft_wrap=True)
        self._live: Live | None = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.console.is_terminal:
            self._live = Live(console=self.console, refresh_per_second=4, transient=True)
            self._live.start()

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        if self._live is not None:
            assert isinstance(pl_module, RHERModule)
            line = Text(progress_text(trainer, pl_module), no_wrap=True, overflow="ellipsis")
            self._live.update(line)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        fitting = trainer.state.fn == TrainerFn.FITTING and not trainer.sanity_checking
        if self._live is None and fitting:
            assert isinstance(pl_module, RHERModule)
            print(progress_text(trainer, pl_module), file=self.console.file, flush=True)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._stop()

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        self._stop()

    def _stop(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None


def progress_text(trainer: pl.Trainer, module: RHERModule) -> str:
    """Env steps, updates, success, INNR share, rates and time left, in one line."""
    metrics = {name: float(value) for name, value in module.metrics.items()}
    last = module.relay.names[-1]
    total = total_env_steps(trainer, module)
    success = module.metrics_eval.get("eval/success_not_solved_at_reset")
    innr = metrics.get(f"relay/innr_share/{last}")
    parts = [
        f"{module.env_steps:,}/{total:,} env steps" if total else f"{module.env_steps:,} env steps",
        f"{module.updates:,} updates",
        f"success {'-' if success is None else f'{float(success):.2f}'}",
        f"INNR {last} {'-' if innr is None else f'{innr:.2f}'}",
        f"{metrics.get('perf/env_steps_per_second', 0.0):.0f} env steps/s",
        f"{metrics.get('perf/updates_per_second', 0.0):.0f} updates/s",
        f"{time_left(module.env_steps, total, metrics.get('perf/seconds', 0.0))} left",
    ]
    return " | ".join(parts)


def total_env_steps(trainer: pl.Trainer, module: RHERModule) -> int | None:
    """Env steps of the whole run, or None if only a time or an update limit bounds it."""
    if not trainer.max_epochs or trainer.max_epochs < 0 or not module.episodes:
        return None
    done = trainer.fit_loop.epoch_loop.batch_progress.current.ready
    left = (trainer.max_epochs - trainer.current_epoch) * trainer.num_training_batches - done
    # By episodes, as a continued run may have had another number of environments before.
    envs = trainer.datamodule.hparams["num_envs"]  # type: ignore[attr-defined]
    return round(module.env_steps + left * envs * module.env_steps / module.episodes)


def time_left(env_steps: int, total: int | None, seconds: float) -> str:
    """``h:mm:ss`` at the run's mean speed so far, evaluations included; ``?`` if unknown."""
    if not total or not env_steps or not seconds:
        return "?"
    left = round(seconds / env_steps * max(total - env_steps, 0))
    return f"{left // 3600}:{left // 60 % 60:02d}:{left % 60:02d}"
