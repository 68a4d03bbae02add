"""One MLflow run for each training run: parameters, metrics, pictures, checkpoints, versions."""

from __future__ import annotations

import re
import signal
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lightning.pytorch as pl
from lightning.pytorch.cli import SaveConfigCallback
from lightning.pytorch.trainer.states import TrainerFn

from rher_pl.errors import Stopped, require
from rher_pl.pictures.figures import draw_figures
from rher_pl.tracking import provenance
from rher_pl.tracking.mlflow_run import MLflowRun, end_run
from rher_pl.tracking.run_lock import RUNNING, RunLock, abandoned_runs
from rher_pl.training.module import RHERModule

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

CLOCKS = ("perf/seconds", "perf/updates")
"""Metrics that only ever go up."""


class RunRecorder(pl.Callback):
    """Records a run in MLflow; metrics are logged against ``env_steps``.

    The run begins only after the data module is set up, so a mistake in the config leaves none.

    Args:
        folder: output folder; holds the default store, its artifacts and the checkpoints.
        tracking_uri: MLflow store, by default ``sqlite:///<folder>/mlflow.db``.
        experiment: MLflow experiment, by default the task.
        run_name: by default task, algorithm, seed and time: ``push-td3-seed0-0131-0930``.
        run_id: an existing run to continue; a checkpoint gives its own.
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
        figures_every_evaluations: int = 4,
    ) -> None:
        self.folder = folder
        self.tracking_uri = tracking_uri or f"sqlite:///{folder}/mlflow.db"
        self.experiment = experiment
        self.run_name = run_name
        self.run_id = run_id
        self.figures_every_evaluations = figures_every_evaluations
        self.history: list[dict[str, float]] = []
        self.run: MLflowRun | None = None
        self.lock: RunLock | None = None
        self.continued_from: str | None = None
        """Run whose checkpoint this one begins with, under other options."""
        self._since: list[dict[str, float]] = []

    @property
    def checkpoint_folder(self) -> str:
        """One for each run."""
        return str(Path(self.folder) / "checkpoints" / (self.run_id or "unrecorded"))

    # --- the run begins ------------------------------------------------------------------------

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        if stage != "fit" or self.run is not None:
            return
        assert isinstance(pl_module, RHERModule)
        task = pl_module.hparams["task"]
        data = trainer.datamodule.hparams  # type: ignore[attr-defined]
        seed = data["seed"]
        if self.run_id is not None:
            self._lock_run(self.run_id)
        versions, algorithm = provenance.versions(), str(pl_module.hparams["algorithm"])
        tags = {"task": task, "algorithm": algorithm, "seed": str(seed)}
        tags |= provenance.git_state() | provenance.hardware()
        if self.continued_from:
            tags["continued_from"] = self.continued_from
        self.run = MLflowRun.begin(
            self.tracking_uri,
            artifacts=Path(self.folder) / "artifacts",
            experiment=self.experiment or task,
            name=self.run_name or default_run_name(pl_module.relay.names[-1], algorithm, seed),
            run_id=self.run_id,
            tags=tags | {f"version.{key}": value for key, value in versions.items()},
            params=parameters(trainer, pl_module.hparams, data),
        )
        if self.run_id != self.run.run_id:
            self.run_id = self.run.run_id
            self._lock_run(self.run_id)
        assert self.lock is not None
        self.lock.write(RUNNING)
        self.run.log_dict(versions, "versions.json")
        mark_abandoned_runs(self.run.client, Path(self.checkpoint_folder).parent)

    def _lock_run(self, run_id: str) -> None:
        require(
            re.fullmatch(r"\w[\w-]*", run_id) is not None,
            f"recorder.run_id {run_id!r} is not the id of an MLflow run: copy it from the run",
        )
        self.lock = RunLock(Path(self.checkpoint_folder).with_name(run_id))
        require(
            self.lock.take(),
            f"run {run_id} is being trained by another process: wait for it or stop it, "
            "or leave out --ckpt_path to begin a run of its own",
        )

    def state_dict(self) -> dict[str, Any]:
        return {
            "run_id": self.run_id,
            "history": [dict(row) for row in self.history],
            "since": [dict(row) for row in self._since],
            "pending": [] if self.run is None else self.run.queue.pending(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.history = [dict(row) for row in state_dict["history"]]
        self._since = [dict(row) for row in state_dict["since"]]
        # What another run had yet to send is its own, not that of the one which continues it.
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
        assert isinstance(pl_module, RHERModule) and self.run is not None
        metrics = {name: float(value) for name, value in pl_module.metrics.items()}
        self._since.append(metrics)
        self._log(trainer, metrics, pl_module.env_steps)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.run is None or trainer.state.fn != TrainerFn.FITTING:
            return
        assert isinstance(pl_module, RHERModule)
        metrics = {name: float(value) for name, value in pl_module.metrics_eval.items()}
        self._log(trainer, metrics, pl_module.env_steps)
        self.history.append({"env_steps": pl_module.env_steps, **mean(self._since), **metrics})
        self._since = []
        if len(self.history) % self.figures_every_evaluations == 1:
            self._draw(pl_module)

    def _log(self, trainer: pl.Trainer, metrics: dict[str, float], env_steps: int) -> None:
        assert self.run is not None
        self.run.log_metrics(metrics, env_steps)
        for logger in trainer.loggers:  # any other logger that the user asked for
            logger.log_metrics(metrics, env_steps)

    def _draw(self, module: RHERModule) -> None:
        assert self.run is not None
        for name, figure in draw_figures(self.history, module.hparams["task"]).items():
            self.run.log_figure(figure, f"figures/{name}")

    # --- the run ends --------------------------------------------------------------------------

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._end(trainer, pl_module, "FINISHED")

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        stopped = isinstance(exception, (KeyboardInterrupt, Stopped))
        if self.run is not None and not stopped:
            lines = traceback.format_exception(exception)
            Path(self.checkpoint_folder, "traceback.txt").write_text("".join(lines))
        self._end(trainer, pl_module, "KILLED" if stopped else "FAILED", cause(exception))

    def _end(
        self,
        trainer: pl.Trainer,
        module: pl.LightningModule,
        status: str,
        reason: str | None = None,
    ) -> None:
        if self.run is None or self.lock is None:
            return
        assert isinstance(module, RHERModule)
        try:
            if self.history:
                self._draw(module)
            for name in ("best.ckpt", "last.ckpt"):
                if (path := Path(self.checkpoint_folder) / name).is_file():
                    self.run.log_file(path, "checkpoints")
        finally:
            told = self.run.end(status, {} if reason is None else {"ended_by": reason})
            self.lock.write("" if told else status)
            self.lock.close()
            self.lock = None

    def mark_killed(self, reason: str) -> None:
        """Tell the store, within a second, that this process ends now; safe in any thread."""
        if self.run is not None and self.lock is not None:
            arguments = (self.run.client, self.run.run_id, "KILLED", {"ended_by": reason})
            teller = threading.Thread(target=end_run, args=arguments, daemon=True)
            teller.start()
            teller.join(1.0)


def cause(exception: BaseException) -> str:
    """What ended a run, in a word."""
    if isinstance(exception, Stopped):
        return signal.Signals(exception.number).name
    return type(exception).__name__


def mark_abandoned_runs(client: MlflowClient, checkpoints: Path) -> None:
    """Give runs of this folder whose process is gone their true status.

    Args:
        client: of the store.
        checkpoints: folder that holds the runs' checkpoint folders.
    """
    for lock in abandoned_runs(checkpoints):
        try:
            status = client.get_run(lock.run_id).info.status
        except Exception:  # of another store, or deleted: nothing to correct here
            continue
        if status != RUNNING or end_run(client, lock.run_id, *final_status(lock.status)):
            lock.write("")


def final_status(written: str) -> tuple[str, dict[str, str]]:
    """Status and tags of a run whose process is gone and left ``written`` in its lock."""
    return ("KILLED", {"ended_by": "SIGKILL or crash"}) if written == RUNNING else (written, {})


def find_recorder(trainer: pl.Trainer) -> RunRecorder | None:
    """The recorder among the trainer's callbacks, if there is one."""
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if isinstance(callback, RunRecorder):
            return callback
    return None


