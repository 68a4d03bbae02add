"""A trained policy as an MLflow model: a script and a file of tensors, nothing pickled."""

from __future__ import annotations

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

from rher_pl.deploy.formats import example_inputs
from rher_pl.deploy.portable import INPUTS, PortablePolicy, save_portable

HERE = Path(__file__).parent
CARD = "README.md"


def save_mlflow_model(policy: PortablePolicy, folder: Path, card: str) -> None:
    """Write a model with signature, input example and card into a new folder.

    ``mlflow.pyfunc.load_model(folder).predict(inputs)`` then takes a dict of ``observation``,
    ``achieved_goal`` and ``desired_goal`` [N, ...] float64, as Gymnasium gives them (one state is
    a batch of one), and returns actions [N, A]. Loading it needs torch and MLflow only. An empty
    card is left out.
    """
    example = {
        name: value.double().numpy() for name, value in zip(INPUTS, example_inputs(policy, 2))
    }
    with tempfile.TemporaryDirectory() as scratch, _without_type_hints():
        tensors = Path(scratch) / "policy.pt"
        save_portable(policy, tensors)
        mlflow.pyfunc.save_model(
            path=str(folder),
            python_model=str(HERE / "served_model.py"),
            code_paths=[str(HERE / "portable.py")],
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


@contextmanager
def _without_type_hints() -> Iterator[None]:
    """MLflow misses type hints, although a signature says more, and overrules filters to say so."""
    with warnings.catch_warnings(record=True) as caught:
        yield
    for one in caught:
        if "type hints to the `predict` method" not in str(one.message):
            warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)


def _signature(policy: PortablePolicy) -> ModelSignature:
    actions = policy.get_buffer(f"bias_{policy.depth - 1}").shape[0]
    inputs: list[Any] = [
        TensorSpec(np.dtype(np.float64), (-1, size), name) for name, size in policy.sizes.items()
    ]
    output: list[Any] = [TensorSpec(np.dtype(np.float32), (-1, actions))]
    return ModelSignature(Schema(inputs), Schema(output))
