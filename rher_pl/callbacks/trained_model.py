"""The trained policy as an MLflow model, beside the run that made it."""

from __future__ import annotations

import tempfile
from pathlib import Path

import lightning.pytorch as pl

from rher_pl.callbacks.recording import find_run
from rher_pl.deploy.card import make_card
from rher_pl.deploy.exporting import read_back
from rher_pl.deploy.mlflow_model import save_mlflow_model
from rher_pl.deploy.parity import require_parity
from rher_pl.deploy.portable import PortablePolicy
from rher_pl.errors import warn
from rher_pl.evaluation.report import report
from rher_pl.tracking import provenance
from rher_pl.training.module import RHERModule

NAME = "policy"


class ModelRecorder(pl.Callback):
    """Logs the evaluated policy at the end of training; a fault there does not end the run."""

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, RHERModule)
        run = find_run(trainer)
        if run is None or not pl_module.evaluations:
            return
        try:
            with tempfile.TemporaryDirectory() as scratch:
                folder = Path(scratch) / NAME
                save_checked(pl_module, folder)
                run.log_model(folder, NAME, pl_module.env_steps)
        except Exception as error:  # a store, a full disk or a model that acts otherwise
            reason = str(error).partition("\n")[0]
            warn(f"the policy was not logged as a model: {reason}")


def save_checked(module: RHERModule, folder: Path) -> None:
    """Save the evaluated policy as an MLflow model, and see that it acts as the live one.

    Raises:
        TrainingError: if it does not.
    """
    policy = PortablePolicy(module.evaluated_policy, module.task.interface)
    save_mlflow_model(policy, folder, card_of(module))
    require_parity(policy, read_back("mlflow", folder), "the model that MLflow would log")


def card_of(module: RHERModule) -> str:
    """A card from the latest evaluation of a run."""
    counters = {
        "env_steps": module.env_steps,
        "episodes": module.episodes,
        "updates": module.updates,
    }
    policy = PortablePolicy(module.evaluated_policy, module.task.interface)
    return make_card(
        module.task.name,
        policy.sizes,
        policy.action_size,
        counters,
        report(module.evaluations),
        "on the evaluation episodes of the run itself",
        provenance.versions(),
    )
