"""Training from Python: the command ``rher-pl fit`` as a function."""

from __future__ import annotations

import signal
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pandas as pd

from rher_pl.callbacks.checkpoint import Checkpoints
from rher_pl.callbacks.recording import RunRecorder
from rher_pl.cli.exit_status import SIGNAL
from rher_pl.cli.option_names import as_arguments
from rher_pl.cli.run_fit import run_cli
from rher_pl.cli.shipped_configs import with_shipped_configs
from rher_pl.deploy.from_module import policy_of
from rher_pl.deploy.trained import TrainedPolicy, load_policy
from rher_pl.errors import Stopped
from rher_pl.training.module import RHERModule


@dataclass(frozen=True, repr=False)
class Run:
    """A finished training.

    Args:
        run_id: id of its MLflow run, and name of its folder of checkpoints.
        module: the trained module, as it was at the end.
        checkpoint: file of the best state, else of the last one; None if neither was written.
        history: a row for each evaluation: ``env_steps``, the metrics of the evaluation, and the
            mean metrics of the training since the evaluation before.
    """

    run_id: str
    module: RHERModule
    checkpoint: Path | None
    history: pd.DataFrame

    @cached_property
    def policy(self) -> TrainedPolicy:
        """The policy in :attr:`checkpoint`, or, without one, that of :attr:`module`."""
        return policy_of(self.module) if self.checkpoint is None else load_policy(self.checkpoint)

    def __repr__(self) -> str:
        task, steps = self.module.task.name, self.module.env_steps
        best = (
            f"best success {self.history['eval/success'].max():.3f}, " if len(self.history) else ""
        )
        return f"Run({task}: {best}{steps:,} env steps, {self.run_id})"


def train(
    config: str | PathLike[str], options: Mapping[str, Any] | None = None, **more: Any
) -> Run:
    """Train, as ``rher-pl fit --config CONFIG`` does: same seed, same weights.

    Args:
        config: name of a config that comes with the package, such as ``"push"``, or path of a
            YAML file.
        options: values by dotted name, as on the command line, such as ``{"model.gamma": 0.98}``.
        more: values by bare name, such as ``gamma=0.98``. Options of the trainer may be objects,
            such as ``callbacks=[...]``, and ``learner`` may be a class.

    Raises:
        ConfigError: for a mistake in the options, before training begins.
        TrainingError: for a fault during training; the last good checkpoint stays.
        KeyboardInterrupt: on Ctrl-C, after the run was saved and recorded.
        SystemExit: on another signal, likewise; its code is 128 plus the signal's number.
    """
    given = [*(options or {}).items(), *more.items()]
    arguments, objects = as_arguments(given)
    arguments = with_shipped_configs(["fit", "--config", fspath(config), *arguments])
    with _own_warnings():
        try:
            cli = run_cli(arguments, objects)
        except Stopped as stopped:
            if stopped.number == signal.SIGINT:
                raise KeyboardInterrupt from stopped
            raise SystemExit(SIGNAL + stopped.number) from stopped
    return _finished(cli.model, cli.trainer)


def _finished(module: RHERModule, trainer: pl.Trainer) -> Run:
    callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]
    (recorder,) = (each for each in callbacks if isinstance(each, RunRecorder))
    (checkpoints,) = (each for each in callbacks if isinstance(each, Checkpoints))
    kept = [path for path in (checkpoints.best, checkpoints.last) if path.is_file()]
    assert recorder.run_id is not None
    history = pd.DataFrame(recorder.history.rows)
    return Run(recorder.run_id, module, kept[0].resolve() if kept else None, history)


@contextmanager
def _own_warnings() -> Iterator[None]:
    """Undo what the command changes about how warnings are filtered and shown."""
    shown = warnings.formatwarning
    with warnings.catch_warnings():
        try:
            yield
        finally:
            warnings.formatwarning = shown
