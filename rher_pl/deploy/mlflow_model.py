"""A trained policy as an MLflow model: a script and a file of tensors, nothing pickled."""

from __future__ import annotations

import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import torch
from mlflow.models import ModelSignature
from mlflow.types import Schema, TensorSpec

from rher_pl.deploy.parity import stratified_states
from rher_pl.deploy.portable import INPUTS, PortablePolicy, save_portable

HERE = Path(__file__).parent
CARD = "README.md"
CODE = "relay_policy"
"""Package that travels with a model; ``served_model.py`` imports it."""


def save_mlflow_model(policy: PortablePolicy, folder: Path, card: str) -> None:
    """Write a model with signature, input example and card into a new folder.

    ``mlflow.pyfunc.load_model(folder).predict(inputs)`` then takes a dict of ``observation``,
    ``achieved_goal`` and ``desired_goal`` [N, ...] float64, as Gymnasium gives them (one state is
    a batch of one), and returns actions [N, A]. Loading it needs torch and MLflow only. An empty
    card is left out.
    """
    example = {
        name: value.double().numpy() for name, value in zip(INPUTS, stratified_states(policy, 2))
    }
    with tempfile.TemporaryDirectory() as scratch, _without_type_hints():
        tensors = Path(scratch) / "policy.pt"
        save_portable(policy, tensors)
        code = copy_code(Path(scratch))
        mlflow.pyfunc.save_model(
            path=str(folder),
            python_model=str(HERE / "served_model.py"),
            code_paths=[str(code)],
            artifacts={"policy": str(tensors)},
            signature=_signature(policy),
            input_example=example,
            # Named here: MLflow would otherwise start a process to find out.
            pip_requirements=[
                f"mlflow=={mlflow.__version__}",
                f"torch=={torch.__version__.partition('+')[0]}",
                f"numpy=={np.__version__}",
            ],
        )
    if card:
        (folder / CARD).write_text(card)


def copy_code(folder: Path) -> Path:
    """Copy the files that a policy needs to act into a package of another name than this one's.

    A model then works where this package is missing, or installed in another version.
    """
    package = folder / CODE
    for name in ("relay", "networks"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(HERE.parent / name, package / name, ignore=ignored)
    (package / "deploy").mkdir()
    shutil.copy(HERE / "portable.py", package / "deploy")
    for path in (package, package / "deploy"):
        (path / "__init__.py").touch()
    return package


@contextmanager
def _without_type_hints() -> Iterator[None]:
    """Drop MLflow's warning of missing type hints: it overrules filters; a signature says more."""
    with warnings.catch_warnings(record=True) as caught:
        yield
    for one in caught:
        if "type hints to the `predict` method" not in str(one.message):
            warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)


def _signature(policy: PortablePolicy) -> ModelSignature:
    actions = policy.action_size
    inputs: list[Any] = [
        TensorSpec(np.dtype(np.float64), (-1, size), name) for name, size in policy.sizes.items()
    ]
    output: list[Any] = [TensorSpec(np.dtype(np.float32), (-1, actions))]
    return ModelSignature(Schema(inputs), Schema(output))
