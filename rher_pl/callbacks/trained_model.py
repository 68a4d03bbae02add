"""The trained policy as an MLflow model, beside the run that made it."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import lightning.pytorch as pl

from rher_pl.callbacks.recording import find_recorder
from rher_pl.deploy.card import make_card
from rher_pl.deploy.mlflow_model import save_mlflow_model
from rher_pl.deploy.portable import PortablePolicy
from rher_pl.evaluation.report import report
from rher_pl.tasks import get_task
from rher_pl.tracking import provenance
from rher_pl.training.module import RHERModule

NAME = "policy"


class ModelRecorder(pl.Callback):
    """Logs the evaluated policy at the end of training; a fault there does not end the run."""

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, RHERModule)
        recorder = find_recorder(trainer)
        if recorder is None or recorder.run is None or not hasattr(pl_module, "evaluations"):
            return
        task = pl_module.hparams["task"]
        policy = PortablePolicy(pl_module.evaluated_policy, get_task(task).gymnasium_id is not None)
        try:
            with tempfile.TemporaryDirectory() as scratch:
                folder = Path(scratch) / NAME
                save_mlflow_model(policy, folder, card_of(pl_module))
                recorder.run.log_model(folder, NAME, pl_module.env_steps)
        except Exception as error:  # whatever a store or a full disk may raise
            reason = str(error).partition("\n")[0]
            print(f"warning: the policy was not logged as a model: {reason}", file=sys.stderr)


def card_of(module: RHERModule) -> str:
    """A card from the latest evaluation of a run."""
    counters = {
        "env_steps": module.env_steps,
        "episodes": module.episodes,
        "updates": module.updates,
    }
    return make_card(
        module.hparams["task"],
        counters,
        report(module.evaluations),
        "on the evaluation episodes of the run itself",
        provenance.versions(),
    )