def default_run_name(last_subtask: str, algorithm: str, seed: int) -> str:
    """Such as ``push-td3-seed0-0131-0930``: last subtask, algorithm, seed, date and time."""
    return f"{last_subtask}-{algorithm}-seed{seed}-{time.strftime('%m%d-%H%M')}"


def mean(iterations: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Each metric over the iterations that have it; of clocks, the last value."""
    names = {name: None for metrics in iterations for name in metrics}
    values = {name: [m[name] for m in iterations if name in m] for name in names}
    means = {name: sum(found) / len(found) for name, found in values.items()}
    return means | {name: values[name][-1] for name in names if name in CLOCKS}


def parameters(
    trainer: pl.Trainer, model: Mapping[str, Any], data: Mapping[str, Any]
) -> dict[str, str]:
    """The parameters of a run by option name."""
    options = {f"model.{key}": value for key, value in model.items()}
    options |= {f"data.{key}": value for key, value in data.items()}
    options |= {"trainer.max_epochs": trainer.max_epochs, "trainer.precision": trainer.precision}
    return {key: str(value) for key, value in options.items()}


class RecordConfig(SaveConfigCallback):
    """Puts the full resolved config beside the run, as ``config.yaml``."""

    def save_config(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        recorder = find_recorder(trainer)
        if recorder is not None and recorder.run is not None:
            recorder.run.log_text(self.parser.dump(self.config), "config.yaml")
