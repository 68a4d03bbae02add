"""A trained policy written to files for use elsewhere, and read back from them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from rher_pl.checkpoints.file import write_checkpoint
from rher_pl.checkpoints.policy import policy_content
from rher_pl.deploy.formats import FORMATS
from rher_pl.deploy.portable import INPUTS
from rher_pl.deploy.pretrained import SUFFIX
from rher_pl.deploy.trained import TrainedPolicy, load_policy


def export(trained: TrainedPolicy, target: str, folder: Path, name: str, card: str) -> Path:
    """Write one kind of file; returns its path.

    Args:
        trained: what to write.
        target: one of ``FORMATS``, ``mlflow``, or ``pretrained`` (a checkpoint cut down to it).
        folder: where to.
        name: of the file, without suffix.
        card: in Markdown; goes into an MLflow model.
    """
    if target == "mlflow":
        from rher_pl.deploy.mlflow_model import save_mlflow_model

        path = folder / f"{name}_mlflow"
        save_mlflow_model(trained.portable, path, card)
    elif target == "pretrained":
        path = folder / f"{name}{SUFFIX}"
        write_checkpoint(policy_content(trained.stored), path)
    else:
        path = folder / f"{name}{FORMATS[target].suffix}"
        FORMATS[target].write(trained.portable, path)
    return path


def read_back(target: str, path: Path) -> Callable[..., Any]:
    """What was exported, as a function of observation, achieved and desired goal."""
    if target == "pretrained":
        return load_policy(path).portable
    if target != "mlflow":
        return FORMATS[target].read(path)
    import mlflow

    model = mlflow.pyfunc.load_model(str(path))
    return lambda *inputs: model.predict(
        {key: value.double().numpy() for key, value in zip(INPUTS, inputs, strict=True)}
    )
