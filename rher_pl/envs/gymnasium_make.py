"""Makes one environment of Gymnasium, in this process or in a worker process of its own.

This module does not import torch: so a worker starts in a second and takes a tenth of the memory.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import gymnasium
import numpy as np
from farama_notifications import notifications
from gymnasium.envs.registration import EnvSpec

from rher_pl.envs.foreign import foreign
from rher_pl.errors import ConfigError, TrainingError, fault, require

KEYS = ("observation", "achieved_goal", "desired_goal")
"""Keys of a goal environment's observations."""
SUPPLIERS = ("gymnasium_robotics", "panda_gym")
"""Packages that register environments when they are imported, which is done for an unknown id."""
SUCCESS, FLAG = "success", "flag"
"""Keys of an :class:`Episode`'s info: the value of :func:`said`, and a :class:`Flag`."""


class Flag(IntEnum):
    """What Gymnasium says of an episode's end."""

    GOES_ON = 0
    TRUNCATED = 1
    TERMINATED = 2


@dataclass(frozen=True)
class Recipe:
    """How one environment is made.

    Args:
        spec: of Gymnasium; it names the class, so that a worker need not know the id.
        make_kwargs: arguments of the environment.
        wrappers: import paths of functions that take an environment and return one.
        reset_options: ``options`` of every reset.
    """

    spec: EnvSpec
    make_kwargs: Mapping[str, Any] = field(default_factory=dict)
    wrappers: tuple[str, ...] = ()
    reset_options: Mapping[str, Any] = field(default_factory=dict)

    def make(self, render_mode: str | None = None) -> gymnasium.Env:
        """The environment, without a time limit: the batched one counts the steps.

        Raises:
            ConfigError: if it cannot be made.
        """
        if str(self.spec.entry_point).startswith("gymnasium_robotics"):
            _import_supplier("gymnasium_robotics")
        options = dict(self.make_kwargs) | ({"render_mode": render_mode} if render_mode else {})
        require(
            "max_episode_steps" not in options,
            f"{self.spec.id}: write max_episode_steps beside make_kwargs, not in it",
        )
        with (
            _silent_libraries(),
            foreign(f"{self.spec.id} cannot be made", ": look at make_kwargs"),
        ):
            env = gymnasium.make(
                self.spec, max_episode_steps=-1, disable_env_checker=True, **options
            )
        for path in self.wrappers:
            wrap = import_object(path, "wrappers")
            with foreign(
                f"{path:.60} in wrappers fails", ": it is called with the environment alone"
            ):
                env = wrap(env)
            require(isinstance(env, gymnasium.Env), f"{path} in wrappers returns no environment")
        return env


def find_spec(env_id: str) -> EnvSpec:
    """What Gymnasium knows of an id, such as ``PandaPush-v3`` or ``my_package:MyEnv-v0``.

    Raises:
        ConfigError: if there is no such environment.
    """
    module, _, name = env_id.rpartition(":")
    if module:
        import_module(module, f"id {env_id:.100}")
    try:
        return gymnasium.spec(name)
    except gymnasium.error.Error:
        for supplier in SUPPLIERS:
            with suppress(ImportError):
                _import_supplier(supplier)
    try:
        return gymnasium.spec(name)
    except gymnasium.error.Error as error:
        reason = " ".join(str(error).split())[:120]
        raise ConfigError(
            f"no environment {env_id!r:.100} ({reason}): write an id that Gymnasium knows, or "
            "my_package:MyEnv-v0, where importing my_package registers it"
        ) from error


def _import_supplier(name: str) -> None:
    notifications.setdefault(name, {}).clear()  # notices about environments that are not used
    with _silent_libraries():
        importlib.import_module(name)
    if name == "gymnasium_robotics":
        importlib.import_module("rher_pl.envs.fetch_sim")  # patches it for later versions of MuJoCo


