"""The table at the end of a run or of an evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import lightning.pytorch as pl
from rich.console import Console
from tensordict import TensorDict

from rher_pl.callbacks.checkpoint import Checkpoints
from rher_pl.callbacks.recording import RunRecorder
from rher_pl.callbacks.throughput import Throughput
from rher_pl.callbacks.until import UntilSolved
from rher_pl.evaluation.report import report, report_table
from rher_pl.tracking.mlflow_run import MLflowRun
from rher_pl.tracking.ui import TRAINING_PAGES, open_command
from rher_pl.tracking.uri import without_password
from rher_pl.training.module import RHERModule

DEFAULT_SERVER = "http://127.0.0.1:5000"


class Summary(pl.Callback):
    """Prints success with its interval, what it cost, and where everything is.

    Args:
        console: where to write; standard output by default.
    """

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console()

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, RHERModule)
        self._print_success(pl_module, fresh_episodes(trainer))
        for name, value in run_facts(trainer, pl_module):
            self.console.print(f"{name:<11} {value}", soft_wrap=True, highlight=False, markup=False)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.state.fn == "validate":
            self._print_success(pl_module)

    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._print_success(pl_module)

    def _print_success(
        self, module: pl.LightningModule, fresh: Mapping[str, TensorDict] | None = None
    ) -> None:
        """Print the table of the fresh episodes if there are any, else of the latest evaluation."""
        assert isinstance(module, RHERModule)
        if shown := fresh or module.evaluations:  # else stopped before the first one
            *_, task = shown.values()
            kind = "fresh" if fresh else "evaluation"
            title = f"{module.task.name}: success on {len(task)} {kind} episodes"
            self.console.print(report_table(report(shown), title))


def fresh_episodes(trainer: pl.Trainer) -> Mapping[str, TensorDict]:
    """Fresh episodes played at the end of a run, by subtask; empty if there are none."""
    callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]
    until = [callback for callback in callbacks if isinstance(callback, UntilSolved)]
    return until[0].fresh if until else {}


def run_facts(trainer: pl.Trainer, module: RHERModule) -> list[tuple[str, str]]:
    """What a finished run cost and where it is, as (name, value)."""
    facts = [("env steps", f"{module.env_steps:,}"), ("updates", f"{module.updates:,}")]
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if isinstance(callback, Throughput):
            seconds = round(callback.seconds)
            facts.append(("wall-clock", f"{seconds // 60} min {seconds % 60} s"))
        elif isinstance(callback, UntilSolved) and callback.solved:
            facts.append(("ended early", f"success is at least {callback.success:g}"))
        elif isinstance(callback, Checkpoints):
            kept = [("best state", callback.best), ("last state", callback.last)]
            facts += [(name, _short(path)) for name, path in kept if path.is_file()]
        elif isinstance(callback, RunRecorder) and callback.run_id:
            facts.append(("run", callback.run_id))
            facts.append(("open it", without_password(open_command(callback.tracking_uri))))
            if callback.run is not None:
                facts.append(("its page", page(callback.tracking_uri, callback.run)))
    return facts


def page(tracking_uri: str, run: MLflowRun) -> str:
    """Address of a run's page on the server that :func:`open_command` starts."""
    server = tracking_uri.rstrip("/") if tracking_uri.startswith("http") else DEFAULT_SERVER
    return f"{server}/#/experiments/{run.experiment_id}/runs/{run.run_id}?{TRAINING_PAGES}"


def _short(path: Path) -> str:
    """The path relative to the working folder, if it lies below it."""
    full = path.resolve()
    return str(full.relative_to(Path.cwd()) if full.is_relative_to(Path.cwd()) else path)
