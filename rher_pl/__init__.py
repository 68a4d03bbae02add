"""Relay Hindsight Experience Replay as a modular PyTorch Lightning trainer.

Importing the package is cheap on purpose: heavy libraries are imported where they are used.
"""

from rher_pl.envs.suite.registration import register_suite

__version__ = "0.2.0.dev0"

register_suite()  # with Gymnasium: gymnasium.make("rher_pl/FetchStack-v0")


def __getattr__(name: str) -> object:
    """``load_policy``, imported when it is first asked for: torch takes seconds."""
    if name != "load_policy":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from rher_pl.deploy.trained import load_policy

    return load_policy