def import_module(name: str, where: str) -> Any:
    """Import a user's module.

    Raises:
        ConfigError: if it is not there, or fails.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"{where}: no module {error.name!r:.60}: install it, or run where it can be imported"
        ) from error
    except (Exception, SystemExit) as error:
        raise ConfigError(f"{where}: importing {name:.60} fails: {fault(error)[:180]}") from error


def import_object(path: str, where: str) -> Any:
    """The object at ``my_package.my_module.name``, or with a colon before the name.

    Raises:
        ConfigError: if it cannot be imported, or cannot be called.
    """
    module, _, name = path.replace(":", ".").rpartition(".")
    require(bool(module and name), f"{where}: write my_package.my_function, not {path!r:.60}")
    found = getattr(import_module(module, where), name, None)
    require(callable(found), f"{where}: {module} has no function {name:.60}")
    return found


class Episode(gymnasium.Wrapper):
    """An environment whose episodes, once ended, stay as they are until the next reset.

    ``terminated`` and ``truncated`` are always False, so that a vector environment lets it go on;
    the info says whether and how it ended, see :class:`Flag`. Observations have only :data:`KEYS`.

    Args:
        env: the environment to step.
        number: index of the environment, for messages.
    """

    def __init__(self, env: gymnasium.Env, number: int) -> None:
        super().__init__(env)
        self._number = number
        space: Any = env.observation_space
        self.observation_space = gymnasium.spaces.Dict({key: space[key] for key in KEYS})
        self._last: tuple[Any, float, bool, bool, dict[str, float]] | None = None

    def reset(self, **kwargs: Any) -> tuple[Any, dict[str, float]]:
        self._last = None
        with self._named():
            observation, info = self.env.reset(**kwargs)
            return self._kept(observation), {SUCCESS: said(info), FLAG: Flag.GOES_ON}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, float]]:
        if self._last is not None:
            return self._last
        with self._named():
            observation, reward, terminated, truncated, info = self.env.step(action)
            flag = Flag.TERMINATED if terminated else Flag.TRUNCATED if truncated else Flag.GOES_ON
            told = {SUCCESS: said(info), FLAG: flag}
            outcome = self._kept(observation), float(reward), False, False, told
        if flag != Flag.GOES_ON:
            self._last = outcome
        return outcome

    def _kept(self, observation: Any) -> dict[str, Any]:
        """The :data:`KEYS` of an observation, in the shapes that its space promises.

        Raises:
            ValueError: for another shape.
        """
        kept = {key: observation[key] for key in KEYS}
        for key, value in kept.items():
            promised = self.observation_space[key].shape  # type: ignore[index]
            if np.shape(value) != promised:
                raise ValueError(f"{key} has shape {np.shape(value)}, its space says {promised}")
        return kept

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except (Exception, SystemExit) as error:
            name = self.env.spec.id if self.env.spec else "environment"
            raise TrainingError(f"environment {self._number} ({name}): {fault(error)}") from None


def make_episode(recipe: Recipe, number: int, render_mode: str | None) -> Episode:
    """Make one environment, in the process that steps it."""
    return Episode(recipe.make(render_mode), number)


def said(info: Mapping[str, Any]) -> float:
    """Whether the task is solved, as an environment's info says: 1 or 0; NaN if it says nothing.

    Raises:
        ValueError: if its word is neither true nor false.
    """
    word = info.get("is_success", info.get("success", np.nan))
    if isinstance(word, (str, bytes)) or word is None or np.size(word) != 1:
        raise ValueError(f"is_success in its info must be true or false, got {word!r:.60}")
    return float(np.asarray(word).item())


@contextmanager
def _silent_libraries() -> Iterator[None]:
    """Hide what simulators print from C: standard output is for a command's own results."""
    libc = ctypes.CDLL(None)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    libc.fflush(None)
    kept, nowhere = [os.dup(1), os.dup(2)], os.open(os.devnull, os.O_WRONLY)
    for number in (1, 2):
        os.dup2(nowhere, number)
    try:
        yield
    finally:
        libc.fflush(None)
        for number, copy in enumerate(kept, start=1):
            os.dup2(copy, number)
        for each in (*kept, nowhere):
            os.close(each)
