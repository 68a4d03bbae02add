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
        target: one of ``FORMATS``, ``mlflow``, or ``pretrained`` (a checkpoint cut down to
            the policy).
        folder: where to.
        name: of the file, without suffix.
        card: in Markdown; goes into an MLflow model.
    """
    path = file_of(target, folder, name)
    if target == "mlflow":
        from rher_pl.deploy.mlflow_model import save_mlflow_model

        save_mlflow_model(trained.portable, path, card)
    elif target == "pretrained":
        write_checkpoint(policy_content(trained.stored), path)
    else:
        FORMATS[target].write(trained.portable, path)
    return path


def file_of(target: str, folder: Path, name: str) -> Path:
    """Where :func:`export` writes a kind of file."""
    ends = {"mlflow": "_mlflow", "pretrained": SUFFIX}
    end = ends[target] if target in ends else FORMATS[target].suffix
    return folder / f"{name}{end}"


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
