"""One MLflow run for each training run: parameters, metrics, pictures, checkpoints, versions."""

from __future__ import annotations

import os
import signal
import traceback
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.cli import SaveConfigCallback
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor

from rher_pl.checkpoints.continuing import Change, on_continuing
from rher_pl.errors import ConfigError, Stopped, require
from rher_pl.pictures.figures import draw_figures
from rher_pl.tracking import provenance
from rher_pl.tracking.client import ENDED_BY, end_run_within
from rher_pl.tracking.existing import experiment_of
from rher_pl.tracking.experiment import begin_run, default_run_name, parameters, run_tags
from rher_pl.tracking.history import History
from rher_pl.tracking.mlflow_run import MLflowRun
from rher_pl.tracking.run_lock import RUNNING, UNSENT, RunLock, lock_run, mark_abandoned_runs
from rher_pl.tracking.store import store_of
from rher_pl.tracking.uri import without_password
from rher_pl.training.module import RHERModule


class RunRecorder(pl.Callback):
    """Records a run in MLflow; metrics are logged against ``env_steps``.

    The run begins only after the data module is set up, so a mistake in the config leaves none.

    Args:
        folder: output folder; holds the default store, its artifacts and the checkpoints.
        tracking_uri: MLflow store, by default ``MLFLOW_TRACKING_URI``, where that is set, else
            ``sqlite:///<folder>/mlflow.db``.
        experiment: MLflow experiment, by default ``MLFLOW_EXPERIMENT_NAME``, or the one of
            ``MLFLOW_EXPERIMENT_ID``, else the task.
        run_name: by default last subtask, algorithm, seed and time: ``push-td3-seed0-0131-0930``.
        run_id: id of an existing run to record to, by default ``MLFLOW_RUN_ID``, or the
            checkpoint's when continuing. The run must have the same options. It must not have
            metrics yet, unless it is the run of the checkpoint that is continued.
        figures_every_evaluations: evaluations between two drawings of the pictures; they are
            always drawn at the end.
    """

    def __init__(
        self,
        folder: str = "mlruns",
        tracking_uri: str | None = None,
        experiment: str | None = None,
        run_name: str | None = None,
        run_id: str | None = None,
        figures_every_evaluations: int = 20,
    ) -> None:
        every = figures_every_evaluations
        require(every >= 1, f"recorder.figures_every_evaluations must be at least 1, got {every}")
        self.folder = folder
        self.tracking_uri = store_of(folder, tracking_uri)
        self.experiment = experiment
        self.run_name = run_name
        self.run_id = run_id or os.environ.get("MLFLOW_RUN_ID")
        self.figures_every_evaluations = figures_every_evaluations
        self.history = History()
        self.run: MLflowRun | None = None
        self.lock: RunLock | None = None
        self.continued_from: str | None = None
        """Id of the run whose checkpoint this one continues with other options."""
        self.fresh = False
        """Whether training begins anew, so that the run ``run_id`` must have no metrics yet."""
        self.over: str | None = None
        """What to change to train on, if the checkpoint that is continued has nothing left."""

    @property
    def checkpoint_folder(self) -> str:
        """Folder of this run's checkpoints."""
        return str(Path(self.folder) / "checkpoints" / (self.run_id or "unrecorded"))

    # --- the run begins ------------------------------------------------------------------------

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        if stage != "fit" or self.run is not None:
            return
        assert isinstance(pl_module, RHERModule)
        checkpoints = Path(self.checkpoint_folder).parent
        if self.run_id is not None:
            self.lock = lock_run(checkpoints, self.run_id)
        try:
            self.run = self._begin(trainer, pl_module)
        except ConfigError:
            if self.lock is not None:
                self.lock.withdraw()
                self.lock = None
            raise
        if self.lock is None or self.run_id != self.run.run_id:
            if self.run_id is not None:  # it is a run of another store
                self.run.set_tags({"continued_from": self.run_id})
            self.run_id = self.run.run_id
            self.lock = lock_run(checkpoints, self.run_id)
        self.lock.write(RUNNING)
        self.run.log_dict(provenance.versions(), "versions.json")
        mark_abandoned_runs(self.run.client, checkpoints)

    def _begin(self, trainer: pl.Trainer, module: RHERModule) -> MLflowRun:
        data, task = trainer.datamodule.hparams, module.task.name  # type: ignore[attr-defined]
        algorithm, seed = str(module.hparams["algorithm"]), data["seed"]
        tags = run_tags(task, algorithm, seed)
        if self.continued_from:
            tags["continued_from"] = self.continued_from
        options = {"max_epochs": trainer.max_epochs, "precision": trainer.precision}
        params = parameters(model=module.hparams, data=data, trainer=options)
        # MLflow's parameters cannot be changed: options that may change in a run are tags.
        lasting = {k: v for k, v in params.items() if on_continuing(k) != Change.same_run}
        tags |= {k: v for k, v in params.items() if k not in lasting}
        return begin_run(
            self.tracking_uri,
            artifacts=Path(self.folder) / "artifacts",
            experiment=experiment_of(self.tracking_uri, self.experiment, task),
            name=self.run_name or default_run_name(module.relay.names[-1], algorithm, seed),
            run_id=self.run_id,
            tags=tags,
            params=lasting,
            fresh=self.fresh,
            over=self.over,
        )

    def state_dict(self) -> dict[str, Any]:
        pending = [] if self.run is None else self.run.queue.pending()
        return {"run_id": self.run_id, "pending": pending, **self.history.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.history.load_state_dict(state_dict)
        # Metrics that were not sent yet belong to the run that wrote the checkpoint.
        if self.run is not None and self.run.run_id == state_dict["run_id"]:
            for point in state_dict["pending"]:
                self.run.log_point(point)

    # --- while it goes on ----------------------------------------------------------------------

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        assert isinstance(pl_module, RHERModule)
        self.history.add_iteration(self.record(pl_module.metrics, pl_module.env_steps))

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.run is None or trainer.state.fn != TrainerFn.FITTING or trainer.sanity_checking:
            return
        assert isinstance(pl_module, RHERModule)
        metrics = self.record(pl_module.metrics_eval, pl_module.env_steps)
        self.history.add_evaluation(pl_module.env_steps, metrics)
        if len(self.history.rows) % self.figures_every_evaluations == 0:
            self._draw(pl_module)

    def record(self, metrics: Mapping[str, Tensor | float], env_steps: int) -> dict[str, float]:
        """Log metrics to the run; the module itself gives them to other loggers."""
        values = {name: float(value) for name, value in metrics.items()}
        assert self.run is not None
        self.run.log_metrics(values, env_steps)
        return values

    def _draw(self, module: RHERModule) -> None:
        assert self.run is not None
        for name, figure in draw_figures(self.history.rows, module.task.name).items():
            self.run.log_figure(figure, f"figures/{name}")

    # --- the run ends --------------------------------------------------------------------------

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, RHERModule)
        self._end(pl_module, "FINISHED")

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        assert isinstance(pl_module, RHERModule)
        stopped = isinstance(exception, (KeyboardInterrupt, Stopped))
        if self.run is not None and not stopped:
            lines = traceback.format_exception(exception)
            with suppress(OSError):  # the disk may be full; the run must be ended all the same
                Path(self.checkpoint_folder, "traceback.txt").write_text("".join(lines))
        self._end(pl_module, "KILLED" if stopped else "FAILED", {ENDED_BY: cause(exception)})

    def _end(self, module: RHERModule, status: str, tags: Mapping[str, str] | None = None) -> None:
        if self.run is None or self.lock is None:
            return
        try:
            if self.history.rows:
                self._draw(module)
            for name in ("best.ckpt", "last.ckpt"):
                if (path := Path(self.checkpoint_folder) / name).is_file():
                    self.run.log_file(path, "checkpoints")
        finally:
            taken = self.run.end(status, tags or {})
            self.lock.write("" if taken else UNSENT if status == "FINISHED" else status)
            self.lock.close()
            self.lock = None

    def mark_killed(self, ended_by: str) -> None:
        """Set the run's status to KILLED within a second, before this process ends.

        Safe in any thread.
        """
        if self.run is not None and self.lock is not None:
            end_run_within(1.0, self.run.client, self.run.run_id, ended_by)


def cause(exception: BaseException) -> str:
    """What ended a run: the name of the signal or of the exception's type."""
    if isinstance(exception, Stopped):
        return signal.Signals(exception.number).name
    return type(exception).__name__


def find_recorder(trainer: pl.Trainer) -> RunRecorder | None:
    """The recorder among the trainer's callbacks, if there is one."""
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if isinstance(callback, RunRecorder):
            return callback
    return None


def find_run(trainer: pl.Trainer) -> MLflowRun | None:
    """The run that is being recorded, if one is."""
    recorder = find_recorder(trainer)
    return None if recorder is None else recorder.run


class RecordConfig(SaveConfigCallback):
    """Puts the full resolved config beside the run, as ``config.yaml``."""

    def save_config(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        if run := find_run(trainer):
            run.log_text(without_password(self.parser.dump(self.config)), "config.yaml")
