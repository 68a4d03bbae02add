"""The script of a logged MLflow model. MLflow runs it beside the package ``relay_policy``.

It is not imported by this package: the model works where the package is not installed.
"""

from __future__ import annotations

import warnings
from typing import Any

import mlflow
import torch
from mlflow.pyfunc import PythonModel

try:
    from relay_policy.deploy.portable import load_portable  # type: ignore[import-not-found]
except ModuleNotFoundError:  # while a model is being saved, its copy is not there yet
    from rher_pl.deploy.portable import load_portable

# Hide MLflow's request for type hints of `predict`: it would read them as the model's schema.
with warnings.catch_warnings(record=True):

    class ServedPolicy(PythonModel):
        """Noise-free actions of a trained policy."""

        def load_context(self, context: Any) -> None:
            self.policy = load_portable(context.artifacts["policy"])

        def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]
            """Observation, achieved goal and desired goal [N, ...] by name to actions [N, A]."""
            with torch.no_grad():
                return self.policy(*self.policy.take(model_input)).numpy()


mlflow.models.set_model(ServedPolicy())
