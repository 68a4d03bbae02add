"""Relay Hindsight Experience Replay as a modular PyTorch Lightning trainer.

Importing the package is cheap on purpose: heavy libraries are imported where they are used.
"""

from typing import TYPE_CHECKING

from rher_pl.envs.suite.registration import register_suite
from rher_pl.errors import ConfigError, TrainingError

if TYPE_CHECKING:
    from rher_pl.api import Run, train
    from rher_pl.deploy.from_module import policy_of
    from rher_pl.deploy.measure import Evaluation
    from rher_pl.deploy.trained import TrainedPolicy, load_policy
    from rher_pl.gymnasium_task import GymnasiumTask
    from rher_pl.learner.td3 import TD3
    from rher_pl.training.datamodule import RelayDataModule
    from rher_pl.training.module import RHERModule

__version__ = "0.2.0"
__all__ = [
    "TD3",
    "ConfigError",
    "Evaluation",
    "GymnasiumTask",
    "RHERModule",
    "RelayDataModule",
    "Run",
    "TrainedPolicy",
    "TrainingError",
    "load_policy",
    "policy_of",
    "train",
]

register_suite()  # with Gymnasium: gymnasium.make("rher_pl/FetchStack-v0")

_LAZY = {
    "TD3": "rher_pl.learner.td3",
    "Evaluation": "rher_pl.deploy.measure",
    "GymnasiumTask": "rher_pl.gymnasium_task",
    "RHERModule": "rher_pl.training.module",
    "RelayDataModule": "rher_pl.training.datamodule",
    "Run": "rher_pl.api",
    "TrainedPolicy": "rher_pl.deploy.trained",
    "load_policy": "rher_pl.deploy.trained",
    "policy_of": "rher_pl.deploy.from_module",
    "train": "rher_pl.api",
}


if not TYPE_CHECKING:  # a type checker knows the names above, and that there are no others

    def __getattr__(name: str) -> object:
        """Import a public name when it is first used: importing torch takes seconds."""
        if name not in _LAZY:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        return getattr(import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
