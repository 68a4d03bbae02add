"""Silence messages of libraries that a user can do nothing about."""

from __future__ import annotations

import logging
import os
import warnings

from farama_notifications import notifications

from rher_pl.errors import one_line

NOISE = (
    (r".*does not have many workers.*", UserWarning),  # one batch of seeds needs no workers
    (r".*isinstance\(treespec, LeafSpec\).*", Warning),  # Lightning's use of a torch internal
    (r".*Checkpoint directory .* exists and is not empty.*", UserWarning),  # as when resuming
    (r".*The dirpath has changed from.*", UserWarning),  # evaluating needs no folder
    (r".*TensorFloat32 tensor cores.*", UserWarning),  # trainer.precision says what is reduced
)


def quiet() -> None:
    """Silence such messages; all other warnings stay, each in one line."""
    warnings.formatwarning = lambda message, *_, **__: one_line(f"warning: {message}") + "\n"
    for message, category in NOISE:
        warnings.filterwarnings("ignore", message=message, category=category)
    # Hardware and seed lines, tips for other products: our own lines say what matters.
    for name in (
        "pytorch.utilities.rank_zero",
        "pytorch.accelerators.cuda",
        "fabric.utilities.seed",
    ):
        logging.getLogger(f"lightning.{name}").setLevel(logging.WARNING)
    # Printed when gymnasium-robotics is imported, about hand environments that are not used here.
    notifications.setdefault("gymnasium_robotics", {}).clear()
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")  # a policy downloads in a second
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")  # read when mlflow is imported,
    logging.getLogger("mlflow").setLevel(logging.WARNING)  # and where it is already
    # It logs a hundred lines for each database error; our own line says what is wrong.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
