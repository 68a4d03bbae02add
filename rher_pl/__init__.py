"""Relay Hindsight Experience Replay as a modular PyTorch Lightning trainer.

Importing the package is cheap on purpose: heavy libraries are imported where they are used.
"""

from rher_pl.envs.suite.registration import register_suite

__version__ = "0.2.0.dev0"

register_suite()  # with Gymnasium: gymnasium.make("rher_pl/FetchStack-v0")


_EXPORTS = {
    "load_policy": "rher_pl.deploy.trained",
    "policy_of": "rher_pl.deploy.from_module",
    "GymnasiumTask": "rher_pl.gymnasium_task",
}


def __getattr__(name: str) -> object:
    """What the package offers, imported when it is first asked for: torch takes seconds."""
    if name not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_EXPORTS[name]), name)
